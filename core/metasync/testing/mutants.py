"""Memory connectors that each break one promise, with the test of the suite that must catch it.

They prove that the suite bites. Whoever adds a promise to the suite adds the mutant that breaks it. The file is long because it is a
catalogue: one class of a few lines for each way in which a connector goes wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from marshmallow import fields

from metasync.contract import (
    Allow,
    AttributeSchema,
    Change,
    Check,
    CursorExpired,
    Entry,
    Estimate,
    Found,
    Gone,
    ImportIncomplete,
    Item,
    MetasyncError,
    Objection,
    Operation,
    Outcome,
    Page,
    Patch,
    Presence,
    ReadRequest,
    Reference,
    Result,
    Unavailable,
    Values,
    Versioned,
    option,
)
from metasync.testing.memory.connector import MemoryConnector, MemoryOptions
from metasync.testing.memory.directory import MemoryDirectory
from metasync.testing.memory.index import Index, Stored
from metasync.testing.memory.writing import Writer as Sound


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """A broken connector, and the name of the test that must fail on it."""

    connector: type[MemoryConnector]
    caught_by: str


# Describing


class HasAnOptionWithoutHelp(MemoryConnector):
    """An option that nobody explains."""

    class Options(MemoryOptions):
        """Its options."""

        extra = fields.String(load_default=None)


class TakesAPasswordInClear(MemoryConnector):
    """A password that would stand in the document."""

    class Options(MemoryOptions):
        """Its options."""

        api_token = option(fields.String(load_default=None), title="Token", help="It stands in the document.")


class ChangesItsIdentity(MemoryConnector):
    """The identity follows the contents, so that a revision is never pinned."""

    def check(self) -> Check:
        return replace(super().check(), identity=f"{len(self.directory.anchors())} objects")


class ListsWhatItCannotDo(MemoryConnector):
    """Says that containers have members."""

    def discover(self) -> Any:
        schema = super().discover()
        kinds = {kind: replace(one, operations=one.operations | {Operation.MEMBER_ADD}) for kind, one in schema.kinds.items()}
        return replace(schema, kinds=kinds)


# Reading


class LosesTheLastPage(MemoryConnector):
    """The last page comes without its objects."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        for number, page in enumerate(super().read(request)):
            yield replace(page, items=()) if page.complete and number else page


class SaysCompleteAfterACut(MemoryConnector):
    """A broken connection looks like the end."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        try:
            yield from super().read(request)
        except (Unavailable, ImportIncomplete):
            yield Page(complete=True, cursor=self.cursor(self.directory, 0))


class NeverSaysComplete(MemoryConnector):
    """The end of a read says nothing."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        return (replace(page, complete=False) for page in super().read(request))


class IgnoresThePageSize(MemoryConnector):
    """One page, however large."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        return super().read(replace(request, page_size=1_000_000))


class EmptiesAbsentAttributes(MemoryConnector):
    """Unknown becomes empty."""

    def requested(self, stored: Stored, index: Index, request: ReadRequest) -> dict[str, Values]:
        return {**dict.fromkeys(request.attributes.get(stored.kind, ()), ""), **super().requested(stored, index, request)}


class DeliversEverything(MemoryConnector):
    """Attributes that nobody asked for."""

    def requested(self, stored: Stored, index: Index, request: ReadRequest) -> dict[str, Values]:
        return self.directory.attributes(stored, index)


class ReadsNumbersAsText(MemoryConnector):
    """Values have another type than discover says."""

    def requested(self, stored: Stored, index: Index, request: ReadRequest) -> dict[str, Values]:
        return {
            name: str(values) if isinstance(values, int) else values for name, values in super().requested(stored, index, request).items()
        }


class ReadsOneOfSeveralValues(MemoryConnector):
    """The first value only."""

    def requested(self, stored: Stored, index: Index, request: ReadRequest) -> dict[str, Values]:
        found = super().requested(stored, index, request)
        return {name: values[:1] if isinstance(values, tuple) else values for name, values in found.items()}


class KeepsItsVersion(MemoryConnector):
    """An object is of one version, whatever becomes of it."""

    def entry(self, anchor: str, index: Index, request: ReadRequest) -> Item | None:
        item = super().entry(anchor, index, request)
        return replace(item, version=anchor.encode()) if isinstance(item, Entry) and request.versions else item


class WorksOutLess(MemoryConnector):
    """What is worked out later is not what is read at once."""

    def entry(self, anchor: str, index: Index, request: ReadRequest) -> Item | None:
        item = super().entry(anchor, index, request)
        if not isinstance(item, Entry) or not request.versions:
            return item
        version = repr(sorted(item.attributes.items(), key=str)).encode()
        found = replace(item, attributes={} if request.compares else item.attributes, version=version)
        return Versioned(anchor=anchor, kind=item.kind, version=version, read=lambda: found) if request.compares else found


class TakesTheNameForTheAnchor(MemoryConnector):
    """A rename makes another object."""

    def entry(self, anchor: str, index: Index, request: ReadRequest) -> Item | None:
        item = super().entry(anchor, index, request)
        if isinstance(item, Entry) and "name" in index.objects[anchor].changed:
            return replace(item, anchor=index.objects[anchor].name, attributes={**item.attributes, "anchor": index.objects[anchor].name})
        return item


class ReadsEveryKind(MemoryConnector):
    """Kinds that nobody asked for."""

    def kinds(self, request: ReadRequest) -> Any:
        return frozenset(self.directory.schema.kinds)


class LeavesOutWhatIsBelow(MemoryConnector):
    """Takes a scope for one level."""

    def below(self, stored: Stored, index: Index, request: ReadRequest) -> bool:
        return not request.under or self.directory.path(stored, index) == request.under[-1]


class ResumesTooFar(MemoryConnector):
    """Leaves out one object behind the resume token."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        pages = super().read(request)
        if request.resume:
            yield replace(next(pages), items=())
        yield from pages


class ClaimsTheRestWhenStopped(MemoryConnector):
    """Says complete because it was told to stop."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        for page in super().read(request):
            yield page
            if self.context.stop.is_set() and not page.complete:
                yield Page(complete=True, cursor=self.cursor(self.directory, 0))
                return


class RefersToNobody(MemoryConnector):
    """References by a key that names nothing."""

    def requested(self, stored: Stored, index: Index, request: ReadRequest) -> dict[str, Values]:
        found = super().requested(stored, index, request)
        return {name: replace(value, key="mail") if isinstance(value, Reference) else value for name, value in found.items()}


# Following


class ForgetsClearedAttributes(MemoryConnector):
    """A delta without what was cleared."""

    def difference(self, stored: Stored, index: Index, request: ReadRequest, since: int) -> Item | None:
        item = super().difference(stored, index, request, since)
        if isinstance(item, Patch):
            return replace(item, attributes={name: values for name, values in item.attributes.items() if values is not None})
        return item


class ForgetsDeletions(MemoryConnector):
    """A delta without what is gone."""

    def difference(self, stored: Stored, index: Index, request: ReadRequest, since: int) -> Item | None:
        item = super().difference(stored, index, request, since)
        return None if isinstance(item, Gone) else item


class ForgetsWhoLeft(MemoryConnector):
    """A delta of members without those who left."""

    def difference(self, stored: Stored, index: Index, request: ReadRequest, since: int) -> Item | None:
        item = super().difference(stored, index, request, since)
        return replace(item, removed={}) if isinstance(item, Patch) else item


class TakesTheCursorAfterTheRead(MemoryConnector):
    """What changed during the read is never seen."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        for page in super().read(request):
            with self.directory.shown() as (_, sequence):
                yield replace(page, cursor=self.cursor(self.directory, sequence)) if page.complete else page


class TakesANewCursorWhenItResumes(MemoryConnector):
    """What changed between the two parts of a read is never seen."""

    def read(self, request: ReadRequest) -> Iterator[Page]:
        with self.directory.shown() as (_, sequence):
            cursor = self.cursor(self.directory, sequence)
        return (replace(page, cursor=cursor) if page.complete else page for page in super().read(request))


class TakesAnyCursor(MemoryConnector):
    """A cursor that it does not know means that nothing changed."""

    def since(self, directory: MemoryDirectory, cursor: str) -> int:
        try:
            return super().since(directory, cursor)
        except CursorExpired:
            return 1_000_000


class ForgetsThatCursorsExpire(MemoryConnector):
    """An expired cursor is taken."""

    def since(self, directory: MemoryDirectory, cursor: str) -> int:
        identity, _, number = cursor.rpartition(":")
        if identity != directory.identity:
            raise CursorExpired()
        return int(number)


class GivesEachChangeOnce(MemoryConnector):
    """A cursor that was used yields nothing a second time."""

    used: tuple[str, ...] = ()

    def follow(self, request: ReadRequest, cursor: str) -> Iterator[Page]:
        if cursor in self.used:
            with self.directory.shown() as (_, sequence):
                yield Page(complete=True, cursor=self.cursor(self.directory, sequence))
            return
        self.used = (*self.used, cursor)
        yield from super().follow(request, cursor)


# Writing


class AnswersWithoutWriting(MemoryConnector):
    """Says applied, and did nothing."""

    class Writer(Sound):
        """Broken."""

        def update(self, change: Change, stored: Stored, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            return stored.anchor, False


class IgnoresBefore(MemoryConnector):
    """Writes over what somebody else changed."""

    class Writer(Sound):
        """Broken."""

        def unchanged(self, *_: Any, **__: Any) -> None:
            return None


class IgnoresThatItWasEmpty(MemoryConnector):
    """Compares only the old values that there were."""

    class Writer(Sound):
        """Broken."""

        def unchanged(self, change: Change, *rest: Any, **more: Any) -> None:
            super().unchanged(replace(change, after={}), *rest, **more)


class WritesAConflictInPart(MemoryConnector):
    """What can be written is, the rest is a conflict."""

    class Writer(Sound):
        """Broken."""

        def update(self, change: Change, stored: Stored, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            present = self.directory.attributes(stored, index)
            self.directory.change(stored.anchor, {n: v for n, v in change.after.items() if present.get(n) == change.before.get(n)})
            return super().update(change, stored, attributes, index)


class DuplicatesOnRetry(MemoryConnector):
    """A create that is repeated makes a second object."""

    class Writer(Sound):
        """Broken."""

        def create(self, change: Change, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            present, _ = self.planned(change, index)
            if present is not None:
                change = replace(change, mark=None, after={**change.after, "name": f"{change.after['name']} again"})
            return super().create(change, attributes, index)


class CallsARepetitionAConflict(MemoryConnector):
    """What is done already is refused."""

    class Writer(Sound):
        """Broken."""

        def update(self, change: Change, stored: Stored, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            self.unchanged(change, self.directory.attributes(stored, index), attributes, index)
            return super().update(change, stored, attributes, index)


class CallsEverythingDoneAlready(MemoryConnector):
    """Says already, whatever it did."""

    class Writer(Sound):
        """Broken."""

        def made(self, change: Change, index: Index) -> tuple[str, bool]:
            return super().made(change, index)[0], True


class FoldsCase(MemoryConnector):
    """Stores in lower case what is exact."""

    class Writer(Sound):
        """Broken."""

        def suitable(
            self, given: Mapping[str, Values], attributes: Mapping[str, AttributeSchema], allow: Allow, index: Index
        ) -> dict[str, Values]:
            found = super().suitable(given, attributes, allow, index)
            return {name: values.lower() if name == "displayName" and isinstance(values, str) else values for name, values in found.items()}


class DropsUnknownAttributes(MemoryConnector):
    """Leaves out in silence what it does not know."""

    class Writer(Sound):
        """Broken."""

        def update(self, change: Change, stored: Stored, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            known = {name: values for name, values in change.after.items() if name in attributes}
            return super().update(replace(change, after=known), stored, attributes, index)


class ShortensLongValues(MemoryConnector):
    """Cuts in silence what is too long."""

    class Writer(Sound):
        """Broken."""

        def suitable(
            self, given: Mapping[str, Values], attributes: Mapping[str, AttributeSchema], allow: Allow, index: Index
        ) -> dict[str, Values]:
            cut = {n: v[: attributes[n].max_length] if n in attributes and isinstance(v, str) else v for n, v in given.items()}
            return super().suitable(cut, attributes, allow, index)


class CleansHostileValues(MemoryConnector):
    """Takes out in silence what looks dangerous."""

    class Writer(Sound):
        """Broken."""

        def suitable(
            self, given: Mapping[str, Values], attributes: Mapping[str, AttributeSchema], allow: Allow, index: Index
        ) -> dict[str, Values]:
            found = super().suitable(given, attributes, allow, index)
            return {n: v.replace("\0", "").strip() or "?" if n == "displayName" and isinstance(v, str) else v for n, v in found.items()}


class GivesUniqueValuesTwice(MemoryConnector):
    """Does not look who has a value."""

    class Writer(Sound):
        """Broken."""

        def unique(
            self, values: Mapping[str, Values], attributes: Mapping[str, AttributeSchema], owner: Stored | None, index: Index
        ) -> None:
            return None


class ReplacesMembers(MemoryConnector):
    """One member comes, the others go."""

    class Writer(Sound):
        """Broken."""

        def member(self, change: Change, group: Stored, index: Index) -> tuple[str, bool]:
            if change.operation is Operation.MEMBER_ADD and change.member is not None and change.member.value not in group.members:
                self.directory.change(group.anchor, members=(change.member,))
                return group.anchor, False
            return super().member(change, group, index)


class RefusesToDeleteWhatIsGone(MemoryConnector):
    """A second delete is an error."""

    class Writer(Sound):
        """Broken."""

        def delete(self, change: Change, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            if index.live(change.anchor) is None:
                self.reject("no such object; nothing to do")
            return super().delete(change, attributes, index)


class RenamesByMakingAnew(MemoryConnector):
    """A rename is a delete and a create."""

    class Writer(Sound):
        """Broken."""

        def update(self, change: Change, stored: Stored, attributes: Mapping[str, AttributeSchema], index: Index) -> tuple[str, bool]:
            if change.operation is not Operation.RENAME or stored.name == change.after["name"]:
                return super().update(change, stored, attributes, index)
            self.directory.delete(stored.anchor)
            return self.directory.add(stored.kind, {**stored.attributes, "name": str(change.after["name"])}), False


class ObjectsToNothing(MemoryConnector):
    """What it knows that it will refuse shows only when it is written."""

    def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
        return iter(())


class ObjectsToWhatIsNew(MemoryConnector):
    """It takes what does not exist yet for what must not be."""

    def review(self, changes: Sequence[Change]) -> Iterator[Objection]:
        yield from super().review(changes)
        for change in changes:
            if change.anchor is None:
                yield Objection(change=change.id, reason="it is not there", remedy="import again")


class EstimatesBackwards(MemoryConnector):
    """The more there is to write, the sooner it is done."""

    @classmethod
    def estimate(cls, options: Mapping[str, Any], writes: Mapping[Operation, int]) -> Estimate | None:
        number = sum(writes.values())
        return Estimate(lasts=timedelta(seconds=1 / number), words="soon") if number else None


class RestoresAnEmptyShell(MemoryConnector):
    """What returns has lost its attributes, and nobody said so."""

    class Writer(Sound):
        """Broken."""

        def restore(self, change: Change, index: Index) -> tuple[str, bool]:
            anchor, already = super().restore(change, index)
            if not already:
                self.directory.change(anchor, title=None)
            return anchor, already


class SaysThePassword(MemoryConnector):
    """The new account's password stands in the result."""

    class Writer(Sound):
        """Broken."""

        def decided(self, change: Change, index: Index) -> Result:
            result = super().decided(change, index)
            return replace(result, detail=f"password: {self.context.new_password()}") if change.operation is Operation.CREATE else result


class LogsThePassword(MemoryConnector):
    """The secret of the sign-in stands in the log."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        self.context.logger.debug("signing in with %s", self.context.secret(self.options["password"]))
        return super().write(changes)


class LosesAResult(MemoryConnector):
    """Refusals are not reported."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        return (result for result in super().write(changes) if result.outcome is Outcome.APPLIED)


class AnswersTwice(MemoryConnector):
    """Two results for one change."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        for result in super().write(changes):
            yield from (result, result)


class MixesUpResults(MemoryConnector):
    """The right outcomes for the wrong changes."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        results = list(super().write(changes))
        ids = [result.id for result in results]
        return (replace(result, id=one) for result, one in zip(results, reversed(ids), strict=True))


class StopsAtTheFirstRefusal(MemoryConnector):
    """One bad change takes the batch with it."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        for result in super().write(changes):
            if result.outcome is not Outcome.APPLIED:
                raise MetasyncError(result.detail)
            yield result


class AnswersBeforeItHasWritten(MemoryConnector):
    """Results are promises."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        for change in changes:
            yield Result(id=change.id, outcome=Outcome.APPLIED, anchor=change.anchor or "to come")
        list(super().write(changes))


class WritesInAnyOrder(MemoryConnector):
    """The last change comes first."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        return super().write(list(reversed(changes)))


class RefusesWithoutAReason(MemoryConnector):
    """No, and no more."""

    def write(self, changes: Sequence[Change]) -> Iterator[Result]:
        return (replace(result, detail="") for result in super().write(changes))


# Finding and the rest


class FindsNothing(MemoryConnector):
    """Whatever was created is absent: the engine would create it again."""

    def found(self, change: Change, directory: MemoryDirectory, index: Index) -> Found:
        if change.operation is Operation.CREATE:
            return Found(id=change.id, presence=Presence.ABSENT)
        return super().found(change, directory, index)


class FindsTheWishedValues(MemoryConnector):
    """Answers with what shall be, not with what is."""

    def found(self, change: Change, directory: MemoryDirectory, index: Index) -> Found:
        wished = {name: values for name, values in change.after.items() if values is not None}
        return replace(super().found(change, directory, index), attributes=wished)


class TakesEverythingForOurs(MemoryConnector):
    """What has our name carries our mark."""

    def found(self, change: Change, directory: MemoryDirectory, index: Index) -> Found:
        found = super().found(change, directory, index)
        return replace(found, by_mark=found.presence is Presence.PRESENT)


class FindsWhatIsGone(MemoryConnector):
    """Answers from memory."""

    def found(self, change: Change, directory: MemoryDirectory, index: Index) -> Found:
        return replace(super().found(change, directory, index), presence=Presence.PRESENT)


class FindsByWriting(MemoryConnector):
    """Makes what it does not find."""

    def find(self, changes: Sequence[Change]) -> Iterator[Found]:
        list(self.write(changes))
        return super().find(changes)


class KnowsOfNoOthers(MemoryConnector):
    """Every value is free."""

    def taken(self, attribute: str, values: Collection[str]) -> frozenset[str]:
        return frozenset()


class ForgetsPasswords(MemoryConnector):
    """A password that was set does not count."""

    def set_password(self, anchor: str, password: str, *, must_change: bool) -> None:
        super().set_password(anchor, f"{password}!", must_change=must_change)


_CAUGHT_BY: Mapping[type[MemoryConnector], str] = {
    HasAnOptionWithoutHelp: "test_every_option_has_a_title_and_a_help",
    TakesAPasswordInClear: "test_an_option_named_like_a_secret_is_a_secret",
    ChangesItsIdentity: "test_the_identity_lasts",
    ListsWhatItCannotDo: "test_the_schema_is_sound",
    LosesTheLastPage: "test_no_page_is_lost",
    SaysCompleteAfterACut: "test_a_cut_read_never_says_complete",
    NeverSaysComplete: "test_a_read_holds_everything_and_says_so",
    IgnoresThePageSize: "test_pages_obey_their_size",
    EmptiesAbsentAttributes: "test_an_absent_attribute_stays_absent",
    DeliversEverything: "test_only_what_was_requested_is_delivered",
    ReadsNumbersAsText: "test_values_are_typed_as_discovered",
    ReadsOneOfSeveralValues: "test_several_values_are_replaced_as_a_set",
    KeepsItsVersion: "test_a_version_stands_for_the_same_values",
    WorksOutLess: "test_a_version_stands_for_the_same_values",
    TakesTheNameForTheAnchor: "test_the_anchor_survives_a_rename",
    ReadsEveryKind: "test_only_the_requested_kinds_are_delivered",
    LeavesOutWhatIsBelow: "test_a_scope_leaves_out_nothing_below_it",
    ResumesTooFar: "test_an_interrupted_read_goes_on",
    ClaimsTheRestWhenStopped: "test_a_read_that_is_stopped_does_not_claim_the_rest",
    RefersToNobody: "test_references_resolve",
    ForgetsClearedAttributes: "test_a_delta_shows_a_cleared_attribute",
    ForgetsDeletions: "test_a_delta_shows_a_deletion",
    ForgetsWhoLeft: "test_a_delta_shows_who_joined_and_who_left",
    TakesTheCursorAfterTheRead: "test_the_cursor_was_taken_before_the_read",
    TakesANewCursorWhenItResumes: "test_the_cursor_of_a_resumed_read_reaches_back_to_its_start",
    TakesAnyCursor: "test_a_foreign_cursor_is_refused",
    ForgetsThatCursorsExpire: "test_an_expired_cursor_is_refused",
    GivesEachChangeOnce: "test_a_cursor_can_be_replayed",
    AnswersWithoutWriting: "test_an_update_is_written_and_leaves_the_rest_alone",
    IgnoresBefore: "test_an_update_over_somebody_elses_change_is_a_conflict_and_writes_nothing",
    IgnoresThatItWasEmpty: "test_a_value_where_none_was_expected_is_a_conflict",
    WritesAConflictInPart: "test_an_update_over_somebody_elses_change_is_a_conflict_and_writes_nothing",
    DuplicatesOnRetry: "test_a_create_done_twice_makes_one_object",
    CallsARepetitionAConflict: "test_an_update_that_is_done_already_is_applied_already",
    CallsEverythingDoneAlready: "test_a_created_object_is_read_back_with_its_anchor",
    FoldsCase: "test_an_update_is_written_and_leaves_the_rest_alone",
    DropsUnknownAttributes: "test_an_unknown_attribute_is_rejected_alone",
    ShortensLongValues: "test_a_value_that_is_too_long_is_refused",
    CleansHostileValues: "test_a_hostile_value_is_kept_or_refused",
    GivesUniqueValuesTwice: "test_a_unique_value_that_another_object_has_is_refused",
    ReplacesMembers: "test_a_member_joins_and_the_others_stay",
    RefusesToDeleteWhatIsGone: "test_a_deleted_object_is_gone_and_a_second_delete_is_done_already",
    RenamesByMakingAnew: "test_a_rename_keeps_the_anchor",
    RestoresAnEmptyShell: "test_a_deleted_object_is_restored_whole",
    SaysThePassword: "test_no_password_is_ever_said",
    LogsThePassword: "test_no_password_is_ever_said",
    LosesAResult: "test_each_change_has_exactly_one_result",
    AnswersTwice: "test_each_change_has_exactly_one_result",
    MixesUpResults: "test_each_change_has_exactly_one_result",
    StopsAtTheFirstRefusal: "test_an_unknown_attribute_is_rejected_alone",
    AnswersBeforeItHasWritten: "test_a_result_is_given_only_when_it_is_durable",
    WritesInAnyOrder: "test_changes_of_one_object_keep_their_order",
    RefusesWithoutAReason: "test_each_change_has_exactly_one_result",
    FindsNothing: "test_a_created_object_is_found",
    FindsTheWishedValues: "test_an_object_is_found_by_its_anchor_with_its_present_values",
    TakesEverythingForOurs: "test_somebody_elses_object_of_our_name_is_not_ours",
    FindsWhatIsGone: "test_what_is_not_there_is_absent",
    FindsByWriting: "test_finding_writes_nothing",
    ObjectsToNothing: "test_what_would_be_refused_is_objected_to_before",
    ObjectsToWhatIsNew: "test_what_can_be_written_is_not_objected_to",
    EstimatesBackwards: "test_more_writes_take_no_less_time",
    KnowsOfNoOthers: "test_a_value_of_an_unseen_object_is_taken",
    ForgetsPasswords: "test_a_password_that_was_set_is_the_one_that_counts",
}

MUTANTS: Mapping[str, Mutant] = {
    connector.__name__: Mutant(connector=connector, caught_by=caught_by) for connector, caught_by in _CAUGHT_BY.items()
}
"""All of them by name."""
