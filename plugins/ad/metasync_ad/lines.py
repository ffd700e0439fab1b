"""Several connections to one domain controller: what does not depend on one another is read, or written, at the same time.

All of them go to the controller that the first one found: another one may be behind, and would be asked about, or told, what it does not
know. The first one signs in before any other is opened, so that a wrong password counts once towards a lock-out.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from queue import Full, Queue
from typing import Any, TypeVar

from metasync.contract import Change, Context, Kind, Operation, Result, Unavailable
from metasync_ad.session import Session
from metasync_ad.settings import Settings

Item = TypeVar("Item")
AHEAD = 2
"""How many pages each line of a read may be ahead of who takes them."""
ALONE = frozenset(
    {
        Operation.CREATE,
        Operation.UPDATE,
        Operation.CLEAR,
        Operation.SIGN_IN,
        Operation.ENABLE,
        Operation.DISABLE,
        Operation.MEMBER_ADD,
        Operation.MEMBER_REMOVE,
    }
)
"""What is addressed by an object's GUID, or makes one, and leaves all others where they are."""
LOOK = 0.2
"""Seconds after which a line that waits looks whether anybody still takes what it has."""


class Lines:
    """The connections of one naming context."""

    def __init__(self, settings: Settings, context: Context, number: int) -> None:
        self.first = Session(settings, context)
        """The one that is used wherever one is enough."""
        self.number = number
        self._settings, self._context = settings, context
        self._further: list[Session] = []

    def open(self, number: int) -> list[Session]:
        """So many sessions that are signed in, all at one controller. Raises `Unavailable`, `SignInRefused`."""
        self.first.connection()
        while len(self._further) < number - 1:
            self._further.append(Session(self._settings, self._context))
        chosen = self._further[: number - 1]
        for session in chosen:
            session.prefer(self.first.server)
            session.connection()
            if session.server != self.first.server:
                session.close()
                raise Unavailable(
                    f"{self.first.server} takes no further connection, and {session.server} may know more or less; lower `connections`, "
                    "or run again"
                )
        return [self.first, *chosen]

    def close(self) -> None:
        """Give them all back."""
        for session in (self.first, *self._further):
            session.close()


def write(lines: Lines, changes: Sequence[Change], each: Callable[[Session, Sequence[Change]], Iterator[Result]]) -> Iterator[Result]:
    """The results of all, as they come. What concerns one object goes over one line, in its order; what changes the names of others with
    its own, or needs a container that another change makes, goes alone. A line that breaks ends its own share; the others end theirs
    before `Unavailable` is raised, so that what they wrote is known. As over one line, nothing more is written until the next result is
    asked for: whoever takes them looks first whether it still may be."""
    shares = divided(changes, lines.number) if all(map(_stands_alone, changes)) else []
    if len(shares) < 2:
        yield from each(lines.first, changes)
        return
    works = [partial(each, session, share) for session, share in zip(lines.open(len(shares)), shares, strict=True)]
    yield from together(works, writes=True)


def _stands_alone(change: Change) -> bool:
    return change.operation in ALONE and (change.operation is not Operation.CREATE or change.kind is not Kind.CONTAINER)


def divided(changes: Sequence[Change], number: int) -> list[list[Change]]:
    """At most so many shares of about the same size, each with all changes of its objects."""
    of_object: dict[str, list[Change]] = {}
    for change in changes:
        of_object.setdefault((change.anchor or f"create {change.id}").lower(), []).append(change)
    shares: list[list[Change]] = [[] for _ in range(min(number, len(of_object)))]
    for own in of_object.values():
        min(shares, key=len).extend(own)
    return shares


def together(works: Sequence[Callable[[], Iterable[Item]]], *, writes: bool) -> Iterator[Item]:
    """The items of all, as they come. A read may be `AHEAD`, and its error is raised at once. What `writes` goes on only when another
    item is asked for, and its error is raised once all others have ended. Whoever takes no more ends them, each behind the request that
    is under way."""
    made: Queue[tuple[_Thread, Any]] = Queue(maxsize=AHEAD * len(works))
    over = threading.Event()
    threads = [_Thread(work, made, over, in_step=writes) for work in works]
    for thread in threads:
        thread.start()
    errors: list[BaseException] = []
    left = len(threads)
    try:
        while left:
            thread, item = made.get()
            if not isinstance(item, _End):
                yield item
                thread.asked.release()
                continue
            left -= 1
            if item.error is not None:
                errors.append(item.error)
                if not writes:
                    break
    finally:
        over.set()
        for thread in threads:
            thread.asked.release()
            thread.join()
    if errors:
        raise errors[0]


class _End:
    """One of them came to its end."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Thread(threading.Thread):
    """Works over one line, and hands on what it makes."""

    def __init__(
        self, work: Callable[[], Iterable[Any]], made: Queue[tuple[_Thread, Any]], over: threading.Event, *, in_step: bool
    ) -> None:
        super().__init__(name="metasync-ad line", daemon=True)
        # What is logged there names the run, too.
        self._about = contextvars.copy_context()
        self._work, self._made, self._over, self._in_step = work, made, over, in_step
        self.asked = threading.Semaphore(0)
        """Released whenever more is asked for than what this line made."""

    def run(self) -> None:
        self._about.run(self._loop)

    def _loop(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._work():
                if not self._hand_on(item) or not self._goes_on():
                    return
        except BaseException as raised:  # raised again where the items are taken; without an end they would be waited for for ever
            error = raised
        self._hand_on(_End(error))

    def _goes_on(self) -> bool:
        if self._in_step:
            self.asked.acquire()
        return not self._over.is_set()

    def _hand_on(self, item: object) -> bool:
        """False: nobody takes it any more."""
        while not self._over.is_set():
            try:
                self._made.put((self, item), timeout=LOOK)
            except Full:
                continue
            return True
        return False
