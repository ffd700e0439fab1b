"""Runs on the queue, with the real processes of the whole product: workers, schedulers, and the tree that `metasync up` keeps alive."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from chaos import doubles
from chaos.forks import Program, Stable
from chaos.size import sized
from chaos.town import Town, Workers, as_inline, quick_folder, seen, until
from lab import postgres, redis
from sqlalchemy import select

from metasync.store.tables import lease, run

if os.name != "posix":
    pytest.skip("processes are killed and frozen, which needs POSIX", allow_module_level=True)

PEOPLE = 30
SECONDS = 90.0
"""For what takes few; a bound, no measure."""
Make = Callable[..., Town]


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stable]:
    with Stable(doubles.install(tmp_path_factory.mktemp("installed"))) as made:
        yield made


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[postgres.Cluster, redis.Broker]]:
    for why in (postgres.why_not(), redis.why_not()):
        if why is not None:
            pytest.skip(why)
    with postgres.cluster() as database, redis.broker() as broker:
        yield database, broker


@pytest.fixture
def make(tmp_path: Path, stable: Stable, request: pytest.FixtureRequest) -> Iterator[Make]:
    """A town of thirty, whose queue is `PLACE/DISPATCH`."""
    made: list[Town] = []

    def town(
        where: str = "sqlite/database", *, people: int = PEOPLE, beside: Town | None = None, delay: int = 0, name: str = "chaos"
    ) -> Town:
        place, _, dispatch = where.partition("/")
        url, broker = beside.url if beside else "", ""
        if place == "postgresql":
            database, server = request.getfixturevalue("servers")
            url = url or database.database(f"town_{tmp_path.name.replace('-', '_')[:40].lower()}_{len(made)}")
            broker = server.url if dispatch == "celery" else ""
        one = Town(folder / f"town{len(made)}", stable, url, dispatch=dispatch, broker=broker, delay=delay, name=name)
        made.append(one)
        one.begin(people)
        return one

    with quick_folder(tmp_path) as folder:
        yield town
        for one in made:
            one.close()


EVERY = ["sqlite/database", "postgresql/database", "postgresql/celery"]
EVERYWHERE = pytest.mark.parametrize("where", EVERY)
SOMEWHERE = pytest.mark.parametrize("where", sized(EVERY[::2], EVERY))


def up(town: Town, *more: str) -> Program:
    """Everything that one machine needs."""
    return town.start("up", "--dispatch", town.dispatch, *more)


def children(process: int) -> list[int]:
    with suppress(OSError):
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()]
    return []


def ends(program: Program, town: Town) -> str:
    """SIGTERM, and nothing is left; what it said."""
    program.signal(signal.SIGTERM)
    assert program.wait(SECONDS), f"left: {town.processes()}"
    answer = town.heard(program)
    assert answer.code == 0, answer
    assert town.processes() == []
    return str(answer.err)


@EVERYWHERE
def test_a_run_over_the_queue_gives_the_same_plans_to_the_hash_and_the_same_end(
    where: str, make: Make, tmp_path: Path, stable: Stable
) -> None:
    people, hashes, written = as_inline(tmp_path / "inline", stable, PEOPLE)
    town = make(where)
    with Workers(town):
        answer = town.heard(town.order())
        assert (answer.code, answer.json["state"]) == (0, "done"), answer
        assert (seen(town), town.hashes(), answer.json["written"]) == (people, hashes, written)
        again = town.heard(town.order())
        assert (again.code, [one for one in again.json["plans"] if one["changes"]]) == (0, [])
        for verb in (("import",), ("plan",), ("confirm",)):
            assert town.heard(town.order(*verb)).code == 0, "every verb of the job goes over the queue"
    assert town.wrong() == []


@EVERYWHERE
def test_up_starts_all_mends_what_is_killed_and_ends_cleanly(where: str, make: Make) -> None:
    town = make(where, delay=20)
    with up(town) as tree:
        until(lambda: len(children(tree.pid)) >= 2, "scheduler and workers", patience=SECONDS)
        with town.order() as ordered:
            until(lambda: town.written_so_far > 3, "it is worked", patience=SECONDS)
            for child in children(tree.pid):
                os.kill(child, signal.SIGKILL)
            answer = town.heard(ordered)
        assert (answer.code, answer.json["state"], list(answer.json["written"])) == (0, "done", ["confirmed"]), answer
        until(lambda: len(children(tree.pid)) >= 2, "they are started again", patience=SECONDS)
        said = ends(tree, town)
    assert "is started again" in said and "everything has ended" in said
    assert town.wrong() == []


@SOMEWHERE
def test_up_that_is_killed_takes_its_children_with_it_and_what_they_left_goes_on(where: str, make: Make) -> None:
    town = make(where, delay=20)
    with up(town) as tree:
        with town.order() as ordered:
            until(lambda: town.written_so_far > 3, "it is worked", patience=SECONDS)
            tree.signal(signal.SIGKILL)
            until(lambda: town.processes() == [], "they end by themselves", patience=SECONDS)
            with up(town) as second:
                assert town.heard(ordered).code == 0
                ends(second, town)
    assert town.wrong() == []


def test_of_two_schedulers_one_is_active_and_the_other_takes_over(make: Make) -> None:
    town = make("postgresql/database", people=3)
    town.text = town.text.replace("    kind: user", "    schedule: every 1 minutes\n    kind: user", 1)
    town.write_document()
    assert town.ask("load").code == 0

    def active() -> list[int]:
        with town.database() as connection:
            owners = connection.execute(select(lease.c.owner).where(lease.c.name == f"scheduler/{town.engagement}")).scalars()
            return [int(one.split(":")[1]) for one in owners]

    with town.start("scheduler", "--dispatch", "database") as first:
        until(lambda: active() == [first.pid], "the first is active", patience=SECONDS)
        until(lambda: len(town.run_states()) == 1, "it puts the profile on the queue", patience=SECONDS)
        with town.start("scheduler", "--dispatch", "database") as second, Workers(town, 1):
            until(lambda: town.run_states() == ["waiting"], "it is worked, and waits for a person", patience=SECONDS)
            assert active() == [first.pid]
            first.signal(signal.SIGKILL)
            until(lambda: active() == [second.pid], "the second takes over", patience=SECONDS)
            second.signal(signal.SIGTERM)
            assert town.heard(second).code == 0
    assert town.run_states() == ["waiting"], "and nothing was put on the queue twice"


def test_schedulers_of_different_engagements_in_one_database_do_not_wait_for_each_other(make: Make) -> None:
    """Each machine has its own engagements; the database is that of all."""
    one = make("postgresql/database", people=1)
    other = make("postgresql/database", people=1, beside=one, name="other")
    for town in (one, other):
        town.text = town.text.replace("    kind: user", "    schedule: every 1 minutes\n    kind: user", 1)
        town.write_document()
        assert town.ask("load").code == 0
    with one.start("scheduler", "--dispatch", "database"), other.start("scheduler", "--dispatch", "database"):
        until(lambda: len(one.run_states()) == 2, "each puts its profile on the queue", patience=SECONDS)


@SOMEWHERE
def test_a_run_that_is_asked_to_stop_stops_and_the_next_one_does_the_rest(where: str, make: Make) -> None:
    town = make(where, people=200, delay=20)
    with Workers(town, 1) as workers:
        with town.order() as ordered:
            until(lambda: town.written_so_far > 3, "it is worked", patience=SECONDS)
            assert town.ask("stop", "1").code == 0
            assert town.heard(ordered).code == 130
        assert town.written_so_far < 200
        with town.order() as ordered:
            until(lambda: len(town.run_states()) == 2 and town.run_states()[1] == "running", "it is worked", patience=SECONDS)
            ordered.signal(signal.SIGINT)  # Ctrl-C of whoever follows it
            assert town.heard(ordered).code == 130
        assert town.run_states() == ["stopped", "stopped"]
        assert town.heard(town.order()).code == 0
        assert workers.ends == []
    assert town.wrong() == []


def test_whoever_follows_a_run_that_nobody_works_is_told_so_and_may_take_it_back(make: Make) -> None:
    town = make(people=1)
    with town.order() as ordered:
        until(lambda: "start `metasync worker`" in said_aside(ordered), "it says what to do", patience=SECONDS)
        ordered.signal(signal.SIGINT)
        answer = town.heard(ordered)
    assert (answer.code, town.run_states()) == (130, ["stopped"])
    assert "press Ctrl-C again to leave the run to its workers" in answer.err


def test_a_second_ctrl_c_leaves_a_run_to_whoever_works_it(make: Make) -> None:
    town = make(people=200, delay=20)
    with town.worker() as worker, town.order() as ordered:
        until(lambda: town.written_so_far > 3, "it is worked", patience=SECONDS)
        worker.signal(signal.SIGSTOP)
        ordered.signal(signal.SIGINT)
        until(lambda: "press Ctrl-C again" in said_aside(ordered), "it heard", patience=SECONDS)
        ordered.signal(signal.SIGINT)
        answer = town.heard(ordered)
        assert answer.code == 130
        assert "run 1 was asked to stop and is left to its workers" in answer.err
        assert town.run_states() == ["running"]
        worker.signal(signal.SIGCONT)
        until(lambda: town.run_states() == ["stopped"], "it hears of it", patience=SECONDS)
    assert 3 < town.written_so_far < 200


@SOMEWHERE
def test_engagements_in_one_worker_stay_apart(where: str, make: Make) -> None:
    one = make(where)
    other = make(where, beside=one, name="other")
    documents = [str(one.written), str(other.written)]
    database = one.url or f"sqlite:///{one.folder / 'metasync.db'}"
    if not one.url:
        other.url = database
        other.begin(PEOPLE)
    with one.start("worker", *documents, "--dispatch", one.dispatch, "--database", database, "--processes", "2") as worker:
        with one.order() as first, other.order() as second:
            assert (one.heard(first).code, other.heard(second).code) == (0, 0)
        ends(worker, one)
    assert (one.wrong(), other.wrong()) == ([], [])


def test_a_run_is_followed_by_lines_and_as_json(make: Make) -> None:
    town = make()
    with town.start("runs", "--follow") as lines, town.start("runs", "--follow", "--json") as objects, Workers(town, 1):
        until(lambda: all("following" in said_aside(one) for one in (lines, objects)), "both look", patience=SECONDS)
        assert town.heard(town.order()).code == 0
        # They look each second.
        until(
            lambda: "run 1, run of people: done" in said(lines) and '"state": "done", "text": "run 1,' in said(objects), "both tell its end"
        )
        for program in (lines, objects):
            program.signal(signal.SIGINT)
            assert program.wait(SECONDS)
        told, events = said(lines), [json.loads(line) for line in said(objects).splitlines()]
    assert re.search(r"^run 1: export staff: done, ", told, re.MULTILINE)
    assert re.search(r"^run 1, run of people: done$", told, re.MULTILINE)
    assert {"queued", "running", "done"} >= {one["state"] for one in events}
    assert [one["run"] for one in events if "run" in one and one["state"] == "done"] == [1]
    assert all(set(one) - {"run", "step"} == {"at", "state", "text", "more"} for one in events)


def said(program: Program) -> str:
    """What it printed so far."""
    return Path(f"/proc/{os.getpid()}/fd/{program._out.fileno()}").read_text(encoding="utf-8")


def said_aside(program: Program) -> str:
    """What it told the person so far."""
    return Path(f"/proc/{os.getpid()}/fd/{program._err.fileno()}").read_text(encoding="utf-8")


# --- the broker --------------------------------------------------------------------------------------------------------------------------


def test_without_a_broker_celery_is_refused_in_words(make: Make) -> None:
    town = make("postgresql/celery", people=1)
    town.variables.pop("METASYNC_BROKER")
    for command in (("run", "--dispatch", "celery"), ("worker", "--dispatch", "celery"), ("up", "--dispatch", "celery")):
        answer = town.ask(*command)
        assert (answer.code, "needs `--broker URL`" in answer.err, "Traceback" in answer.err) == (2, True, False), answer
    assert town.run_states() == []


@pytest.mark.parametrize("trouble", ["down", "another password"])
def test_a_run_that_no_broker_took_says_so_and_is_worked_once_it_is_back(trouble: str, make: Make, own_redis: redis.Broker) -> None:
    town = make("postgresql/celery")
    town.variables["METASYNC_BROKER"] = own_redis.url
    with Workers(town):
        until(lambda: b"_kombu" in own_redis.ask("KEYS", "*"), "they listen", patience=SECONDS)
        if trouble == "down":
            own_redis.kill()
        else:
            town.variables["METASYNC_BROKER"] = own_redis.url_with("wrong-word")
        with town.order() as ordered:
            if trouble == "down":
                until(lambda: "could not be told" in said_aside(ordered), "the broker is down", patience=SECONDS)
                assert town.run_states() == ["queued"]
                own_redis.start()
            answer = town.heard(ordered)
        assert answer.code == 0, answer
        assert "celery could not be told of run 1" in answer.err
        assert "wrong-word" not in answer.err + answer.out and own_redis.password not in answer.err + answer.out
    assert town.wrong() == []


def test_the_password_of_the_broker_is_in_no_argument_no_log_and_no_file(
    make: Make, servers: tuple[postgres.Cluster, redis.Broker]
) -> None:
    town = make("postgresql/celery")
    words = [servers[1].password, re.findall(r":([^:@/]+)@", town.url)[0]]
    with up(town) as tree:
        with town.order() as ordered:
            until(lambda: len(town.processes()) >= 4, "all of them live", patience=SECONDS)
            arguments = [Path(f"/proc/{one}/cmdline").read_text() for one in (tree.pid, *town.processes())]
            answer = town.heard(ordered)
        assert answer.code == 0
        log = ends(tree, town)
    shown = subprocess.run(["pg_dump", town.url], capture_output=True, text=True).stdout
    assert "metasync" in "".join(arguments) and "CREATE TABLE" in shown
    files = "".join(one.read_text(errors="replace") for one in town.folder.rglob("*") if one.is_file())
    for word in words:
        for text in (*arguments, log, answer.out, answer.err, shown, files):
            assert word not in text
    with town.database() as connection:
        assert all(word not in str(row) for row in connection.execute(select(run)) for word in words)
