"""Whoever works the queue, brings its messages or keeps it is killed, frozen and put wrong: nothing is lost, nothing is twice (I1, I2)."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from lab import redis
from lab.postgres import Cluster
from sqlalchemy import select
from system.product import PROGRAM

from metasync import faults
from metasync.store.tables import lease

from .forks import Program, Stable
from .size import WHOLE, sized
from .test_clocks import library
from .town import Town, Workers, as_inline, quick_folder, seen, state, until

__all__ = ["library"]

PEOPLE, KILLS = sized((120, 4), (4000, 50))
SERVERS = sized(2, 10)
"""How often a server is killed."""
FROZEN = sized(3.0, 20.0)
"""Seconds for which one stands still."""
FEW = 24
SLOW = 80
"""So many that somebody still exports when another one has started."""
Make = Callable[..., Town]
QUEUE = sorted(name for name in faults.POINTS if name.startswith("queue."))
DISPATCHES = pytest.mark.parametrize("dispatch", ["database", "celery"])


@pytest.fixture
def make(tmp_path: Path, stable: Stable, request: pytest.FixtureRequest) -> Iterator[Make]:
    """A town whose servers are its own."""
    made: list[Town] = []

    def town(dispatch: str, people: int, *, delay: int = 10, server: bool = True) -> Town:
        url = request.getfixturevalue("own_postgres").database(f"town{len(made)}") if server else ""
        broker = request.getfixturevalue("own_redis").url if dispatch == "celery" else ""
        one = Town(folder / f"town{len(made)}", stable, url, dispatch=dispatch, broker=broker, delay=delay)
        made.append(one)
        one.begin(people)
        return one

    with quick_folder(tmp_path) as folder:
        yield town
        for one in made:
            one.close()


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    with quick_folder(tmp_path) as folder:
        yield folder


class Resumed:
    """How long it takes after each fault until the target is told something again."""

    def __init__(self, town: Town, workers: Workers, what: str) -> None:
        self._town, self._workers, self._what = town, workers, what
        self.seconds: list[float] = []

    def goes_on(self, more: int = 1) -> bool:
        """Wait until so many more are written, or it is at its end; whether it is not."""
        town, before = self._town, self._town.written_so_far
        waited = until(
            lambda: town.written_so_far >= before + more or self._ended(), f"it goes on behind {self._what}", meanwhile=self._workers.look
        )
        self.seconds.append(waited)
        return not self._ended()

    def _ended(self) -> bool:
        return self._town.written_so_far >= len(self._town.people)

    def tell(self) -> None:
        """For whoever measures; script/chaos shows it."""
        found = sorted(self.seconds) or [0.0]
        middle, most = found[len(found) // 2], found[-1]
        print(f"behind {self._what}: resumed {len(found)} times, after {middle:.1f} s at the median, {most:.1f} s at most")


def as_it_should_be(town: Town, ordered: Program, workers: Workers, tmp_path: Path) -> None:
    """The run comes to its end, and everything is as without a queue, and without any fault."""
    assert ended_whole(town, ordered, workers, tmp_path) == as_inline(tmp_path / "inline", town.stable, len(town.people))[2]


def ended_whole(town: Town, ordered: Program, workers: Workers, tmp_path: Path) -> dict[str, int]:
    """The same, but for the states of what was written, which are returned."""
    until(lambda: ordered.wait(0), "the run ends", meanwhile=workers.look)
    answer = town.heard(ordered)
    written = town.counts.by_label()
    lost, twice = sum(one not in written for one in town.people), sum(number > 1 for number in written.values())
    print(f"{len(town.people):,} people: {lost} lost, {twice} written twice; processes that ended and were begun anew: {len(workers.ends)}")
    assert (answer.code, answer.json["state"]) == (0, "done"), answer
    assert town.wrong() == []
    people, hashes, _ = as_inline(tmp_path / "inline", town.stable, len(town.people))
    assert (seen(town), town.hashes()) == (people, hashes)
    states: dict[str, int] = answer.json["written"]
    return states


# --- workers -----------------------------------------------------------------------------------------------------------------------------


@DISPATCHES
def test_workers_that_are_killed_again_and_again_lose_nothing_and_repeat_nothing(dispatch: str, make: Make, tmp_path: Path) -> None:
    """Celery's processes in turn: a child of its pool, and the parent, whose children end by themselves."""
    town, dice, pools = make(dispatch, PEOPLE), random.Random(7), set[int]()
    with Workers(town) as workers, town.order() as ordered:
        resumed = Resumed(town, workers, f"kill -9 of {dispatch} workers")
        resumed.goes_on()
        resumed.seconds.clear()
        kills = 0
        while kills < KILLS:
            victims = workers.pool() if dispatch == "celery" and kills % 2 else [one.pid for one in workers.programs]
            pools |= set(workers.pool())
            with suppress(ProcessLookupError):
                os.kill(dice.choice(victims or [workers.programs[0].pid]), signal.SIGKILL)
            kills += 1
            if not resumed.goes_on():
                break
            resumed.goes_on(dice.randint(1, max(1, PEOPLE // (KILLS * 2))))
            resumed.seconds.pop()
        resumed.tell()
        assert kills == KILLS, f"everything was written after {kills} kills"
        as_it_should_be(town, ordered, workers, tmp_path)
        left = pools - set(workers.pool())
        until(lambda: not any(map(lives, left)), "children whose parent was killed end by themselves")


@DISPATCHES
def test_a_worker_that_stands_still_past_its_lease_writes_nothing_once_it_goes_on(dispatch: str, make: Make, tmp_path: Path) -> None:
    town = make(dispatch, FEW)
    part = ("listen", "--processes", "1") if dispatch == "celery" else ("work",)
    with town.worker(*part, fault="export.before_target_write:freeze:2") as first, town.order() as ordered:

        def frozen() -> list[int]:
            return [one for one in [first.pid, *children(first.pid)] if lives(one) and state(one) == "T"]

        until(lambda: frozen() != [], "it stands still")
        if dispatch == "celery":
            os.kill(first.pid, signal.SIGSTOP)
        with Workers(town, 1) as workers:
            began = time.monotonic()
            resumed = Resumed(town, workers, f"a {dispatch} worker that stands still")
            resumed.goes_on()
            print(f"taken over after {time.monotonic() - began:.1f} s")
            until(lambda: ordered.wait(0), "the run ends", meanwhile=workers.look)
            late = frozen()
            for process in {first.pid, *late}:
                os.kill(process, signal.SIGCONT)
            first.signal(signal.SIGTERM)
            assert first.wait(), "and it ends in good order"
            as_it_should_be(town, ordered, workers, tmp_path)


# --- servers -----------------------------------------------------------------------------------------------------------------------------


def test_redis_that_is_killed_flushed_away_and_full_holds_nothing_up_for_good(make: Make, own_redis: redis.Broker, tmp_path: Path) -> None:
    town, dice = make("celery", PEOPLE), random.Random(11)
    with Workers(town) as workers, town.order() as ordered:
        resumed = Resumed(town, workers, "Redis")
        resumed.goes_on()
        resumed.seconds.clear()

        def away() -> None:
            own_redis.kill()
            time.sleep(FROZEN / 2)  # the fault itself
            own_redis.start()

        def still() -> None:
            own_redis.freeze()
            time.sleep(FROZEN / 2)  # the fault itself
            own_redis.thaw()

        def full() -> None:
            own_redis.fill()
            time.sleep(FROZEN / 2)  # the fault itself
            own_redis.empty()

        def again() -> None:
            own_redis.kill()
            own_redis.start()

        faults = [again] * (SERVERS - 1) + [own_redis.flush, away, full, still]
        dice.shuffle(faults)
        for fault in faults:
            fault()
            # Whoever has a batch goes on without a broker; whoever has none needs a message for the next one.
            for process in workers.pool()[: dice.randint(0, 2)]:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            if not resumed.goes_on(dice.randint(1, max(1, PEOPLE // 40))):
                break
        resumed.tell()
        as_it_should_be(town, ordered, workers, tmp_path)


@DISPATCHES
def test_postgresql_that_is_killed_and_stands_still_is_waited_for(dispatch: str, make: Make, own_postgres: Cluster, tmp_path: Path) -> None:
    town, dice = make(dispatch, PEOPLE), random.Random(13)
    with Workers(town) as workers, town.order() as ordered:
        resumed = Resumed(town, workers, f"PostgreSQL, {dispatch}")
        resumed.goes_on()
        resumed.seconds.clear()
        for number in range(SERVERS):
            if number % 2:
                own_postgres.stop("immediate")
            else:
                own_postgres.kill()
            own_postgres.start()
            if not resumed.goes_on():
                break
            resumed.goes_on(dice.randint(1, max(1, PEOPLE // (SERVERS * 3))))
            resumed.seconds.pop()
        own_postgres.freeze()
        time.sleep(FROZEN)  # the fault itself
        own_postgres.thaw()
        resumed.goes_on()
        resumed.tell()
        as_it_should_be(town, ordered, workers, tmp_path)


# --- clocks ------------------------------------------------------------------------------------------------------------------------------


CLOCKS = pytest.mark.parametrize("clock", sized(["+1h", "-6m"], ["+6m", "-6m", "+1h", "-1h"]))


@contextmanager
def at_another_time(town: Town, clock: str, library: Path) -> Iterator[int]:
    """A worker to whom the clock says something else."""
    other = started(town, another_time(town, clock, library))
    try:
        yield other.pid
    finally:
        town.end()
        other.wait()


def another_time(town: Town, clock: str, library: Path) -> dict[str, str]:
    """The environment of a program to which the clock says something else."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("METASYNC_")},
        **town.variables,
        "LD_PRELOAD": str(library),
        "FAKETIME": clock,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "METASYNC_DEVELOPMENT": "1",
        "METASYNC_ENGAGEMENT": str(town.written),
        **({"METASYNC_DATABASE": town.url, "METASYNC_KEY_FILE": str(town.key_file)} if town.url else {}),
    }


@CLOCKS
def test_workers_whose_clocks_differ_share_a_queue(clock: str, make: Make, library: Path, tmp_path: Path) -> None:
    """A server has one clock, whoever asks."""
    town = make("database", FEW, delay=20)
    with Workers(town, 1) as workers, town.order() as ordered, at_another_time(town, clock, library):
        resumed = Resumed(town, workers, f"clocks that differ by {clock}")
        resumed.goes_on(FEW // 2)
        os.kill(workers.programs[0].pid, signal.SIGKILL)
        as_it_should_be(town, ordered, workers, tmp_path)


@CLOCKS
def test_of_two_workers_on_a_file_the_one_whose_clock_is_behind_is_taken_over_from_and_writes_nothing_more(
    clock: str, make: Make, library: Path, tmp_path: Path
) -> None:
    """A database in a file has the clock of whoever asks. Whoever is ahead takes each lease of the other one for run out, and waits until
    that one must have noticed."""
    town = make("database", SLOW, delay=60, server=False)
    with ExitStack() as stack:

        def begins(*, ahead: bool) -> int:
            if ahead == clock.startswith("+"):
                return stack.enter_context(at_another_time(town, clock, library))
            return stack.enter_context(town.worker()).pid

        ahead = begins(ahead=True)
        until(lambda: leases_like(town, "worker/%") != [], "it has opened all that it needs")
        stand_still(town, ahead)
        begins(ahead=False)
        ordered = stack.enter_context(town.order())
        until(lambda: town.written_so_far > 3, "the one that is behind exports")
        (first,) = leases_like(town, "export/%")
        os.kill(ahead, signal.SIGCONT)
        until(lambda: leases_like(town, "export/%") not in ([first], [""]), "the one that is ahead takes over")
        with Workers(town, 1) as workers:
            states = ended_whole(town, ordered, workers, tmp_path)
        # Where the run's own import began before all was written, by the clock of whoever made it, one by the later clock confirms it.
        assert states.keys() <= {"written", "confirmed"}
        environment = another_time(town, clock if clock.startswith("+") else "+0", library)
        subprocess.run([*PROGRAM, "import", "--dispatch", "inline"], cwd=town.folder, env=environment, check=True, capture_output=True)
        assert town.change_states() == as_inline(tmp_path / "inline", town.stable, len(town.people))[2]


def leases_like(town: Town, name: str) -> list[str]:
    """Who holds such leases; "" for one that was given back."""
    with town.database() as connection:
        return list(connection.execute(select(lease.c.owner).where(lease.c.name.like(name))).scalars())


def stand_still(town: Town, process: int) -> None:
    """Freeze it, but not while it writes: others could not, either."""
    while True:
        os.kill(process, signal.SIGSTOP)
        with closing(sqlite3.connect(town.folder / "metasync.db", timeout=0.2, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                os.kill(process, signal.SIGCONT)


# --- fault points ------------------------------------------------------------------------------------------------------------------------


class Story:
    """Somebody asks for a run; a worker begins it, and is asked to end in the midst of the export; another one does the rest."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.reached: dict[str, Counter[str]] = {}

    def told(self, at: str = "", fault: str = "") -> None:
        """From its beginning. `at`: who fails by `fault`: `order`, `first` or `second`."""
        town = self.town
        armed = {one: fault if at == one else "" for one in ("order", "first", "second")}
        with town.worker(fault=armed["first"]) as first:
            with town.order(fault=armed["order"]) as ordered:
                if armed["order"]:
                    # Whether it was put on the queue is all that whoever died of it may have left open.
                    assert ordered.wait() and ordered.code == -9, town.heard(ordered)
                    if "queued" not in town.run_states() and "running" not in town.run_states():
                        with town.order() as again:
                            self._worked(first, again, armed)
                        return
                    self._worked(first, None, armed)
                    return
                self._worked(first, ordered, armed)

    def _worked(self, first: Program, ordered: Program | None, armed: dict[str, str]) -> None:
        town = self.town
        until(lambda: first.wait(0) or town.written_so_far > 0, "the export begins")
        first.signal(signal.SIGTERM)
        until(lambda: first.wait(0), "the first worker ends")
        with town.worker(fault=armed["second"]) as second:
            until(lambda: second.wait(0) or "done" in town.run_states(), "the run ends, or the second worker")
            with town.worker() as third:
                until(lambda: "done" in town.run_states(), "the run ends")
                third.signal(signal.SIGTERM)
                third.wait()
            second.signal(signal.SIGTERM)
            second.wait()
        if ordered is not None:
            answer = town.heard(ordered)
            assert answer.code == 0, answer
        if not any(armed.values()):
            self.reached = {"first": Counter(first.reached()), "second": Counter(second.reached())}
            self.reached["order"] = Counter(ordered.reached() if ordered is not None else {})
        for who, program in (("first", first), ("second", second)):
            assert not armed[who] or program.code == -9, f"{who} did not come to {armed[who]}"


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory, stable: Stable) -> dict[str, Counter[str]]:
    """How often each of the story's processes comes to each point, where nothing fails."""
    town = Town(tmp_path_factory.mktemp("story") / "town", stable, delay=40)
    town.begin(FEW)
    story = Story(town)
    story.told()
    assert town.wrong() == []
    return story.reached


def places(reached: dict[str, Counter[str]]) -> list[tuple[str, str, int]]:
    """(who, point, which time): the first, second, third, middle and last time; of a small set, the last time that anybody comes there."""
    found = []
    for name in QUEUE:
        every = [
            (who, name, nth)
            for who, counts in sorted(reached.items())
            for nth in sorted({n for n in (1, 2, 3, (counts[name] + 1) // 2, counts[name]) if 0 < n <= counts[name]})
        ]
        found += every if WHOLE else every[-1:]
    return found


def test_the_story_of_a_queue_reaches_every_point_of_it(reached: dict[str, Counter[str]]) -> None:
    assert {name for counts in reached.values() for name in counts} >= set(QUEUE)


PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_point_of_the_queue_nothing_is_lost_and_nothing_is_repeated(
    part: int, reached: dict[str, Counter[str]], tmp_path: Path, quick: Path, stable: Stable
) -> None:
    wrong: dict[str, object] = {}
    people, hashes, _ = as_inline(tmp_path / "inline", stable, FEW)
    print(f"{len(places(reached)[part::PARTS])} of {len(places(reached))} places")
    for number, (who, name, nth) in enumerate(places(reached)[part::PARTS]):
        town = Town(quick / f"town{number}", stable, delay=40)
        town.begin(FEW)
        try:
            Story(town).told(who, f"{name}:kill9:{nth}")
            found: object = town.wrong() or (seen(town), town.hashes()) != (people, hashes)
        except AssertionError as error:
            found = str(error)
        finally:
            town.close()
        if found:
            wrong[f"{who}, {name}:{nth}"] = found
    assert wrong == {}


def lives(process: int) -> bool:
    """It is there, and no zombie."""
    try:
        return state(process) != "Z"
    except OSError:
        return False


def children(process: int) -> list[int]:
    """Its children."""
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def started(town: Town, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A worker as a program of its own, for a library that is loaded at its start."""
    command = [*PROGRAM, "worker", "--dispatch", "database", "--part", "work"]
    return subprocess.Popen(command, cwd=town.folder, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
