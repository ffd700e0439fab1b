"""Members: one in or out at a time, the others stay."""

from __future__ import annotations

from metasync.contract import Allow, Operation, Outcome, Reference, Writes
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench


class MembersSuite(Suite):
    """`member add` and `member remove`."""

    def group(self, bench: Bench, *members: str) -> str:
        """A group with these members."""
        held = {"members": tuple(bench.harness.refer(member) for member in members)} if members else {}
        return bench.put(50, held, kind=bench.harness.group)

    @needs(Writes, named=("group",))
    def test_a_member_joins_and_the_others_stay(self, bench: Bench) -> None:
        one, two, three = bench.put(1), bench.put(2), bench.put(3)
        group = self.group(bench, one, two)
        add = bench.change(Operation.MEMBER_ADD, group, member=three, kind=bench.harness.group)
        bench.applied(add, already=False)
        assert bench.refers(group, "members") == {one, two, three}
        bench.applied(add, already=True)
        assert bench.refers(group, "members") == {one, two, three}

    @needs(Writes, named=("group",))
    def test_a_member_leaves_and_the_others_stay(self, bench: Bench) -> None:
        one, two, three = bench.put(1), bench.put(2), bench.put(3)
        group = self.group(bench, one, two, three)
        remove = bench.change(Operation.MEMBER_REMOVE, group, member=two, kind=bench.harness.group)
        bench.applied(remove, already=False)
        assert bench.refers(group, "members") == {one, three}
        bench.applied(remove, already=True)

    @needs(Writes, named=("group",))
    def test_the_first_member_joins_and_the_last_one_leaves(self, bench: Bench) -> None:
        one, group = bench.put(1), self.group(bench)
        bench.applied(bench.change(Operation.MEMBER_ADD, group, member=one, kind=bench.harness.group))
        assert bench.refers(group, "members") == {one}
        bench.applied(bench.change(Operation.MEMBER_REMOVE, group, member=one, kind=bench.harness.group))
        assert "members" not in bench.one(group), "a group without members has no attribute members"

    @needs(Writes, named=("group",))
    def test_several_members_join_in_one_call(self, bench: Bench) -> None:
        people = [bench.put(number) for number in range(1, 6)]
        group = self.group(bench, people[0])
        bench.applied(
            *(bench.change(Operation.MEMBER_ADD, group, member=one, kind=bench.harness.group) for one in people[1:]), already=False
        )
        assert bench.refers(group, "members") == set(people)

    @needs(Writes, named=("group",))
    def test_a_member_that_does_not_exist_is_refused(self, bench: Bench) -> None:
        one, gone = bench.put(1), bench.put(2)
        group = self.group(bench, one)
        bench.harness.delete(gone)
        bench.harness.settle()
        add = bench.change(Operation.MEMBER_ADD, group, member=gone, kind=bench.harness.group)
        bench.refused(add, outcomes=[Outcome.REJECTED, Outcome.CONFLICT, Outcome.RETRY])
        assert bench.refers(group, "members") == {one}

    @needs(Writes, named=("group",))
    def test_a_created_group_has_its_members(self, bench: Bench) -> None:
        assert bench.harness.group
        if Allow.CREATE not in bench.attributes(bench.harness.group)["members"].allow:
            return  # members come one by one, once the group is there
        one, two = bench.put(1), bench.put(2)
        members = (Reference(value=one), Reference(value=two))
        create = bench.create(51, kind=bench.harness.group, members=members)
        (result,) = bench.applied(create)
        assert bench.refers(str(result.anchor), "members") == {one, two}

    @needs(Writes, named=("group",))
    def test_a_member_change_is_found(self, bench: Bench) -> None:
        one, two = bench.put(1), bench.put(2)
        group = self.group(bench, one)
        changes = [bench.change(Operation.MEMBER_ADD, group, member=member, kind=bench.harness.group) for member in (one, two)]
        found = bench.find(*changes)
        assert ["members" in answer.attributes for answer in found] == [True, False], "find must say whether the member is in"
