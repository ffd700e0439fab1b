"""`metasync.lock`: which plugin, in which version, with which digest, was granted what. JSON beside the document, kept in git with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasync.contract import CONTRACT_VERSION, MetasyncError
from metasync.host.info import PluginInfo, State

LOCK_NAME = "metasync.lock"
FORM = 1


class LockError(MetasyncError):
    """metasync.lock cannot be read; write it again with `metasync plugin lock`."""


class NothingToLock(MetasyncError):
    """No plugin can be pinned; install their wheels, then lock again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """What the lock says of one plugin."""

    distribution: str
    version: str
    digest: str
    grants: frozenset[str]


def read_lock(path: Path | None) -> Mapping[str, Locked] | None:
    """Plugin name -> its lock; None where there is no lock file yet. An unreadable lock is an error, never "no lock"."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{path} cannot be read ({type(error).__name__}); check its permissions, or restore it") from error
    try:
        return {str(name): _locked(row) for name, row in _form(json.loads(text)).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(f"{path} is not a lock file ({error}); write it again with `metasync plugin lock`") from error


def _form(content: Any) -> Mapping[str, Any]:
    if content["form"] != FORM:
        raise ValueError(f"form {content['form']} is not known to this version of Metasync")
    plugins: Mapping[str, Any] = content["plugins"]
    return plugins


def _locked(row: Any) -> Locked:
    for key in ("distribution", "version", "digest"):
        if not isinstance(row[key], str) or not row[key]:
            raise ValueError(f"`{key}` is empty")
    return Locked(
        distribution=row["distribution"],
        version=row["version"],
        digest=row["digest"],
        grants=frozenset(str(grant) for grant in row["grants"]),
    )


def write_lock(path: Path, plugins: Iterable[PluginInfo]) -> tuple[PluginInfo, ...]:
    """Pin every verified plugin with what it registers; give those back that cannot be pinned (unsigned, or not working).

    The file is replaced in one step, so that an interrupted write leaves the old lock. Where nothing can be pinned it stays as it is:
    raises `NothingToLock`, since a lock that holds nothing refuses every plugin.
    """
    left: list[PluginInfo] = []
    rows: dict[str, Any] = {}
    for info in plugins:
        if info.state not in (State.VERIFIED, State.PINNED):
            left.append(info)
            continue
        rows[info.name] = {
            "distribution": info.distribution,
            "version": info.version,
            "digest": info.digest,
            "grants": sorted(info.grants),
        }
    if left and not rows:
        said = "\n".join(f"  {info.name}: {info.state}: {info.reason}" for info in left)
        unsigned = " ".join(info.distribution for info in left if info.state is State.UNSIGNED and info.distribution)
        advice = f"\nInstall wheels instead (`pip install {unsigned}`, without -e), then lock again" if unsigned else ""
        raise NothingToLock(f"no plugin can be pinned, so {path.name} was not written:\n{said}{advice}")
    content = {"form": FORM, "contract": CONTRACT_VERSION, "plugins": rows}
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    temporary = path.with_name(path.name + ".new")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return tuple(left)
