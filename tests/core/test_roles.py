"""Who may do what in an engagement is said by its document, and holds for every way in; what is refused is in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metasync import opening, service
from metasync.contract import Kind, MetasyncError
from metasync.engagement.model import Role
from metasync.opening import Settings
from metasync.roles import NotAllowed
from metasync.runs import working
from metasync.runs.queue import order
from metasync.service import Trouble, trouble
from metasync.store import audit, queue
from metasync.store import runs as rows
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person, target
from metasync.workspace import Workspace

ROLES = "\nroles: {engineer: [anna, ben], operator: otto, approver: [clara]}\n"


@pytest.fixture
def ad() -> MemoryDirectory:
    return target()


@pytest.fixture
def engine(tmp_path: Path, ad: MemoryDirectory) -> Iterator[Engine]:
    hr = MemoryDirectory()
    person(hr, "Ann Lee")
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF) + ROLES, {"hr": hr, "ad": ad})
    yield made
    made.close()


def by(engine: Engine, who: str) -> Workspace:
    return replace(engine.workspace, author=who)


def refusals(engine: Engine) -> list[tuple[str, str, str]]:
    """(who, what, the role that it takes)."""
    with engine.backend.read() as connection:
        found = audit.newest_of(connection, engine.workspace.engagement_id, ["refused"]).values()
    return sorted((one.actor, one.subject, one.detail["role"]) for one in found)


OPERATED: dict[str, Callable[[Workspace], object]] = {
    "import": lambda at: service.import_directories(at),
    "plan": lambda at: service.plan(at),
    "run": lambda at: service.run(at),
    "export plan 1": lambda at: service.export(at, [1]),
    "confirm": lambda at: service.confirm(at),
    "undo run 1": lambda at: service.undo(at, 1),
    "undo the wave leeds": lambda at: service.undo_wave(at, "leeds"),
    "stop run 1": lambda at: service.stop(at, 1),
    "pause": lambda at: service.pause(at),
    "resume": lambda at: service.pause(at, paused=False),
    "release": lambda at: service.release(at),
    "join": lambda at: service.join(at, "a", "b", "a reason"),
    "unjoin": lambda at: service.unjoin(at, "a", None, "a reason"),
    "ignore": lambda at: service.ignore(at, "a", "a reason"),
    "move the wave leeds": lambda at: service.wave_move(at, "leeds", reason="a reason"),
    "cut over the wave leeds": lambda at: service.wave_cut_over(at, "leeds", reason="a reason"),
    "back the wave leeds": lambda at: service.wave_back(at, "leeds", reason="a reason"),
}


@pytest.mark.parametrize("what", OPERATED)
def test_only_an_operator_begins_stops_and_decides(engine: Engine, what: str) -> None:
    with pytest.raises(NotAllowed, match="give operator to otto") as caught:
        OPERATED[what](by(engine, "clara"))
    assert trouble(caught.value) is Trouble.USAGE
    assert refusals(engine) == [("clara", what, "operator")]
    with engine.backend.read() as connection:
        assert rows.newest(connection, engine.workspace.engagement_id, limit=9) == []


def test_whoever_operates_does_not_approve_and_whoever_approves_does_not_operate(engine: Engine, ad: MemoryDirectory) -> None:
    service.run(by(engine, "otto"))
    with pytest.raises(NotAllowed, match="otto may not approve plan 1"):
        service.approve(by(engine, "otto"), 1, reason="mine")
    with pytest.raises(NotAllowed, match="otto may not run --approve"):
        service.run(by(engine, "otto"), approve=True)
    assert service.approve(by(engine, "clara"), 1, reason="looked at").state == "approved"
    with pytest.raises(NotAllowed):
        service.export(by(engine, "clara"), [1])
    assert not ad.anchors(Kind.USER)
    assert service.export(by(engine, "otto"), [1]).written == {"confirmed": 1}
    assert refusals(engine) == [
        ("clara", "export plan 1", "operator"),
        ("otto", "approve plan 1", "approver"),
        ("otto", "run --approve", "approver"),
    ]


def test_a_run_on_the_queue_approves_nothing_that_whoever_ordered_it_may_not(engine: Engine, ad: MemoryDirectory) -> None:
    """Also where it did not come by the service: a worker looks again, at whoever ordered it."""
    workspace = replace(engine.workspace, dispatch="database")
    order(replace(workspace, author="otto"), "run", ["people", "groups"], {"approve": True, "reason": "mine"})
    for _ in range(50):
        with workspace.backend.read() as connection:
            found = queue.runnable(connection, workspace.engagement_id, now=workspace.backend.now(connection))
        if not found:
            break
        working.work(replace(workspace, author="clara"), found[0].id, found[0].nonce)
    with workspace.backend.read() as connection:
        ended = rows.get(connection, workspace.engagement_id, 1)
    assert ended is not None
    assert (ended.state, "otto may not approve plan 1" in (ended.error or "")) == ("failed", True)
    assert not ad.anchors(Kind.USER)


def test_without_roles_everybody_may(tmp_path: Path) -> None:
    hr, ad = MemoryDirectory(), MemoryDirectory()
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    person(hr, "Ann Lee")
    engine = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad})
    try:
        assert engine.workspace.engagement.roles == {}
        assert service.run(by(engine, "anybody"), approve=True).written == {"confirmed": 1}
    finally:
        engine.close()


# --- the document itself -----------------------------------------------------------------------------------------------------------------

SMALL = """
engagement: small
plugins: {{csv: ">=0"}}
directories: {{hr: {{connector: csv, options: {{path: hr.csv, anchor: id}}}}}}
{roles}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("METASYNC_DEVELOPMENT", "1")
    (tmp_path / "hr.csv").write_text("id\n1\n", encoding="utf-8")
    return tmp_path


def load(folder: Path, who: str, roles: str = "", name: str = "small") -> int:
    text = SMALL.format(roles=f"roles: {{{roles}}}" if roles else "").replace("engagement: small", f"engagement: {name}")
    document = folder / f"{name}.yaml"
    document.write_text(text, encoding="utf-8")
    return service.load(Settings(engagement=document, author=who, database=f"sqlite:///{folder / 'all.db'}")).revision


def test_only_an_engineer_of_the_revision_that_holds_loads_the_next_one(folder: Path) -> None:
    assert load(folder, "anna", "engineer: [anna, ben]") == 1
    with pytest.raises(NotAllowed, match="clara may not load: the document's `roles` give engineer to anna, ben"):
        load(folder, "clara", "engineer: clara")
    with pytest.raises(NotAllowed):
        load(folder, "clara")
    assert load(folder, "ben") == 2
    assert load(folder, "clara", "engineer: clara") == 3


def test_nobody_shuts_himself_out(folder: Path) -> None:
    with pytest.raises(NotAllowed, match="anna would not be able to load this engagement again"):
        load(folder, "anna", "engineer: ana")
    assert load(folder, "anna", "engineer: anna") == 1


def test_a_load_that_is_refused_forgets_nothing(folder: Path) -> None:
    """Beside the document lies what tells an older database from the present one."""
    witness = Settings(engagement=folder / "small.yaml").witness
    witness.parent.mkdir(parents=True, exist_ok=True)
    witness.write_text("kept", encoding="utf-8")
    with pytest.raises(NotAllowed):
        load(folder, "anna", "engineer: ben")
    assert witness.read_text(encoding="utf-8") == "kept"
    load(folder, "ben", "engineer: ben")
    assert not witness.exists()


def test_each_engagement_of_one_database_has_its_own(folder: Path) -> None:
    assert load(folder, "anna", "engineer: anna") == 1
    assert load(folder, "clara", "engineer: clara", name="other") == 1
    with pytest.raises(NotAllowed):
        load(folder, "anna", "engineer: anna", name="other")


def test_only_an_engineer_sets_secrets(folder: Path) -> None:
    load(folder, "anna", "engineer: anna")
    settings = Settings(engagement=folder / "small.yaml", database=f"sqlite:///{folder / 'all.db'}")
    with pytest.raises(NotAllowed, match="clara may not set secrets"), service.secret_store(replace(settings, author="clara")):
        raise AssertionError("not reached")
    with service.secret_store(replace(settings, author="anna")) as store:
        store.set("word", "kept")
        assert list(store.names()) == ["word"]


@pytest.mark.parametrize(
    ("roles", "said"),
    [("boss: [anna]", "approver"), ("approver: []", "roles.approver"), ("approver: [3]", "not text"), ("approver: {anna: 1}", "not text")],
)
def test_a_role_that_nobody_knows_or_has_is_a_mistake_in_the_document(folder: Path, roles: str, said: str) -> None:
    with pytest.raises(MetasyncError) as caught:
        load(folder, "anna", roles)
    assert said in str(caught.value)


def test_who_acts_is_the_account_of_the_system_and_not_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    known = opening.account()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "clara")
    assert opening.account() == known != "clara"


def test_every_role_is_told_in_the_reference() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/document.md").read_text(encoding="utf-8")
    assert all(f"`{role}`" in text for role in Role)
