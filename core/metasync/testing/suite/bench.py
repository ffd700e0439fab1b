"""`Bench`: a directory under test, with a connector, and the few moves that the tests are made of."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from metasync.contract import (
    Allow,
    AttributeSchema,
    Change,
    Connector,
    Entry,
    Follows,
    Found,
    Gone,
    Item,
    Kind,
    KindSchema,
    Operation,
    Outcome,
    Page,
    Patch,
    ReadRequest,
    Reference,
    Reject,
    Result,
    Role,
    Type,
    Unique,
    Values,
    Versioned,
    Writes,
)
from metasync.testing.context import TestContext
from metasync.testing.suite.harness import Harness
from metasync.testing.values import as_tuple, same, standard_name

Image = dict[str, Entry]
"""Everything that is there, by anchor."""


def plain_attributes(kind: KindSchema) -> dict[str, AttributeSchema]:
    """By standard name: what can be created and changed at will, without being a name, a place, a switch or unique."""
    special = {Role.ANCHOR, Role.NAME, Role.PATH, Role.ENABLED}
    return {
        standard_name(attribute): attribute
        for attribute in kind.attributes.values()
        if {Allow.CREATE, Allow.UPDATE, Allow.READ} <= attribute.allow
        and attribute.role not in special
        and standard_name(attribute) != "members"
    }


class Bench:
    """All that a test of the suite touches. `say` what was answered, so that leaks are found at the end."""

    def __init__(self, harness: Harness, context: TestContext) -> None:
        self.harness = harness
        self.context = context
        self.connector: Connector = harness.open(context)
        self.schema = self.connector.discover()
        self.said: list[object] = []
        self._ids = itertools.count(1)

    def close(self) -> None:
        """Close the connector, and open nothing again."""
        self.connector.close()

    def again(self) -> Connector:
        """Another connector for the same directory, as after a restart."""
        self.connector.close()
        self.connector = self.harness.open(self.context)
        return self.connector

    @property
    def kind(self) -> KindSchema:
        """The kind that most is tried with."""
        return self.schema.kinds[self.harness.kind]

    def attributes(self, kind: Kind | None = None) -> dict[str, AttributeSchema]:
        """A kind's attributes by standard name."""
        return {standard_name(attribute): attribute for attribute in self.schema.kinds[kind or self.harness.kind].attributes.values()}

    # Reading

    def request(
        self,
        stream: str = "all",
        *,
        kinds: Collection[Kind] | None = None,
        attributes: Collection[str] | None = None,
        page_size: int = 1000,
        resume: str | None = None,
        under: tuple[str, ...] = (),
        versions: bool = False,
        compares: bool = False,
    ) -> ReadRequest:
        """A request for some kinds (all) and some attributes (all)."""
        kinds = frozenset(kinds if kinds is not None else self.schema.kinds)
        wanted = {kind: frozenset(n for n in self.attributes(kind) if attributes is None or n in attributes) for kind in kinds}
        return ReadRequest(
            stream=stream,
            kinds=kinds,
            attributes=wanted,
            page_size=page_size,
            resume=resume,
            under=under,
            versions=versions,
            compares=compares,
        )

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams of all kinds."""
        return self.connector.streams([kind.value for kind in self.schema.kinds])

    def pages(self, **request: Any) -> list[list[Page]]:
        """Read everything: per stream its pages."""
        self.harness.settle()
        return [list(self.connector.read(self.request(stream, **request))) for stream in self.streams]

    def image(self, **request: Any) -> Image:
        """Everything that is there now."""
        return image(itertools.chain.from_iterable(self.pages(**request)))

    def one(self, anchor: str) -> dict[str, Values]:
        """One object's attributes as a full read shows them."""
        present = self.image()
        assert anchor in present, f"the object {anchor} is not there"
        return dict(present[anchor].attributes)

    def start(self, **request: Any) -> tuple[Image, dict[str, str]]:
        """A full read with the cursors that it gave, by stream."""
        pages = dict(zip(self.streams, self.pages(**request), strict=True))
        cursors = {stream: pages[stream][-1].cursor for stream in pages}
        missing = [stream for stream, cursor in cursors.items() if not cursor]
        assert not missing, f"the last page of a read holds no cursor, and the next delta has no start (streams {missing})"
        return image(itertools.chain.from_iterable(pages.values())), {stream: str(cursor) for stream, cursor in cursors.items()}

    def follow(self, before: Image, cursors: Mapping[str, str], **request: Any) -> tuple[Image, dict[str, str]]:
        """What the directory looks like after the delta of every stream."""
        self.harness.settle()
        connector = self.connector
        assert isinstance(connector, Follows)
        after, ends = dict(before), {}
        for stream, cursor in cursors.items():
            asked = self.request(stream, **request)
            pages = list(connector.follow(asked, cursor))
            assert pages and pages[-1].complete, "a delta that came to its end did not say complete"
            assert pages[-1].cursor, "the last page of a delta holds no cursor"
            ends[stream] = str(pages[-1].cursor)
            kinds = frozenset(kind for kind in asked.kinds if stream in self.connector.streams([kind.value]))
            overlay(after, [item for page in pages for item in page.items], everything=kinds if pages[-1].everything else frozenset())
        return after, ends

    # Writing

    def change(
        self,
        operation: Operation,
        anchor: str | None = None,
        after: Mapping[str, Values | None] | None = None,
        *,
        kind: Kind | None = None,
        before: Mapping[str, Values] | None = None,
        member: str | None = None,
        retried: bool = False,
    ) -> Change:
        """An approved change. What `before` must hold is read from the directory unless it is given."""
        if before is None:
            present = self.one(anchor) if anchor and after else {}
            before = {name: present[name] for name in after or {} if name in present}
        tag = secrets.token_hex(16)
        return Change(
            id=f"change-{next(self._ids)}",
            operation=operation,
            kind=kind or self.harness.kind,
            anchor=anchor,
            label=f"{operation.value} of {anchor or str((after or {}).get('name', 'an object'))}",
            before=before,
            after=after or {},
            member=Reference(value=member) if member else None,
            tag=tag,
            mark=f"metasync:{tag}" if operation is Operation.CREATE and self.harness.settings.mark else None,
            retried=retried,
        )

    def create(self, number: int, attributes: Mapping[str, Values] | None = None, /, *, kind: Kind | None = None, **more: Values) -> Change:
        """A change that creates the sample of that number, with these attributes in addition or instead."""
        kind = kind or self.harness.kind
        return self.change(Operation.CREATE, after={**self.harness.sample(kind, number), **(attributes or {}), **more}, kind=kind)

    def put(self, number: int, attributes: Mapping[str, Values] | None = None, /, *, kind: Kind | None = None, **more: Values) -> str:
        """Add the sample of that number behind the connector's back; gives its anchor."""
        kind = kind or self.harness.kind
        anchor = self.harness.put(kind, {**self.harness.sample(kind, number), **(attributes or {}), **more})
        self.harness.settle()
        return anchor

    def write(self, *changes: Change) -> list[Result]:
        """Write in calls of at most the commit size; gives one result per change, in the order of the changes."""
        results: list[Result] = []
        for start in range(0, len(changes), self.connector.commit_size):
            part = changes[start : start + self.connector.commit_size]
            results += in_order(part, self.writes.write(part))
        self.said += results
        self.harness.settle()
        return results

    def applied(self, *changes: Change, already: bool | None = None) -> list[Result]:
        """Write, and expect every change to be applied."""
        results = self.write(*changes)
        for change, result in zip(changes, results, strict=True):
            assert result.outcome is Outcome.APPLIED, f"{change.label} was not applied: {result.outcome.value}, {result.detail}"
            assert already is None or result.already is already, f"{change.label}: already is {result.already}, {already} was expected"
        return results

    def refused(self, *changes: Change, outcomes: Collection[Outcome] = (Outcome.CONFLICT, Outcome.REJECTED)) -> list[Result]:
        """Write, and expect every change to be refused, with a reason."""
        results = self.write(*changes)
        for change, result in zip(changes, results, strict=True):
            assert result.outcome in outcomes, (
                f"{change.label} came out as {result.outcome.value}, expected {' or '.join(o.value for o in outcomes)}"
            )
            assert result.detail, f"{change.label} was refused without a reason"
        return results

    def find(self, *changes: Change) -> list[Found]:
        """Read back; gives one answer per change, in their order."""
        self.harness.settle()
        found = {one.id: one for one in self.writes.find(changes)}
        assert set(found) == {change.id for change in changes}, "find must answer exactly once for each change"
        return [found[change.id] for change in changes]

    def made(self, number: int, attributes: Mapping[str, Values] | None = None, /, **more: Values) -> str:
        """Create the sample of that number through the connector; gives its anchor."""
        (result,) = self.applied(self.create(number, {**(attributes or {}), **more}))
        assert result.anchor, "the result of a create holds no anchor"
        return result.anchor

    @property
    def writes(self) -> Writes:
        """The connector, as one that writes."""
        assert isinstance(self.connector, Writes)
        return self.connector

    # Judging

    def same(self, attribute: str, left: Values | None, right: Values | None, *, kind: Kind | None = None) -> bool:
        """Are two values the same by the attribute's own rule? References must be by anchor."""
        return same(self.attributes(kind)[attribute], left, right)

    def differences(self, left: Image, right: Image, *, but: Collection[str] = ()) -> list[str]:
        """What two images disagree about, in words."""
        found = [f"{anchor} is only in the first" for anchor in left.keys() - right.keys()]
        found += [f"{anchor} is only in the second" for anchor in right.keys() - left.keys()]
        for anchor in left.keys() & right.keys():
            one, two = left[anchor], right[anchor]
            if one.kind is not two.kind:
                found.append(f"{anchor} is a {one.kind.value} in the first and a {two.kind.value} in the second")
            for name in {*one.attributes, *two.attributes} - set(but):
                if set(as_tuple(one.attributes.get(name))) != set(as_tuple(two.attributes.get(name))):
                    found.append(f"{name} of {anchor}: {one.attributes.get(name)!r} and {two.attributes.get(name)!r}")
        return found

    def refers(self, anchor: str, attribute: str) -> set[str]:
        """The anchors of those to whom an attribute refers, whatever key the references have."""
        present = self.image()
        found: set[str] = set()
        for value in as_tuple(present[anchor].attributes.get(attribute)):
            assert isinstance(value, Reference), f"{attribute} holds {value!r}, which is no reference"
            if value.key == "anchor":
                found.add(value.value)
            else:
                found |= {str(one) for one, entry in present.items() if value.value in as_tuple(entry.attributes.get(value.key))}
        return found

    def unique_names(self, kind: Kind | None = None) -> list[str]:
        """Attributes whose values may stand once only."""
        return [
            name
            for name, attribute in self.attributes(kind).items()
            if attribute.unique is Unique.DIRECTORY and attribute.type is Type.STRING
        ]


def image(pages: Iterable[Page]) -> Image:
    """A full read as a mapping; each object must be there once, whole, and nothing may be rejected."""
    found: Image = {}
    for page in pages:
        for one in page.items:
            item = one.read() if isinstance(one, Versioned) else one
            assert not isinstance(item, Reject), f"{item.where} was rejected: {item.reason}"
            if isinstance(one, Versioned):
                told = (item.anchor, getattr(item, "kind", None), getattr(item, "version", None))
                assert told == (one.anchor, one.kind, one.version), f"{one.anchor} was announced as another one"
            assert isinstance(item, Entry), f"a full read holds whole objects, not a {type(item).__name__}"
            assert item.anchor not in found, f"{item.anchor} was read twice"
            found[item.anchor] = item
    return found


def overlay(base: Image, items: Sequence[Item], *, everything: Collection[Kind] = ()) -> None:
    """Bring an image up to date with a delta. `everything`: the kinds of which the delta listed each object."""
    listed = set()
    for item in items:
        match item:
            case Entry():
                base[item.anchor] = item
                listed.add(item.anchor)
            case Gone():
                base.pop(item.anchor, None)
                if item.unlinked:
                    unlink(base, item.anchor)
            case Patch():
                old = base.get(item.anchor)
                attributes: dict[str, Any] = dict(old.attributes) if old else {"anchor": item.anchor}
                attributes.update(item.attributes)
                for name in {*item.added, *item.removed}:
                    members = (set(as_tuple(attributes.get(name))) | set(item.added.get(name, ()))) - set(item.removed.get(name, ()))
                    attributes[name] = tuple(members) or None
                base[item.anchor] = Entry(
                    anchor=item.anchor, kind=item.kind, attributes={n: v for n, v in attributes.items() if v is not None}
                )
                listed.add(item.anchor)
            case Reject(anchor=str(known)):
                listed.add(known)
    for anchor in [anchor for anchor, entry in base.items() if entry.kind in everything and anchor not in listed]:
        del base[anchor]


def unlink(base: Image, anchor: str) -> None:
    """Take an object out of whatever refers to it."""
    lost = Reference(value=anchor)
    for holder, entry in list(base.items()):
        if any(lost in as_tuple(held) for held in entry.attributes.values()):
            kept = {
                name: tuple(one for one in held if one != lost) if isinstance(held, tuple) else held
                for name, held in entry.attributes.items()
            }
            base[holder] = replace(entry, attributes={name: held for name, held in kept.items() if held not in ((), lost)})


def in_order(changes: Sequence[Change], results: Iterable[Result]) -> list[Result]:
    """The results in the order of their changes; there must be exactly one each."""
    given = list(results)
    ids = sorted(result.id for result in given)
    expected = sorted(change.id for change in changes)
    assert ids == expected, f"exactly one result for each change is promised: changes {expected}, results {ids}"
    by_id = {result.id: result for result in given}
    return [by_id[change.id] for change in changes]
