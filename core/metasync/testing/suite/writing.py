"""Writing: exactly one true result per change, nothing twice, nothing over what somebody else changed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from metasync.contract import Operation, Outcome, Result, Type, Unavailable, Values, Writes
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench
from metasync.testing.values import as_tuple, too_long


def can(bench: Bench, operation: Operation) -> bool:
    """Does the kind under test list this operation? If not, the test has nothing to prove: `discover` promises nothing."""
    return operation in bench.kind.operations


class WritingSuite(Suite):
    """`Writes.write`."""

    # Results

    @needs(Writes)
    def test_each_change_has_exactly_one_result(self, bench: Bench) -> None:
        anchors = [bench.put(number) for number in (1, 2)]
        changes = [
            bench.create(11),
            bench.change(Operation.UPDATE, anchors[0], {bench.harness.text: "New"}),
            bench.change(Operation.UPDATE, anchors[1], {bench.harness.text: "New"}, before={bench.harness.text: "never was"}),
            bench.create(12),
        ]
        results = bench.write(*changes)  # write asserts that the ids are the same
        assert [result.outcome is Outcome.APPLIED for result in results] == [True, True, False, True]
        assert all(result.detail for result in results if result.outcome is not Outcome.APPLIED), "a refusal without a reason"

    @needs(Writes)
    def test_an_empty_call_writes_nothing(self, bench: Bench) -> None:
        assert bench.write() == []
        assert list(bench.writes.write(())) == []

    @needs(Writes)
    def test_a_result_is_given_only_when_it_is_durable(self, bench: Bench) -> None:
        changes = [bench.create(1), bench.create(2)][: bench.connector.commit_size]
        results = iter(bench.writes.write(changes))
        first = next(results)
        assert first.outcome is Outcome.APPLIED
        bench.harness.settle()
        other = bench.harness.open(bench.context)
        pages = [page for stream in bench.streams for page in other.read(bench.request(stream))]
        other.close()
        present = {item.anchor for page in pages for item in page.items}
        assert first.anchor in present, "a result was given for something that another connection does not see"
        list(results)

    @needs(Writes, able=("cut_write",))
    def test_results_given_before_the_directory_went_away_stand(self, bench: Bench) -> None:
        changes = [bench.create(number) for number in (1, 2, 3)]
        bench.harness.cut_write(1)
        given: list[Result] = []
        with pytest.raises(Unavailable):
            for start in range(0, len(changes), bench.connector.commit_size):
                given += bench.writes.write(changes[start : start + bench.connector.commit_size])
        bench.harness.mend_write()
        bench.again()
        present = bench.image()
        for result in given:
            assert result.outcome is Outcome.APPLIED and result.anchor in present
        bench.applied(*changes)
        assert len(bench.image()) == len(present) + 3 - sum(found.anchor in present for found in bench.find(*changes))

    # Create

    @needs(Writes)
    def test_a_created_object_is_read_back_with_its_anchor(self, bench: Bench) -> None:
        change = bench.create(1)
        (result,) = bench.applied(change, already=False)
        assert result.anchor, "the result of a create holds no anchor"
        read = bench.one(result.anchor)
        for name, values in change.after.items():
            assert bench.same(name, read.get(name), values), f"{name} was written as {values!r} and read as {read.get(name)!r}"
        if bench.harness.settings.mark:
            assert read.get(bench.harness.settings.mark) == change.mark, "the created object does not carry its mark"

    @needs(Writes)
    def test_a_create_leaves_absent_attributes_absent(self, bench: Bench) -> None:
        change = bench.create(1)
        (result,) = bench.applied(change)
        read = bench.one(str(result.anchor))
        for name in bench.harness.writable(bench.kind):
            assert name in change.after or name not in read, f"{name} was not written and is read as {read.get(name)!r}"

    @needs(Writes)
    def test_a_create_done_twice_makes_one_object(self, bench: Bench) -> None:
        change = bench.create(1)
        (first,) = bench.applied(change)
        count = len(bench.image())
        again = replace(change, id="again", retried=True)
        (second,) = bench.applied(again, already=True)
        assert second.anchor == first.anchor, "the repeated create answers with another anchor"
        assert len(bench.image()) == count, "the repeated create made a second object"

    @needs(Writes)
    def test_every_attribute_can_be_created_updated_and_cleared(self, bench: Bench) -> None:
        plain = bench.harness.writable(bench.kind)
        before = {n: v for n, a in plain.items() if (v := bench.harness.value(bench.harness.kind, a, 1)) is not None}
        after = {n: v for n, a in plain.items() if (v := bench.harness.value(bench.harness.kind, a, 2)) is not None}
        anchor = bench.made(1, before)
        self.holds(bench, anchor, before)
        update = bench.change(Operation.UPDATE, anchor, after)
        bench.applied(update, already=False)
        self.holds(bench, anchor, after)
        allowed = [name for name in after if "clear" in plain[name].allow and name not in bench.harness.sample(bench.harness.kind, 1)]
        for name in allowed:
            bench.applied(bench.change(Operation.CLEAR, anchor, {name: None}), already=False)
        read = bench.one(anchor)
        assert not [name for name in allowed if name in read], "an attribute that was cleared has still a value"

    def holds(self, bench: Bench, anchor: str, values: dict[str, Values]) -> None:
        """The object is read back with these values."""
        read = bench.one(anchor)
        for name, value in values.items():
            assert bench.same(name, read.get(name), value), f"{name} was written as {value!r} and read as {read.get(name)!r}"

    # Update

    @needs(Writes)
    def test_an_update_is_written_and_leaves_the_rest_alone(self, bench: Bench) -> None:
        anchor, other = bench.put(1, {bench.harness.other: "Stays"}), bench.put(2)
        before = bench.image()
        bench.applied(bench.change(Operation.UPDATE, anchor, {bench.harness.text: "Mixed Case"}), already=False)
        after = bench.image()
        assert after[anchor].attributes[bench.harness.text] == "Mixed Case"
        for name in {*bench.harness.writable(bench.kind), "name", "path", "enabled", "members"} - {bench.harness.text}:
            assert after[anchor].attributes.get(name) == before[anchor].attributes.get(name), (
                f"{name} changed with an update of another attribute"
            )
        assert not bench.differences({other: before[other]}, {other: after[other]}), "an update of one object changed another one"

    @needs(Writes)
    def test_an_update_over_somebody_elses_change_is_a_conflict_and_writes_nothing(self, bench: Bench) -> None:
        anchor = bench.put(1)
        planned = bench.change(Operation.UPDATE, anchor, {bench.harness.text: "Ours", bench.harness.other: "Ours too"})
        bench.harness.change(anchor, {bench.harness.text: "Theirs"})
        bench.harness.settle()
        bench.refused(planned, outcomes=[Outcome.CONFLICT])
        read = bench.one(anchor)
        assert read[bench.harness.text] == "Theirs", "an update overwrote what somebody else had changed"
        assert bench.harness.other not in read, "a conflict was written in part"

    @needs(Writes)
    def test_a_value_where_none_was_expected_is_a_conflict(self, bench: Bench) -> None:
        anchor = bench.put(1)
        planned = bench.change(Operation.UPDATE, anchor, {bench.harness.other: "Ours"})
        bench.harness.change(anchor, {bench.harness.other: "Theirs"})
        bench.harness.settle()
        bench.refused(planned, outcomes=[Outcome.CONFLICT])
        assert bench.one(anchor)[bench.harness.other] == "Theirs"

    @needs(Writes)
    def test_an_update_that_is_done_already_is_applied_already(self, bench: Bench) -> None:
        anchor = bench.put(1)
        update = bench.change(Operation.UPDATE, anchor, {bench.harness.text: "New"})
        bench.applied(update, already=False)
        bench.applied(update, already=True)
        assert bench.one(anchor)[bench.harness.text] == "New"

    @needs(Writes)
    def test_a_clear_that_is_done_already_is_applied_already(self, bench: Bench) -> None:
        anchor = bench.put(1, {bench.harness.other: "Going"})
        clear = bench.change(Operation.CLEAR, anchor, {bench.harness.other: None})
        bench.applied(clear, already=False)
        assert bench.harness.other not in bench.one(anchor)
        bench.applied(clear, already=True)

    @needs(Writes)
    def test_an_update_of_an_object_that_is_gone_is_refused(self, bench: Bench) -> None:
        anchor = bench.put(1)
        update = bench.change(Operation.UPDATE, anchor, {bench.harness.text: "New"})
        bench.harness.delete(anchor)
        bench.harness.settle()
        bench.refused(update)
        assert anchor not in bench.image()

    @needs(Writes, named=("multi",))
    def test_several_values_are_replaced_as_a_set(self, bench: Bench) -> None:
        multi = str(bench.harness.multi)
        one, other = (as_tuple(bench.harness.value(bench.harness.kind, bench.attributes()[multi], number)) for number in (1, 2))
        assert len(one) > 1 and other, f"Harness.value must give at least two values for {multi}"
        old, new = one[:2], (one[1], other[0])
        anchor = bench.put(1, {multi: old})
        bench.applied(bench.change(Operation.UPDATE, anchor, {multi: new}), already=False)
        assert bench.same(multi, bench.one(anchor)[multi], new)
        bench.applied(bench.change(Operation.UPDATE, anchor, {multi: tuple(reversed(new))}), already=True)

    @needs(Writes, named=("reference",))
    def test_a_reference_is_written_changed_and_cleared(self, bench: Bench) -> None:
        reference = str(bench.harness.reference)
        boss, other, worker = bench.put(1), bench.put(2), bench.put(3)
        for target in (boss, other):
            before = bench.one(worker)
            update = bench.change(
                Operation.UPDATE,
                worker,
                {reference: bench.harness.refer(target)},
                before={reference: before[reference]} if reference in before else {},
            )
            bench.applied(update, already=False)
            assert bench.refers(worker, reference) == {target}
        bench.applied(bench.change(Operation.CLEAR, worker, {reference: None}), already=False)
        assert reference not in bench.one(worker)

    @needs(Writes)
    def test_changes_of_one_object_keep_their_order(self, bench: Bench) -> None:
        anchor = bench.put(1)
        text = bench.harness.text
        values = [str(bench.one(anchor)[text]), "First", "Second", "Third"]
        steps = [bench.change(Operation.UPDATE, anchor, {text: new}, before={text: old}) for old, new in pairwise(values)]
        bench.applied(*steps)
        assert bench.one(anchor)[text] == "Third"

    # What must not go through

    @needs(Writes)
    def test_an_unknown_attribute_is_rejected_alone(self, bench: Bench) -> None:
        if bench.kind.open:
            return  # every attribute is known to a kind that says `open`
        anchors = [bench.put(number) for number in (1, 2, 3)]
        changes = [bench.change(Operation.UPDATE, anchor, {bench.harness.text: "New"}) for anchor in anchors]
        changes[1] = bench.change(Operation.UPDATE, anchors[1], {bench.harness.text: "New", "noSuchAttribute": "x"})
        results = bench.write(*changes)
        assert [result.outcome for result in results] == [Outcome.APPLIED, Outcome.REJECTED, Outcome.APPLIED]
        assert "noSuchAttribute" in results[1].detail, "the reason does not name the attribute"
        present = bench.image()
        assert [present[anchor].attributes[bench.harness.text] == "New" for anchor in anchors] == [True, False, True]

    @needs(Writes, named=("limited",))
    def test_a_value_that_is_too_long_is_refused(self, bench: Bench) -> None:
        name = str(bench.harness.limited)
        attribute = bench.attributes()[name]
        limit = attribute.max_length
        assert limit, f"Harness.limited names {name}, which has no max_length"
        value: Values = ("x" * (limit + 1),) if attribute.multi else "x" * (limit + 1)
        assert too_long(attribute, value)
        anchor = bench.put(1)
        before = bench.one(anchor).get(name)
        bench.refused(bench.change(Operation.UPDATE, anchor, {name: value}), bench.create(2, {name: value}))
        assert bench.one(anchor).get(name) == before, "a value that is too long was written, perhaps in part"
        fits: Values = ("y" * limit,) if attribute.multi else "y" * limit
        bench.applied(bench.change(Operation.UPDATE, anchor, {name: fits}))
        assert bench.same(name, bench.one(anchor)[name], fits)

    @needs(Writes)
    def test_a_value_of_the_wrong_type_is_rejected(self, bench: Bench) -> None:
        anchor = bench.put(1)
        attribute = bench.attributes()[bench.harness.text]
        wrong: Values = 17 if attribute.type is Type.STRING else "seventeen"
        bench.refused(bench.change(Operation.UPDATE, anchor, {bench.harness.text: wrong}))
        assert bench.one(anchor)[bench.harness.text] == bench.harness.sample(bench.harness.kind, 1)[bench.harness.text]

    @needs(Writes, named=("unique",))
    def test_a_unique_value_that_another_object_has_is_refused(self, bench: Bench) -> None:
        unique = str(bench.harness.unique)
        value = bench.harness.value(bench.harness.kind, bench.attributes()[unique], 7)
        assert isinstance(value, str)
        owner, other = bench.put(1, {unique: value}), bench.put(2)
        before = bench.image()
        bench.refused(bench.change(Operation.UPDATE, other, {unique: value.upper()}), bench.create(3, {unique: value.upper()}))
        after = bench.image()
        assert after.keys() == before.keys()
        assert after[other].attributes.get(unique) == before[other].attributes.get(unique)
        assert after[owner].attributes[unique] == value

    # Rename, move, switch

    @needs(Writes)
    def test_a_rename_keeps_the_anchor(self, bench: Bench) -> None:
        if not can(bench, Operation.RENAME):
            return
        anchor = bench.put(1)
        rename = bench.change(Operation.RENAME, anchor, {"name": "Renamed"})
        (result,) = bench.applied(rename, already=False)
        assert result.anchor in (None, anchor), "the object has another anchor after a rename"
        assert bench.one(anchor)["name"] == "Renamed"
        bench.applied(rename, already=True)

    @needs(Writes)
    def test_a_rename_to_a_name_that_is_taken_is_refused(self, bench: Bench) -> None:
        if not can(bench, Operation.RENAME) or not bench.attributes()["name"].unique:
            return
        anchor, other = bench.put(1), bench.put(2)
        name = bench.one(other)["name"]
        bench.refused(bench.change(Operation.RENAME, anchor, {"name": name}))
        assert bench.one(anchor)["name"] != name

    @needs(Writes, named=("places",))
    def test_a_move_keeps_the_anchor(self, bench: Bench) -> None:
        assert bench.harness.places
        anchor = bench.put(1)
        move = bench.change(Operation.MOVE, anchor, {"path": bench.harness.places[1]})
        bench.applied(move, already=False)
        read = bench.one(anchor)
        assert bench.same("path", read["path"], bench.harness.places[1])
        assert read["name"] == bench.harness.sample(bench.harness.kind, 1)["name"]
        bench.applied(move, already=True)

    @needs(Writes, named=("places",))
    def test_a_move_to_nowhere_is_refused(self, bench: Bench) -> None:
        assert bench.harness.places
        anchor = bench.put(1)
        bench.refused(bench.change(Operation.MOVE, anchor, {"path": f"OU=No such place,{bench.harness.places[0]}"}))
        assert bench.same("path", bench.one(anchor)["path"], bench.harness.places[0])

    @needs(Writes)
    def test_disable_and_enable(self, bench: Bench) -> None:
        if not can(bench, Operation.DISABLE):
            return
        anchor = bench.made(1, enabled=True)
        assert bench.one(anchor)["enabled"] is True
        for operation, value in ((Operation.DISABLE, False), (Operation.ENABLE, True)):
            change = bench.change(operation, anchor, {"enabled": value})
            bench.applied(change, already=False)
            assert bench.one(anchor)["enabled"] is value
            bench.applied(change, already=True)

    # Delete

    @needs(Writes)
    def test_a_deleted_object_is_gone_and_a_second_delete_is_done_already(self, bench: Bench) -> None:
        if not can(bench, Operation.DELETE):
            return
        anchor, other = bench.put(1), bench.put(2)
        bench.applied(bench.change(Operation.DELETE, anchor), already=False)
        present = bench.image()
        assert anchor not in present, "a delete was answered as applied, and the object is still there"
        assert other in present
        bench.applied(bench.change(Operation.DELETE, anchor), already=True)

    @needs(Writes)
    def test_no_password_is_ever_said(self, bench: Bench) -> None:
        """The bench asserts at the end of every test that nothing secret was said; here also of refusals."""
        bench.applied(bench.create(1))
        bench.refused(bench.create(2, {bench.harness.text: 17}))
        bench.find(bench.create(1), bench.create(3))
        assert not bench.context.leaks(*bench.said)
