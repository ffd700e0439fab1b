"""Reading back: what the engine relies on after an answer was lost."""

from __future__ import annotations

from metasync.contract import Operation, Presence, Writes
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench


class FindingSuite(Suite):
    """`Writes.find`."""

    @needs(Writes)
    def test_a_created_object_is_found(self, bench: Bench) -> None:
        change = bench.create(1)
        (result,) = bench.applied(change)
        bench.again()
        (found,) = bench.find(change)
        assert found.presence is Presence.PRESENT, "an object that was just created is not found by its mark or name"
        assert found.anchor == result.anchor
        assert found.by_mark == bool(change.mark), "by_mark is true exactly where the object carries the change's mark"
        for name, values in change.after.items():
            assert bench.same(name, found.attributes.get(name), values), (
                f"{name} was found as {found.attributes.get(name)!r}, written as {values!r}"
            )

    @needs(Writes)
    def test_an_object_is_found_by_its_anchor_with_its_present_values(self, bench: Bench) -> None:
        anchor = bench.put(1)
        change = bench.change(Operation.UPDATE, anchor, {bench.harness.text: "New", bench.harness.other: "New"})
        (before,) = bench.find(change)
        assert (before.presence, before.anchor) == (Presence.PRESENT, anchor)
        assert before.attributes.get(bench.harness.text) == bench.harness.sample(bench.harness.kind, 1)[bench.harness.text]
        assert bench.harness.other not in before.attributes
        bench.applied(change)
        (after,) = bench.find(change)
        assert after.attributes.get(bench.harness.text) == "New"

    @needs(Writes)
    def test_what_is_not_there_is_absent(self, bench: Bench) -> None:
        anchor = bench.put(1)
        update = bench.change(Operation.UPDATE, anchor, {bench.harness.text: "New"})
        bench.harness.delete(anchor)
        for found in bench.find(update, bench.create(2)):
            assert found.presence is Presence.ABSENT, f"what is not there was found as {found.presence.value}"

    @needs(Writes)
    def test_finding_writes_nothing(self, bench: Bench) -> None:
        anchor = bench.put(1)
        before = bench.image()
        bench.find(
            bench.create(2), bench.change(Operation.UPDATE, anchor, {bench.harness.text: "New"}), bench.change(Operation.DELETE, anchor)
        )
        assert not bench.differences(before, bench.image())

    @needs(Writes)
    def test_somebody_elses_object_of_our_name_is_not_ours(self, bench: Bench) -> None:
        """It is found, if at all, by name; never as if it carried our mark."""
        bench.put(1)
        (found,) = bench.find(bench.create(1))
        assert not found.by_mark
