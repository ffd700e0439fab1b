"""What only some connectors can do: taken values, restore, passwords, hashes, SID history."""

from __future__ import annotations

import secrets

import pytest

from metasync.contract import (
    Estimates,
    KeepsSidHistory,
    MetasyncError,
    Operation,
    ReadsPasswordHashes,
    Reference,
    Restores,
    Reviews,
    SetsPasswords,
    Taken,
    WritesPasswordHashes,
)
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench


class FurtherSuite(Suite):
    """The small protocols."""

    @needs(Reviews, able=("protect",))
    def test_what_would_be_refused_is_objected_to_before(self, bench: Bench) -> None:
        """As often as it is asked, in words, and only that."""
        connector = bench.connector
        assert isinstance(connector, Reviews)
        guarded, free = bench.put(1), bench.put(2)
        bench.harness.protect(guarded)
        bench.harness.settle()
        changes = [bench.change(Operation.UPDATE, anchor, {bench.harness.other: "Other"}) for anchor in (guarded, free)]
        before = bench.image()
        for _ in range(2):
            objections = list(connector.review(changes))
            assert [one.change for one in objections] == [changes[0].id], "only what is refused is objected to, once for each change"
            assert all(one.reason and one.remedy for one in objections), "an objection says why, and what to do"
        assert not bench.differences(before, bench.image()), "a review writes nothing"
        bench.refused(changes[0])
        bench.applied(changes[1])

    @needs(Reviews)
    def test_what_can_be_written_is_not_objected_to(self, bench: Bench) -> None:
        """Nor what refers to somebody who is yet to be created, nor what is gone meanwhile: the export sees to that."""
        connector, harness = bench.connector, bench.harness
        assert isinstance(connector, Reviews)
        one, gone = bench.put(1), bench.put(2)
        asked = [bench.create(3), bench.change(Operation.UPDATE, one, {harness.other: "Other"})]
        asked += [bench.change(Operation.UPDATE, gone, {harness.other: "Other"}), bench.change(Operation.DELETE, gone)]
        if harness.reference is not None:
            planned = Reference(value="hr/17", key="created for")
            asked += [bench.change(Operation.UPDATE, anchor, {harness.reference: planned}, before={}) for anchor in (one, None)]
        if harness.group is not None:
            group = bench.put(50, kind=harness.group)
            asked.append(bench.change(Operation.MEMBER_ADD, group, kind=harness.group, member=one))
        harness.delete(gone)
        harness.settle()
        before = bench.image()
        assert list(connector.review(asked)) == [] and list(connector.review([])) == []
        assert not bench.differences(before, bench.image()), "a review writes nothing"

    @needs(Estimates)
    def test_more_writes_take_no_less_time(self, bench: Bench) -> None:
        connector, options = bench.harness.connector, bench.harness.loaded()
        assert issubclass(connector, Estimates)
        for operation in bench.kind.operations:
            found = [connector.estimate(options, {operation: number}) for number in (1, 100, 1_000_000)]
            told = [one for one in found if one is not None]
            lasts = [one.lasts.total_seconds() for one in told]
            assert lasts == sorted(lasts) and all(one >= 0 for one in lasts), f"{operation}: {lasts}"
            assert all(one.words for one in told), "an estimate says what it was worked out from"
        nothing = connector.estimate(options, {})
        assert nothing is None or not nothing.lasts, "nothing to write takes no time"

    @needs(Taken, named=("unique",), able=("reserve",))
    def test_a_value_of_an_unseen_object_is_taken(self, bench: Bench) -> None:
        connector, unique = bench.connector, str(bench.harness.unique)
        assert isinstance(connector, Taken)
        bench.harness.reserve("Unseen-17")
        bench.harness.settle()
        values = ["unseen-17", "UNSEEN-17", "free-18"]
        assert connector.taken(unique, values) == {"unseen-17", "UNSEEN-17"}, (
            "values are compared whatever their case, and given back as they were asked"
        )
        assert connector.taken(unique, []) == frozenset()
        bench.refused(bench.create(1, {unique: "unseen-17"}))

    @needs(Restores)
    def test_a_deleted_object_is_restored_whole(self, bench: Bench) -> None:
        connector = bench.connector
        assert isinstance(connector, Restores)
        anchor = bench.put(1, {bench.harness.other: "Kept"})
        before = bench.image()
        bench.applied(bench.change(Operation.DELETE, anchor))
        can = connector.restorable([anchor, "no such anchor"])
        assert anchor in can and "no such anchor" not in can
        restore = bench.change(Operation.RESTORE, anchor, before={})
        bench.applied(restore, already=False)
        after = bench.image()
        assert anchor in after, "a restore was answered as applied, and the object is not there"
        if not can[anchor]:
            plain = {*bench.harness.writable(bench.kind), "name", "path"}
            for name in plain:
                assert after[anchor].attributes.get(name) == before[anchor].attributes.get(name), (
                    f"{name} did not return, and restorable did not say so"
                )
        bench.applied(restore, already=True)
        assert connector.restorable([anchor]) == {}, "a living object cannot be restored"

    @needs(Restores, named=("group",))
    def test_memberships_return_or_it_is_said(self, bench: Bench) -> None:
        connector = bench.connector
        assert isinstance(connector, Restores)
        anchor, stays = bench.put(1), bench.put(2)
        group = bench.put(50, kind=bench.harness.group, members=(bench.harness.refer(anchor), bench.harness.refer(stays)))
        bench.applied(bench.change(Operation.DELETE, anchor))
        can = connector.restorable([anchor])[anchor]
        bench.applied(bench.change(Operation.RESTORE, anchor, before={}))
        assert can or bench.refers(group, "members") == {anchor, stays}, "the membership did not return, and restorable did not say so"

    @needs(Restores)
    def test_what_cannot_be_restored_is_refused(self, bench: Bench) -> None:
        bench.refused(bench.change(Operation.RESTORE, "no such anchor", before={}))

    @needs(SetsPasswords)
    def test_a_password_is_set_and_never_said(self, bench: Bench) -> None:
        connector = bench.connector
        assert isinstance(connector, SetsPasswords)
        anchor = bench.put(1)
        password = bench.context.new_password()
        connector.set_password(anchor, password, must_change=False)
        with pytest.raises(MetasyncError) as raised:
            connector.set_password("no such anchor", password, must_change=False)
        assert password not in str(raised.value), "the error holds the password"

    @needs(SetsPasswords, able=("verifies",))
    def test_a_password_that_was_set_is_the_one_that_counts(self, bench: Bench) -> None:
        connector = bench.connector
        assert isinstance(connector, SetsPasswords)
        anchor = bench.put(1)
        first, second = bench.context.new_password(), bench.context.new_password()
        connector.set_password(anchor, first, must_change=False)
        assert bench.harness.verifies(anchor, first)
        connector.set_password(anchor, second, must_change=False)
        assert bench.harness.verifies(anchor, second) and not bench.harness.verifies(anchor, first)

    @needs(ReadsPasswordHashes, WritesPasswordHashes)
    def test_a_password_hash_that_was_written_is_read(self, bench: Bench) -> None:
        connector = bench.connector
        assert isinstance(connector, ReadsPasswordHashes) and isinstance(connector, WritesPasswordHashes)
        one, two = bench.put(1), bench.put(2)
        nt_hash = secrets.token_bytes(16)
        connector.set_password_hash(one, nt_hash)
        bench.harness.settle()
        read = dict(connector.password_hashes([one, two]))
        assert read[one] == nt_hash
        assert read.get(two) != nt_hash
        with pytest.raises(MetasyncError) as raised:
            connector.set_password_hash("no such anchor", nt_hash)
        assert nt_hash.hex() not in str(raised.value)

    @needs(KeepsSidHistory)
    def test_a_sid_is_added_and_an_unknown_account_refused(self, bench: Bench) -> None:
        connector = bench.connector
        assert isinstance(connector, KeepsSidHistory)
        anchor = bench.put(1)
        connector.add_sid_history(anchor, "S-1-5-21-1-2-3-1104")
        connector.add_sid_history(anchor, "S-1-5-21-1-2-3-1104")
        with pytest.raises(MetasyncError):
            connector.add_sid_history("no such anchor", "S-1-5-21-1-2-3-1104")
