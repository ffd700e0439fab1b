"""The keys that wrap the data keys of the encrypted store: from METASYNC_KEY, from the file METASYNC_KEY_FILE, or from metasync.key beside
an embedded database, which is made when it is first needed.

A key is 32 random bytes, written as base64. Several may stand there, one a line (in METASYNC_KEY: with commas): the first one seals, the
others only open, until `metasync secrets rotate` has sealed everything with the first.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metasync.contract import MetasyncError

KEY_VARIABLE = "METASYNC_KEY"
FILE_VARIABLE = "METASYNC_KEY_FILE"
KEY_FILE = "metasync.key"
LENGTH = 32

_log = logging.getLogger("metasync.secrets")


class KeyMissing(MetasyncError):
    """There is no key for the encrypted store of secrets; give it with METASYNC_KEY_FILE or METASYNC_KEY."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key. Its bytes are in no repr."""

    material: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Tells keys apart, and tells nothing of them."""
        return hashlib.sha256(b"metasync key id\0" + self.material).hexdigest()[:16]


def new_key() -> Key:
    """A random key."""
    return Key(os.urandom(LENGTH))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRing:
    """The keys of this process, and where they came from."""

    keys: tuple[Key, ...] = ()
    file: Path | None = None
    """The file that they came from, or that the first key is written to; None: the environment."""
    own: bool = False
    """True where the file is ours to write: metasync.key."""

    @property
    def current(self) -> Key:
        """The one that seals. Raises `KeyMissing`."""
        if not self.keys:
            where = f" and {self.file} does not exist" if self.file else ""
            raise KeyMissing(f"there is no key for the encrypted store of secrets: {FILE_VARIABLE} and {KEY_VARIABLE} are not set{where}")
        return self.keys[0]

    def find(self, key_id: str) -> Key:
        """The key with this id. Raises `KeyMissing`."""
        for key in self.keys:
            if key.id == key_id:
                return key
        held = ", ".join(key.id for key in self.keys) or "none"
        raise KeyMissing(f"secrets are sealed with the key {key_id}, which is not at hand ({held}); bring it back with {FILE_VARIABLE}")

    def reloaded(self) -> KeyRing:
        """The same, as the file says now."""
        if self.file is None:
            return self
        return KeyRing(keys=_read(self.file, required=not self.own), file=self.file, own=self.own)

    def with_key(self) -> KeyRing:
        """The same, with a first key made where there is none and the file is ours."""
        return self if self.keys or not self.own else self.renewed()

    def renewed(self) -> KeyRing:
        """A new first key in front of the others, safe on disk before it is used. Only where the file is ours."""
        assert self.file is not None
        ring = KeyRing(keys=(new_key(), *self.keys), file=self.file, own=True)
        _write(self.file, ring.keys)
        return ring

    def only_current(self) -> KeyRing:
        """Forget all keys but the first, also in our file: nothing is sealed with them any more."""
        if len(self.keys) < 2:
            return self
        ring = KeyRing(keys=self.keys[:1], file=self.file, own=self.own)
        if self.own and self.file is not None:
            _write(self.file, ring.keys)
        return ring


def key_ring(database_url: str, environment: Mapping[str, str] | None = None) -> KeyRing:
    """The keys for the secrets in a database. Raises `KeyMissing` where they cannot be read."""
    environment = os.environ if environment is None else environment
    text = environment.get(KEY_VARIABLE)
    if text:
        return KeyRing(keys=_keys(text.split(","), KEY_VARIABLE))
    named = environment.get(FILE_VARIABLE)
    if named:
        file = Path(named)
        return KeyRing(keys=_read(file, required=True), file=file)
    if not database_url.startswith("sqlite:///"):
        return KeyRing()
    file = Path(database_url.removeprefix("sqlite:///")).absolute().parent / KEY_FILE
    return KeyRing(keys=_read(file, required=False), file=file, own=True)


def _read(file: Path, *, required: bool) -> tuple[Key, ...]:
    try:
        text = file.read_text(encoding="ascii")
    except FileNotFoundError:
        if not required:
            return ()
        raise KeyMissing(f"the key file {file} does not exist; correct {FILE_VARIABLE}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyMissing(f"the key file {file} cannot be read ({type(error).__name__}); check it and its permissions") from None
    warn_if_open(file)
    return _keys(text.splitlines(), str(file))


def _keys(lines: list[str], where: str) -> tuple[Key, ...]:
    keys: list[Key] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            material = base64.b64decode(line.strip(), validate=True)
        except (binascii.Error, ValueError):
            material = b""
        if len(material) != LENGTH:
            raise KeyMissing(f"{where} holds something that is not a key: {LENGTH} bytes as base64, one key a line, are expected")
        keys.append(Key(material))
    if not keys:
        raise KeyMissing(f"{where} holds no key: {LENGTH} bytes as base64, one key a line, are expected")
    return tuple(keys)


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    """Replace the key file in one step, readable by its owner alone from the start."""
    text = "".join(base64.b64encode(key.material).decode() + "\n" for key in keys)
    temporary = file.with_name(file.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii", newline="\n") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)


def warn_if_open(file: Path) -> None:
    """Warn where others than its owner may read a file. Windows has no such bits."""
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        _log.warning("%s can be read by others than its owner; take that right away: chmod 600", file)
