"""What `test_machine` finds right or wrong, by the names of the invariants. Looks at directories and database; changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import func, select

from metasync.contract import Kind, Operation, Reference, Values
from metasync.store import audit, codec
from metasync.store.rows import Status
from metasync.store.tables import approval, change, directory, object_, plan, problem, sync_state
from metasync.testing.engine import Engine

from .model import Image, Model
from .witness import Heard, Witness

UNWRITTEN = ("planned", "approved", "in_flight")


class Judge:
    """Compares an engine's target with the model."""

    def __init__(self, engine: Engine, model: Model, target: Witness) -> None:
        self.engine, self.model, self.target = engine, model, target
        self.natives: dict[str, dict[str, Values]] = {}
        """anchor -> image of what others made in the target."""

    @property
    def ours(self) -> dict[str, str]:
        """number -> anchor of what Metasync made in the target. I2: nobody stands there twice."""
        found: dict[str, str] = {}
        for anchor in self.target.anchors(Kind.USER, Kind.GROUP):
            if anchor not in self.natives:
                number = self.target.number(anchor)
                assert found.setdefault(number, anchor) == anchor, f"I2: {number} stands twice in the target"
        return found

    @contextmanager
    def only_looking(self) -> Iterator[None]:
        """I3: the target changes in an export alone."""
        with self.target.now() as (_, before):
            pass
        yield
        with self.target.now() as (_, after):
            assert before == after, "I3: the target changed without an export"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """I2, I3 and I4 of everything that reaches the target meanwhile."""
        heard = len(self.target.heard)
        yield
        for one in self.target.heard[heard:]:
            assert not one.again, f"I2: {one.change.operation} of {one.change.label} was written twice"
            self._was_approved(one)
            self._has_reason(one.change.operation, one.number)

    def _was_approved(self, heard: Heard) -> None:
        told = heard.change
        query = (
            select(change, plan.c.hash, approval.c.hash.label("approved"))
            .join(plan, plan.c.id == change.c.plan_id)
            .outerjoin(approval, approval.c.plan_id == plan.c.id)
            .where(change.c.id == int(told.id))
        )
        with self.engine.backend.read() as connection:
            row = connection.execute(query).one()
        assert (row.operation, row.tag, row.hash) == (told.operation.value, told.tag, row.approved), "I3: nobody approved it"
        approved = codec.decode(row.after)
        for name, value in told.after.items():
            # Whom a reference to somebody new means is known only now.
            same = name in approved and (isinstance(approved[name], Reference) or approved[name] == value)
            assert same, f"I3: {name} of {told.label} was not written as it was approved"

    def _has_reason(self, operation: Operation, number: str) -> None:
        assert number or operation is Operation.CREATE, "what others made is left alone"
        if operation is Operation.DELETE:
            assert number in self.model.let_go, f"I4: {number} is deleted, and always was in scope"
        elif operation is Operation.DISABLE:
            assert number in self.model.switched_off, f"I4: {number} is disabled, and never was in the source"

    def planned(self, plans: Collection[int]) -> None:
        """I4 of everything that these plans would do."""
        query = select(change.c.operation, change.c.anchor).where(change.c.plan_id.in_(list(plans)), change.c.state.in_(UNWRITTEN))
        with self.engine.backend.read() as connection:
            for operation, anchor in connection.execute(query):
                if operation != Operation.CREATE.value and anchor is not None:
                    self._has_reason(Operation(operation), self.target.number(anchor))

    def states(self) -> None:
        """I5: after a plan, every source object of a profile's kind has exactly one state, with its reason in words."""
        counted = func.count(sync_state.c.object_id), func.min(sync_state.c.status), func.min(sync_state.c.reason)
        everything = object_.join(directory, directory.c.id == object_.c.directory_id)
        query = (
            select(object_.c.id, *counted)
            .select_from(everything.outerjoin(sync_state, sync_state.c.object_id == object_.c.id))
            .where(directory.c.name == "hr", object_.c.kind.in_(["user", "group"]))
            .group_by(object_.c.id)
        )
        with self.engine.backend.read() as connection:
            for _, number, status, reason in connection.execute(query):
                assert number == 1, "I5: exactly one state"
                assert Status(status) and reason.strip(), "I5: a reason in words"

    def audited(self) -> None:
        """I6: the audit log is whole."""
        with self.engine.backend.read() as connection:
            assert audit.verify(connection) == [], "I6: the audit log is whole"

    # At rest

    def at_rest(self) -> None:
        """The target is what the model says, attribute by attribute; I1: nothing is on its way any more, and nothing stands as an error."""
        ours, problems = self.ours, self.engine.problems()
        assert ours.keys() == self.model.wanted.keys(), problems
        taken: set[tuple[str, str]] = set()
        for number in self.model.wanted:
            there, expected = self._in_numbers(number, ours[number]), self.model.expected(number)
            assert {name: there.get(name) for name in expected} == expected, (number, problems)
            assert self.model.fits(number, there["name"]), (number, there["name"])
            assert (there["path"], there["name"].casefold()) not in taken
            taken.add((there["path"], there["name"].casefold()))
        for anchor, image in self.natives.items():
            assert self.target.get(anchor) == image, "what others made is left alone"
        with self.engine.backend.read() as connection:
            open_ = connection.execute(select(change.c.label, change.c.operation, change.c.state).where(change.c.state.in_(UNWRITTEN)))
            assert open_.all() == [], "I1: at rest nothing is on its way"
            wrong = connection.execute(select(problem.c.area, problem.c.text).where(problem.c.severity == "error"))
            assert wrong.all() == [], "I1: at rest nothing stands as an error"

    def _in_numbers(self, number: str, anchor: str) -> Image:
        """An object of the target in the model's terms."""
        image: Image = dict(self.target.get(anchor) or {})
        if "manager" in image:
            image["manager"] = self.target.number(image["manager"].value)
        if number in self.model.groups:
            image["members"] = {self.target.number(reference.value) for reference in image.get("members", ())}
        if "otherTelephone" in image:
            image["otherTelephone"] = tuple(sorted(image["otherTelephone"]))
        return image
