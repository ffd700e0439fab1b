"""Who is told of what, and how often; and that a notifier which fails or hangs holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from marshmallow import fields

from metasync import notifying
from metasync.contract import (
    Connector,
    Event,
    Exporter,
    Intent,
    Kind,
    MetasyncError,
    Notification,
    Notifier,
    NotifierContext,
    Operation,
    Options,
    Outcome,
    Pair,
    Result,
    Secret,
    Unavailable,
    hookimpl,
    option,
)
from metasync.engagement.secrets import Secrets
from metasync.runs import queue as ordering
from metasync.runs import run as running
from metasync.runs import steps, working
from metasync.runs.queue import order
from metasync.runs.record import recorded
from metasync.store import audit, queue
from metasync.store import runs as rows
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person

NOTIFY = """
notify:
  paper:
    - {tray: everything, key: {secret: tray-key}}
    - {tray: plans, on: [limit, approval]}
"""


class PaperOptions(Options):
    tray = option(fields.String(required=True), title="Tray", help="Where it is put.")
    key = Secret(title="Key", help="Opens the tray.")


class Office:
    """Registers a notifier that puts what it is told into trays, or has no paper, or waits for some."""

    def __init__(self) -> None:
        self.trays: dict[str, list[Notification]] = {}
        self.error: BaseException | None = None
        self.hangs: threading.Event | None = None

    def of(self, tray: str = "everything") -> list[str]:
        return [one.event.value for one in self.trays.get(tray, [])]

    @hookimpl
    def metasync_register_notifiers(self) -> Sequence[type[Notifier]]:
        office = self

        class Paper(Notifier):
            name, title, Options = "paper", "On paper", PaperOptions

            def __init__(self, options: Mapping[str, Any], context: NotifierContext) -> None:
                super().__init__(options, context)
                if options["key"] is not None:
                    context.secret(options["key"])

            def notify(self, notification: Notification) -> None:
                if office.hangs is not None:
                    office.hangs.wait(60)
                if office.error is not None:
                    raise office.error
                office.trays.setdefault(self.options["tray"], []).append(notification)

        return [Paper]


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def hr() -> MemoryDirectory:
    directory = MemoryDirectory()
    person(directory, "Ann Lee")
    return directory


@pytest.fixture
def engine(tmp_path: Path, hr: MemoryDirectory, office: Office) -> Iterator[Engine]:
    ad = MemoryDirectory()
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF) + NOTIFY, {"hr": hr, "ad": ad}, plugins=[office])
    made.workspace = replace(made.workspace, secrets=Secrets.of({"tray-key": "open sesame"}))
    yield made
    made.close()


def failed(engine: Engine, error: str, what: Sequence[str] = ("people",)) -> None:
    with pytest.raises(MetasyncError), recorded(engine.workspace, "run", what):
        raise MetasyncError(error)


def good(engine: Engine, what: Sequence[str] = ("people",)) -> None:
    with recorded(engine.workspace, "run", what):
        pass


def problems(engine: Engine) -> list[tuple[str, str]]:
    return [(code, text) for area, code, text in engine.problems() if area == "notify"]


def test_a_failure_is_told_once_and_so_is_that_it_is_over(engine: Engine, office: Office) -> None:
    failed(engine, "hr cannot be reached")
    failed(engine, "hr cannot be reached")
    assert office.of() == ["failed"]
    failed(engine, "hr refused the sign-in")
    assert office.of() == ["failed", "failed"], "another failure is another event"
    good(engine)
    good(engine)
    assert office.of() == ["failed", "failed", "recovered"]
    first, _, over = office.trays["everything"]
    assert (first.engagement, first.run, first.kind, first.profiles) == ("pipeline", 1, "run", ("people",))
    assert first.text == "hr cannot be reached"
    assert over.text == "What had been wrong in run 3: hr refused the sign-in"
    assert office.of("plans") == [], "nobody there wanted to hear of runs"


def test_a_run_of_something_else_has_its_own_failures(engine: Engine, office: Office) -> None:
    failed(engine, "no paper")
    failed(engine, "no paper", ["groups"])
    good(engine, ["groups"])
    failed(engine, "no paper")
    assert office.of() == ["failed", "failed", "recovered"]


def test_the_number_of_the_run_makes_no_other_failure(engine: Engine, office: Office) -> None:
    failed(engine, "the import of hr by run 1 has not come to its end")
    failed(engine, "the import of hr by run 2 has not come to its end")
    failed(engine, "LDAP error 49")
    failed(engine, "LDAP error 52")
    assert office.of() == ["failed"] * 3


def test_a_run_that_was_stopped_says_nothing(engine: Engine, office: Office) -> None:
    failed(engine, "no paper")
    with pytest.raises(KeyboardInterrupt), recorded(engine.workspace, "run", ["people"]):
        raise KeyboardInterrupt
    failed(engine, "no paper")
    assert office.of() == ["failed"]
    good(engine)
    assert office.of() == ["failed", "recovered"]


def test_a_run_whose_process_was_killed_is_told_by_the_next_one(engine: Engine, office: Office) -> None:
    with engine.backend.write() as connection:
        at = engine.backend.now(connection)
        rows.begin(connection, engine.workspace.engagement_id, kind="run", what=["people"], author="tester", at=at)
    good(engine)
    assert office.of() == ["failed", "recovered"]
    assert "the process that worked on it ended" in office.trays["everything"][0].text


def test_who_is_tired_of_waiting_for_a_notifier_leaves_no_run_behind(
    engine: Engine, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.backend.write() as connection:
        at = engine.backend.now(connection)
        rows.begin(connection, engine.workspace.engagement_id, kind="run", what=["people"], author="tester", at=at)
    join = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name.startswith("notify "):
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        good(engine)
    with engine.backend.read() as connection:
        assert [row.state for row in rows.newest(connection, engine.workspace.engagement_id)] == ["stopped", "failed"]


def test_a_plan_that_waits_is_told_once(engine: Engine, office: Office, hr: MemoryDirectory) -> None:
    engine.run("people")
    engine.run("people")
    assert office.of() == office.of("plans") == ["approval"]
    (told,) = office.trays["plans"]
    assert (told.plan, told.profiles, told.counts, told.text) == (1, ("people",), (("create", 1),), "")
    assert told.subject == "Metasync pipeline: plan 1 waits for approval (people)"
    assert "`metasync show 1`" in told.body
    person(hr, "Bo Lee")
    engine.run("people")
    assert office.of("plans") == ["approval", "approval"], "another plan"
    with engine.backend.read() as connection:
        (row,) = audit.about(connection, engine.workspace.engagement_id, "notified", "plan 1 of people")
    assert row.detail == {"event": "approval", "to": ["paper", "paper 2"]}


def test_a_plan_that_is_approved_at_once_waits_for_nobody(engine: Engine, office: Office) -> None:
    engine.run("people", approve=True)
    assert office.trays == {}


def test_a_plan_beyond_a_limit_is_told_as_that_in_its_words(engine: Engine, office: Office, hr: MemoryDirectory) -> None:
    engine.load(DOCUMENT.format(profiles=STAFF.replace("create: {count: 5000}", "create: {count: 1}")) + NOTIFY.replace("tray-key", "k"))
    engine.workspace = replace(engine.workspace, secrets=Secrets.of({"k": "open sesame"}))
    person(hr, "Bo Lee")
    engine.run("people", approve=True)
    (told,) = office.trays["everything"]
    assert told.event is Event.LIMIT
    assert "create" in told.text and "1" in told.text
    assert "Lee" not in told.text + told.body + told.subject, "no values"


class Badge(Exporter):
    """Gives everybody a badge, once."""

    name, title, Options = "badge", "Badges", Options
    operations = frozenset({Operation.PASSWORD})
    needs = (Connector, Connector)

    def plan(self, pairs: Iterator[Pair], since: str | None) -> Iterator[Intent]:
        for pair in pairs:
            if pair.state is None:
                yield Intent(pair=pair, operation=Operation.PASSWORD, after={"badge": "new"}, reason="has none", state="given")

    def write(self, intents: Sequence[tuple[str, Intent]], source: Connector, target: Connector) -> Iterator[Result]:
        for number, _ in intents:
            yield Result(id=number, outcome=Outcome.APPLIED)


class Gate:
    """Registers it."""

    @hookimpl
    def metasync_register_exporters(self) -> Sequence[type[Exporter]]:
        return [Badge]


def test_a_plan_of_an_exporter_is_told_too(tmp_path: Path, hr: MemoryDirectory, office: Office) -> None:
    ad = MemoryDirectory()
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    document = DOCUMENT.format(profiles=STAFF) + "notify: {paper: {tray: plans}}\nexporters: {badge: {between: [hr, ad]}}\n"
    engine = Engine(tmp_path, document, {"hr": hr, "ad": ad}, plugins=[office, Gate()])
    try:
        engine.run("people", approve=True)
        (told,) = office.trays["plans"]
        assert (told.event, told.profiles, told.counts) == (Event.APPROVAL, ("badge: hr -> ad",), (("password", 1),))
        person(hr, "Bo Lee")
        engine.run("people", approve=True)
        assert office.of("plans") == ["approval", "approval"], "another plan: it is of two people"
    finally:
        engine.close()


def test_it_is_told_by_workers_too(engine: Engine, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = replace(engine.workspace, dispatch="database")

    def drain() -> str:
        for _ in range(50):
            with workspace.backend.read() as connection:
                found = queue.runnable(connection, workspace.engagement_id, now=workspace.backend.now(connection))
            if not found:
                break
            working.work(workspace, found[0].id, found[0].nonce)
        with workspace.backend.read() as connection:
            (row,) = rows.newest(connection, workspace.engagement_id, limit=1)
        assert row.state in ordering.ENDED
        return row.state

    def broken(*_: object) -> Any:
        raise MetasyncError("the archive is full")

    with monkeypatch.context() as patch:
        patch.setitem(steps.WORK, "synchronise", broken)  # type: ignore[arg-type]
        order(workspace, "run", ["people"], {})
        assert drain() == "failed"
        order(workspace, "run", ["people"], {})
        assert drain() == "failed"
    assert office.of() == ["failed"]
    order(workspace, "run", ["people"], {})
    assert drain() == "waiting"
    assert office.of() == ["failed", "approval", "recovered"]
    assert problems(engine) == []


def test_a_notifier_that_fails_is_a_problem_until_it_works_and_then_tells_what_still_stands(engine: Engine, office: Office) -> None:
    office.error = Unavailable("there is no paper for open sesame")
    failed(engine, "hr cannot be reached")
    ((code, text),) = problems(engine)
    assert code == "not delivered"
    assert "run 1" in text and "there is no paper" in text and "open sesame" not in text
    engine.run("people")
    assert len(problems(engine)) == 2, "both trays"
    office.error = None
    failed(engine, "hr cannot be reached")
    assert office.of() == ["failed"], "nobody had heard of it"
    engine.run("people")
    assert office.of("plans") == ["approval"]
    assert problems(engine) == []


def test_that_all_is_well_again_is_told_once_whoever_could_not_be_told_works_again(engine: Engine, office: Office) -> None:
    failed(engine, "hr cannot be reached")
    office.error = Unavailable("there is no paper")
    good(engine)
    good(engine, ["people", "groups"])
    good(engine)
    ((_, text),) = problems(engine)
    assert "run 2" in text
    office.error = None
    good(engine, ["people", "groups"])
    assert office.of() == ["failed"], "of these nothing had failed"
    good(engine)
    good(engine)
    assert office.of() == ["failed", "recovered"]
    over = office.trays["everything"][-1]
    assert (over.run, over.text) == (2, "What had been wrong in run 1: hr cannot be reached")
    assert problems(engine) == []


@pytest.mark.parametrize("error", [RuntimeError("ann.lee@x.test"), SystemExit(3)])
def test_a_notifier_with_a_mistake_takes_nothing_down(engine: Engine, office: Office, error: BaseException) -> None:
    office.error = error
    good(engine)
    failed(engine, "hr cannot be reached")
    ((_, text),) = problems(engine)
    assert "tell its author" in text and "ann.lee" not in text


def test_a_notifier_that_hangs_is_left_behind(engine: Engine, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "DEADLINE", 0.2)
    office.hangs = threading.Event()
    failed(engine, "hr cannot be reached")
    assert office.trays == {}
    ((_, text),) = problems(engine)
    assert "within 0.2 s" in text
    office.hangs.set()


def test_a_missing_secret_is_a_problem_and_no_failure(engine: Engine, office: Office) -> None:
    engine.workspace = replace(engine.workspace, secrets=Secrets.of({}))
    failed(engine, "hr cannot be reached")
    ((_, text),) = problems(engine)
    assert "metasync secrets set tray-key" in text


def test_no_secret_stands_in_what_is_told(engine: Engine, office: Office) -> None:
    engine.workspace.secrets.get("tray-key")
    failed(engine, "nobody could open sesame\x1b[2J" + "x" * 5000)
    (told,) = office.trays["everything"]
    assert told.text.startswith("nobody could (secret)[2J")
    assert len(told.text) < 2100


def test_what_the_document_does_not_name_any_more_is_no_problem(engine: Engine, office: Office) -> None:
    office.error = Unavailable("there is no paper")
    failed(engine, "hr cannot be reached")
    assert len(problems(engine)) == 1
    engine.load(DOCUMENT.format(profiles=STAFF))
    good(engine)
    assert problems(engine) == []


def test_a_trial_goes_to_everybody(engine: Engine, office: Office) -> None:
    assert [one.error for one in notifying.trial(engine.workspace)] == [None, None]
    assert office.of() == office.of("plans") == ["trial"]
    office.error = Unavailable("there is no paper")
    assert [one.error for one in notifying.trial(engine.workspace)] == ["there is no paper"] * 2
    assert len(problems(engine)) == 2


def test_without_a_database_it_is_a_line_in_the_log(engine: Engine, office: Office, caplog: pytest.LogCaptureFixture) -> None:
    engine.backend.close()
    (engine.folder / "metasync.db").rename(engine.folder / "gone")
    notifying.run_ended(engine.workspace, 1)
    notifying.plan_waits(engine.workspace, 1)
    assert caplog.text.count("nobody could be notified") == 2


def test_notifications_are_no_part_of_a_profiles_configuration(engine: Engine) -> None:
    before = {name: one.configuration for name, one in engine.workspace.engagement.profiles.items()}
    engine.load(DOCUMENT.format(profiles=STAFF))
    assert {name: one.configuration for name, one in engine.workspace.engagement.profiles.items()} == before


def test_a_failed_import_names_its_directory(engine: Engine, office: Office, hr: MemoryDirectory) -> None:
    hr.faults.unavailable = "nobody answers"
    running.import_directories(engine.workspace, ["hr"])
    (told,) = office.trays["everything"]
    assert told.subject == "Metasync pipeline: import (run 1) failed"
    assert told.text.startswith("hr: ")
