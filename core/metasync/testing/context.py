"""`TestContext`: what the engine hands to a connector, for tests.

Secrets come from a dictionary. Passwords are as random as the engine's; the context remembers what it gave out only to be able to say
whether any of it leaked, and shows it to nobody.
"""

from __future__ import annotations

import logging
import secrets
import string
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from metasync.contract import DirectorySettings, Quota, SecretMissing, SecretReference, Stopped, StopToken, Turn
from metasync.pacing import paused, taken, turn

_CLASSES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, "!#%+-.:=?@_")


class Stop:
    """A stop token that a test sets."""

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Ask the run to stop."""
        self._set = True

    def is_set(self) -> bool:
        """True once the run shall stop."""
        return self._set


class _Watch(logging.Handler):
    """Keeps what a logger said, whatever its level."""

    def __init__(self) -> None:
        super().__init__(level=logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class TestContext:
    """A `metasync.contract.Context` that stands alone. `now` moves only by `wait`, so that no test sleeps."""

    __test__ = False  # pytest takes any class named Test... for a test

    def __init__(
        self,
        directory: str = "test",
        *,
        secrets: Mapping[str, str] | None = None,
        settings: DirectorySettings | None = None,
        deadline: datetime | None = None,
        password_length: int = 24,
    ) -> None:
        self.directory = directory
        self.settings = settings or DirectorySettings()
        self.logger = logging.Logger(f"metasync.testing.{directory}", level=logging.DEBUG)
        self.stop: StopToken = Stop()
        self.deadline = deadline
        self.progressed: list[tuple[int, int | None, str]] = []
        self.waits: list[tuple[datetime, str]] = []
        self.now = datetime.now(UTC)
        self._free: dict[str, float] = {}
        self._refusals: dict[str, int] = {}
        self._length = password_length
        self._secrets = dict(secrets or {})
        self._given: set[str] = set()
        self._watch = _Watch()
        self.logger.addHandler(self._watch)

    def ask_to_stop(self) -> None:
        """From now on the run shall stop."""
        assert isinstance(self.stop, Stop)
        self.stop.set()

    def secret(self, reference: SecretReference) -> str:
        """The secret of that name. Raises `SecretMissing`."""
        if reference.name not in self._secrets:
            raise SecretMissing(f"the secret {reference.name} is not set; give it to TestContext(secrets=...)")
        self._given.add(self._secrets[reference.name])
        return self._secrets[reference.name]

    def new_password(self, *, avoid: Sequence[str] = ()) -> str:
        """A random password with all classes of characters, holding none of the words in `avoid` that have 3 characters or more."""
        words = [word.casefold() for word in avoid if len(word) >= 3]
        while True:
            characters = [secrets.choice(characters) for characters in _CLASSES]
            characters += [secrets.choice("".join(_CLASSES)) for _ in range(self._length - len(characters))]
            secrets.SystemRandom().shuffle(characters)
            password = "".join(characters)
            if not any(word in password.casefold() for word in words):
                self._given.add(password)
                return password

    def progress(self, done: int, total: int | None = None, what: str = "") -> None:
        """Noted in `progressed`."""
        self.progressed.append((done, total, what))

    def wait(self, until: datetime, why: str) -> None:
        """Noted in `waits`; the context's own clock jumps there. Raises `Stopped` if the run shall stop."""
        if self.stop.is_set():
            raise Stopped()
        self.waits.append((until, why))
        self.now = max(self.now, until)

    def reserve(self, quota: Quota, amount: float) -> Turn:
        """By the context's own clock, for this process alone."""
        now = self.now.timestamp()
        free = self._free.get(quota.name, now)
        if amount:
            free = self._free[quota.name] = taken(free, now, amount, quota.rate)
        return turn(quota, free, now, self._refusals.get(quota.name, 0))

    def refused(self, quota: Quota, wait: timedelta) -> None:
        """The same."""
        now = self.now.timestamp()
        self._free[quota.name] = paused(quota, self._free.get(quota.name, now), now, wait)
        self._refusals[quota.name] = self._refusals.get(quota.name, 0) + 1

    @property
    def logged(self) -> Sequence[str]:
        """What was logged so far."""
        return tuple(self._watch.lines)

    @property
    def passwords_given(self) -> int:
        """How many secrets and passwords were handed out."""
        return len(self._given)

    def leaks(self, *texts: object) -> bool:
        """Does one of these texts, or anything that was logged or reported as progress, hold a secret that was handed out?"""
        said = [str(text) for text in texts] + self._watch.lines + [what for _, _, what in self.progressed] + [why for _, why in self.waits]
        return any(secret in text for secret in self._given for text in said)
