"""Named places where tests let this process fail: `fault.point("export.after_target_write")`. They do nothing unless armed.

METASYNC_FAULT arms them: `POINT:ACTION[:NTH]`, several separated by commas. ACTION is `kill9`, `freeze`, `raise`, `enospc`, `stall` or
`stall=SECONDS`; NTH is which time the point is reached, from 1 on. Each fires once. Points stand at pages, portions and transactions,
never at single objects. Every transaction that has a name has two of them: NAME.before_commit and NAME.after_commit.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from metasync.contract import MetasyncError

VARIABLE = "METASYNC_FAULT"
ACTIONS = ("kill9", "freeze", "raise", "stall", "enospc")
STALL = 20.0
"""Seconds, unless `stall=SECONDS` says otherwise."""

TRANSACTIONS = {
    "approval.approve": "a person approves a plan",
    "approval.policy": "the document's policy approves a plan, or does not",
    "confirm.portion": "written changes are compared with what was imported",
    "export.adopt": "changes that were left in flight are taken over",
    "export.claim": "approved changes are taken into flight",
    "export.claim_again": "changes that were read back and are not there are taken into flight again",
    "export.close": "a batch ends, and is audited",
    "export.open": "a batch begins, and is audited",
    "export.prepare": "plans become batches",
    "export.record": "the results of a write or of a read-back are recorded",
    "export.settle": "a batch is made that only reads back",
    "import.begin": "a full import begins",
    "import.end": "an import is complete: its cursors count",
    "import.page": "one page is stored",
    "import.references": "references are resolved after a first load",
    "import.tombstones": "objects that were not seen are taken for gone, or for unread",
    "plan.freeze": "a plan is frozen",
    "queue.begin": "a run on the queue begins",
    "queue.divide": "steps of a run become batches",
    "queue.done": "a step ended, and its run goes on",
    "queue.end": "a run on the queue ends",
    "queue.order": "a run is put on the queue",
    "queue.slice": "an export is laid aside for whoever goes on with it",
    "queue.take": "a worker takes a batch",
    "queue.wait": "a run waits for its steps",
    "revision.load": "a document becomes the newest revision",
    "run.begin": "a run begins",
    "run.end": "a run ends",
    "secrets.begin_rotate": "a new data key is made",
    "secrets.end_rotate": "the old data keys go",
    "secrets.reseal": "some secrets are sealed with the new data key",
    "secrets.set": "a secret is stored",
    "store.migrate": "the database is brought to the present schema",
    "synchronise.references": "managers and members of some objects are worked out",
    "synchronise.unit": "some objects are synchronised",
    "undo.freeze": "a plan of the way back is frozen",
}
"""Every transaction that has points, and what it does."""

STEPS = {
    "export.after_find": "the target answered what it holds",
    "export.after_target_write": "the target gave its results, and none is recorded",
    "export.before_find": "the target is about to be asked what it holds",
    "export.before_target_write": "changes are in flight, and the target was sent none",
    "import.after_read": "the source gave a page, and nothing of it is stored",
    "import.before_read": "the source is about to be asked for a page",
}
"""The other points."""

POINTS = {
    **STEPS,
    **{f"{name}.before_commit": f"{what}: all is written, nothing is committed" for name, what in TRANSACTIONS.items()},
    **{f"{name}.after_commit": f"{what}: it is committed" for name, what in TRANSACTIONS.items()},
}
"""Every point, and where the process stands there."""


class BadFault(MetasyncError):
    """METASYNC_FAULT is not of the form POINT:ACTION[:NTH]."""


class Injected(Exception):
    """What the action `raise` raises: an error that nobody foresaw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What shall happen where, and at which time."""

    point: str
    action: str
    nth: int = 1
    seconds: float = STALL


_lock = threading.Lock()
_armed: tuple[Fault, ...] = ()
_reached: Counter[str] | None = None
_text = ""


def parse(text: str) -> tuple[Fault, ...]:
    """What METASYNC_FAULT says. Raises `BadFault`."""
    return tuple(_parse(one.strip()) for one in text.split(",") if one.strip())


def arm(text: str) -> None:
    """Arm these faults instead of what was armed, and count from 1 again. Raises `BadFault`, and nothing has changed then."""
    global _armed, _reached, _text
    faults = parse(text)
    with _lock:
        _armed, _reached, _text = faults, Counter() if faults else None, text


@contextmanager
def armed(text: str) -> Iterator[None]:
    """These faults are armed meanwhile, in all threads, and none is afterwards. Raises `BadFault`."""
    arm(text)
    try:
        yield
    finally:
        arm("")


def arm_from_environment() -> None:
    """Arm what METASYNC_FAULT says; what is armed already goes on counting. Raises `BadFault`."""
    text = os.environ.get(VARIABLE, "")
    if text != _text:
        arm(text)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """How often each point is reached meanwhile, in all threads. Nothing is armed."""
    global _armed, _reached
    before = _armed, _reached
    counts: Counter[str] = Counter()
    with _lock:
        _armed, _reached = (), counts
    try:
        yield counts
    finally:
        with _lock:
            _armed, _reached = before


def point(name: str, full: Callable[[], Exception] | None = None) -> None:
    """The process is here. `full` makes what stands for a full disk here, instead of the operating system's error."""
    if _reached is not None:
        _reach(name, full)


def before_commit(transaction: str, full: Callable[[], Exception]) -> None:
    """A transaction is about to be committed; it has points if it has a name."""
    if _reached is not None and transaction:
        _reach(f"{transaction}.before_commit", full)


def after_commit(transaction: str) -> None:
    """A transaction is committed; it has points if it has a name."""
    if _reached is not None and transaction:
        _reach(f"{transaction}.after_commit", None)


def _reach(name: str, full: Callable[[], Exception] | None) -> None:
    if name not in POINTS:
        raise LookupError(f"{name} is not among the points of metasync.faults")
    with _lock:
        if _reached is None:
            return
        _reached[name] += 1
        due = [one for one in _armed if one.point == name and one.nth == _reached[name]]
    for one in due:
        _happen(one, full)


def _happen(fault: Fault, full: Callable[[], Exception] | None) -> None:
    match fault.action:
        case "kill9":
            # Windows has no SIGKILL; there SIGTERM ends a process at once, and nothing of it is run any more.
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        case "freeze":
            # All threads stand still, the one that renews leases too, until somebody sends SIGCONT. Windows cannot do this to a process.
            if (stop := getattr(signal, "SIGSTOP", None)) is not None:
                os.kill(os.getpid(), stop)
        case "stall":
            time.sleep(fault.seconds)
        case "enospc":
            raise full() if full is not None else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case _:
            raise Injected(f"{VARIABLE} asked for it at {fault.point}")


def _parse(text: str) -> Fault:
    name, _, rest = text.partition(":")
    action, _, nth = rest.partition(":")
    action, option, seconds = action.partition("=")
    if name not in POINTS:
        raise BadFault(f"{VARIABLE}: there is no point {name!r}; the points are: {', '.join(sorted(POINTS))}")
    if action not in ACTIONS or (option and action != "stall"):
        raise BadFault(f"{VARIABLE}: {text!r} has no action that is known; write POINT:ACTION[:NTH], where ACTION is {', '.join(ACTIONS)}")
    try:
        number, wait = int(nth or 1), float(seconds) if option else STALL
    except ValueError:
        number, wait = 0, STALL
    if number < 1 or not 0 <= wait < float("inf"):
        raise BadFault(f"{VARIABLE}: {text!r} has a number that cannot be meant; NTH is 1 or more, SECONDS 0 or more")
    return Fault(point=name, action=action, nth=number, seconds=wait)
