"""What is known of one plugin: the row that `metasync plugin list` shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far a plugin may be trusted, and whether it works."""

    PINNED = "pinned"
    """Every file is as its distribution says, and version, digest and grants are those of metasync.lock."""
    VERIFIED = "verified"
    """Every file is as its distribution says; there is no metasync.lock yet."""
    UNSIGNED = "unsigned"
    """Loaded in development, from a source folder or from a test: nothing vouches for it."""
    MODIFIED = "modified"
    """A file is not what its distribution or metasync.lock says. Not loaded."""
    MISSING = "missing"
    """The document names it, and it is not installed."""
    REFUSED = "refused"
    """It is installed, but not in a way, in a version or with rights that are allowed. Not loaded."""
    BROKEN = "broken"
    """It was loaded and failed: it raised, or registered something that the contract does not know."""


WORKING = frozenset({State.PINNED, State.VERIFIED, State.UNSIGNED})


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginInfo:
    """One plugin of the document's allow-list."""

    name: str
    """As in `plugins:`."""
    distribution: str
    version: str = ""
    state: State
    reason: str = ""
    """Why it does not work, and what to do; for a working plugin what a person should know of it."""
    digest: str = ""
    """SHA-256 over the sorted (path, hash) pairs of its wheel, or of what lies there instead; empty for an editable install."""
    expected: str = ""
    """The digest that metasync.lock holds; empty where it holds none."""
    grants: tuple[str, ...] = ()
    """What it registered, in words: `connector csv`, `connector csv writes`, `rewrite lower`."""
    requirement: str = ""
    """The versions that the document allows."""

    @property
    def working(self) -> bool:
        """What it registered is in use."""
        return self.state in WORKING
