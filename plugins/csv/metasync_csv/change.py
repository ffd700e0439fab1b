"""What one change does to the rows, and what a read-back finds. Everything happens in memory; `write` replaces the files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

from metasync.contract import Change, Found, Kind, Operation, Outcome, Presence, Reference, Result, Type, Value, Values
from metasync_csv.layout import Column, Layout
from metasync_csv.table import Row, Table, Wanted
from metasync_csv.values import Cells, anchor_of, folded, shown

NOT_FOR_FILES = {
    Operation.PASSWORD: "a CSV file keeps no passwords",
    Operation.SID: "a CSV file keeps no SID history",
    Operation.RESTORE: "a CSV file has no recycle bin; create the object again",
}


class Conflict(Exception):
    """The rows are not what the change was planned on."""


class Changer:
    """Applies changes to the tables of one `write` call, in their order."""

    def __init__(self, layout: Layout, cells: Cells, tables: Mapping[str, Table]) -> None:
        self.layout = layout
        self.cells = cells
        self.tables = tables

    def table_of(self, kind: Kind) -> Table | None:
        """Where objects of this kind live."""
        for table in self.tables.values():
            if table.file.kind == kind or (table.file.kind is None and kind in self.layout.kinds):
                return table
        return None

    def apply(self, change: Change) -> Result:
        """The result that stands once the file is replaced; `already` where nothing had to be changed."""
        table = self.table_of(change.kind)
        try:
            if change.operation in NOT_FOR_FILES:
                raise ValueError(NOT_FOR_FILES[change.operation])
            if table is None:
                raise ValueError(f"the directory holds no objects of kind {change.kind}; name the kind under `kind`, `kinds` or `files`")
            match change.operation:
                case Operation.CREATE:
                    return self._create(change, table)
                case Operation.DELETE:
                    return self._delete(change, table)
                case Operation.MEMBER_ADD | Operation.MEMBER_REMOVE:
                    return self._member(change, table)
                case _:
                    return self._update(change, table)
        except Conflict as reason:
            return Result(id=change.id, outcome=Outcome.CONFLICT, detail=f"{change.label}: {reason}")
        except ValueError as reason:
            return Result(id=change.id, outcome=Outcome.REJECTED, detail=f"{change.label}: {reason}")

    # -- operations ----------------------------------------------------------------------------------------------------

    def _create(self, change: Change, table: Table) -> Result:
        cells = self._cells(table, None, self._by_column(change.after))
        anchor = anchor_of(cells.get(self.layout.anchor, ""))
        if not anchor:
            raise ValueError(f"the new row needs a value for the anchor column {self.layout.anchor!r}; add it to the profile's `map`")
        if self.layout.kind_column:
            cells[self.layout.kind_column] = self.layout.word_of[change.kind]
        mark = self.layout.column_name(self.layout.mark) if self.layout.mark and change.mark else None
        ours = self._marked(change.mark) if mark else []
        if ours:
            return Result(
                id=change.id, outcome=Outcome.APPLIED, already=True, anchor=anchor_of(ours[0][0].get(ours[0][1], self.layout.anchor))
            )
        there = list(self._rows(self.layout.anchor, anchor))
        if there:
            other, row = there[0]
            present = other.get(row, self.layout.anchor)
            whole = len(there) == 1 and other is table and other.whole(row)
            if whole and not (mark and other.get(row, mark)) and self._equal(table, row, change):
                return Result(id=change.id, outcome=Outcome.APPLIED, already=True, anchor=anchor_of(present))
            raise Conflict(f"{other.file.label} has a row with the anchor {shown(present)} already, and it is not ours")
        if mark and change.mark:
            cells[mark] = change.mark
        self._store(table, None, cells)
        return Result(id=change.id, outcome=Outcome.APPLIED, anchor=anchor)

    def _update(self, change: Change, table: Table) -> Result:
        row = self._row(change, table)
        after = dict(change.after)
        if change.operation in (Operation.ENABLE, Operation.DISABLE):
            after.setdefault("enabled", change.operation is Operation.ENABLE)
        wanted, before = self._by_column(after), self._by_column(change.before)
        self._check_before(table, row, {name: values for name, values in before.items() if name not in wanted})
        differing: dict[str, Values | None] = {}
        for name, values in wanted.items():
            column, current = self.layout.column(name), self._current(table, row, name)
            if self._same(column, current, values):
                continue
            if name in (self.layout.anchor, self.layout.kind_column):
                raise ValueError(f"column {name!r} says which object the row is and never changes; delete the object and create another")
            if not self._same(column, current, before.get(name)):
                raise Conflict(
                    f"column {name!r} holds {_shown(current)}, not {_shown(before.get(name))}: somebody changed it after the plan"
                )
            differing[name] = values
        if not differing:
            return Result(id=change.id, outcome=Outcome.APPLIED, already=True)
        self._store(table, row, self._cells(table, row, differing))
        return Result(id=change.id, outcome=Outcome.APPLIED)

    def _delete(self, change: Change, table: Table) -> Result:
        if change.anchor and not list(self._rows(self.layout.anchor, change.anchor)):
            return Result(id=change.id, outcome=Outcome.APPLIED, already=True)
        row = self._row(change, table)
        self._check_before(table, row, self._by_column(change.before))
        table.remove(row)
        return Result(id=change.id, outcome=Outcome.APPLIED)

    def _member(self, change: Change, table: Table) -> Result:
        row, name = self._row(change, table), self.layout.column_name("members")
        if change.member is None:
            raise ValueError("the change names no member")
        column = self.layout.column(name)
        current = self._current(table, row, name)
        members: tuple[Value, ...] = current if isinstance(current, tuple) else ()
        there = self._same_one(column, change.member)
        others = tuple(member for member in members if self._same_one(column, member) != there)
        adding = change.operation is Operation.MEMBER_ADD
        if adding == (len(others) < len(members)):
            return Result(id=change.id, outcome=Outcome.APPLIED, already=True)
        self._store(table, row, self._cells(table, row, {name: (*members, change.member) if adding else others}))
        return Result(id=change.id, outcome=Outcome.APPLIED)

    def find(self, change: Change) -> Found:
        """What the files hold of the change's object now."""
        table = self.table_of(change.kind)
        if table is None:
            return Found(id=change.id, presence=Presence.ABSENT, detail=f"the directory holds no objects of kind {change.kind}")
        marked = change.anchor is None and self.layout.mark is not None
        rows = self._marked(change.mark) if marked else []
        by_mark = bool(rows)
        planned = change.anchor or self._planned_anchor(change)
        if not rows and planned:
            rows = list(self._rows(self.layout.anchor, planned))
        if not rows:
            return Found(id=change.id, presence=Presence.ABSENT)
        table, row = rows[0]
        if len(rows) > 1 or not table.whole(row):
            detail = f"{table.file.label} has {len(rows)} rows for this object, or a torn one; correct the file"
            return Found(id=change.id, presence=Presence.UNKNOWN, detail=detail)
        if not by_mark and self.layout.mark and change.mark:
            by_mark = table.get(row, self.layout.column_name(self.layout.mark)) == change.mark
        attributes: dict[str, Values] = {}
        unread: list[str] = []
        for attribute in {**change.before, **change.after}:
            try:
                if (values := self._current(table, row, self.layout.column_name(attribute))) is not None:
                    attributes[attribute] = values
            except Conflict as reason:
                unread.append(str(reason))
        if change.member is not None:
            self._find_member(change.member, table, row, attributes)
        return Found(
            id=change.id,
            presence=Presence.UNKNOWN if unread else Presence.PRESENT,
            anchor=anchor_of(table.get(row, self.layout.anchor)),
            by_mark=by_mark,
            attributes=attributes,
            detail="; ".join(unread),
        )

    def _find_member(self, member: Reference, table: Table, row: Row, attributes: dict[str, Values]) -> None:
        """Of the members, a read-back tells only whether this one is there."""
        column = self.layout.column(self.layout.column_name("members"))
        members = self._current(table, row, column.name)
        there = isinstance(members, tuple) and self._same_one(column, member) in {self._same_one(column, other) for other in members}
        attributes.pop("members", None)
        if there:
            attributes["members"] = (member,)

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _rows(self, column: str, cell: str) -> Iterator[tuple[Table, Row]]:
        for table in self.tables.values():
            for row in table.lookup(column, cell):
                yield table, row

    def _marked(self, mark: str | None) -> list[tuple[Table, Row]]:
        if not mark or not self.layout.mark:
            return []
        column = self.layout.column_name(self.layout.mark)
        return [(table, row) for table, row in self._rows(column, mark) if table.get(row, column) == mark and table.whole(row)]

    def _row(self, change: Change, table: Table) -> Row:
        """The one row of the change's object. Raises `Conflict` where there is not exactly one, as planned."""
        anchor = change.anchor or ""
        rows = list(self._rows(self.layout.anchor, anchor))
        if len(rows) > 1:
            raise Conflict(f"the anchor {shown(anchor)} stands in {len(rows)} rows; correct the file, then plan again")
        if not rows or rows[0][0] is not table or anchor_of(table.get(rows[0][1], self.layout.anchor)) != anchor_of(anchor):
            raise Conflict(f"{table.file.label} has no row with the anchor {shown(anchor)} any more; plan again")
        row = rows[0][1]
        if not table.whole(row):
            raise Conflict(
                f"the row with the anchor {shown(anchor)} has {len(row.cells)} cells instead of {len(table.columns)}; correct the file"
            )
        if self.layout.kind_column:
            word = table.get(row, self.layout.kind_column)
            if self.layout.words.get(word.strip().casefold()) != change.kind:
                raise Conflict(f"the row is of kind {shown(word)} now, not {change.kind}; plan again")
        return row

    def _store(self, table: Table, row: Row | None, cells: dict[str, str]) -> None:
        """Change the row, or add one. `Conflict`: the value may stand only once; `ValueError`: the file cannot hold it."""
        for name, cell in cells.items():
            if cell and name != self.layout.anchor and self.layout.column(name).unique:
                for other, taken in self._rows(name, cell):
                    if taken is not row:
                        holder = other.get(taken, self.layout.anchor) if len(taken.cells) == len(other.columns) else "a torn row"
                        raise Conflict(f"{shown(cell)} is taken in the unique column {name!r}, by {holder}")
        table.check(list(cells.values()) or [""])
        new = [name for name in cells if name not in table.columns]
        for name in new:
            if not self.layout.may_grow(name):
                known = ", ".join(map(repr, table.columns))
                raise ValueError(
                    f"{table.file.label} has no column {name!r}; add it to the header, or set `header: open`. Its columns are {known}"
                )
        for name in new:
            table.add_column(name)
        if row is None:
            table.add(cells)
        else:
            table.set(row, cells)

    # -- values --------------------------------------------------------------------------------------------------------

    def _planned_anchor(self, change: Change) -> str | None:
        value = self._by_column(change.after).get(self.layout.anchor)
        return anchor_of(str(value)) if isinstance(value, (str, int)) else None

    def _by_column(self, attributes: Mapping[str, Values | None]) -> dict[str, Values | None]:
        return {self.layout.column_name(attribute): values for attribute, values in attributes.items()}

    def _cells(self, table: Table, row: Row | None, attributes: Mapping[str, Values | None]) -> dict[str, str]:
        """Their cells. An absent value for a column that does not exist needs no column."""
        own = attributes.get(self.layout.anchor) if row is None else None
        cells: dict[str, str] = {}
        for name, values in attributes.items():
            column = self.layout.column(name)
            # who stands there already may stay, also where nobody knows them; and a new row may point at itself
            known = {anchor_of(str(own))} if own is not None else set()
            if row is not None and column.type is Type.REFERENCE:
                current = self._current(table, row, name)
                several = current if isinstance(current, tuple) else (current,)
                known = {one.value for one in several if isinstance(one, Reference)}
            cell = self.cells.encode(column, values, partial(self._checked, known))
            if cell or name in table.columns:
                cells[name] = cell
        return cells

    def _checked(self, known: Collection[str], column: Column, reference: Reference) -> str:
        """The text of a reference that is to be written. Raises `Conflict` where it would point at nobody."""
        text = self.resolve(column, reference)
        if text not in known and not any(self._rows(self.layout.anchor if column.key == "anchor" else column.key, text)):
            raise Conflict(
                f"column {column.name!r} refers to {shown(text)}, and no row has that {column.key}; plan again when there is one"
            )
        return text

    def _current(self, table: Table, row: Row, name: str) -> Values | None:
        cell = table.get(row, name)
        if not cell:
            return None
        decode = self.cells.decoder(self.layout.column(name))
        try:
            return decode(cell) if decode is not None else cell
        except ValueError as reason:
            raise Conflict(f"column {name!r} cannot be read: {reason}; correct the file") from None

    def _check_before(self, table: Table, row: Row, before: Mapping[str, Values | None]) -> None:
        for name, values in before.items():
            current = self._current(table, row, name)
            if not self._same(self.layout.column(name), current, values):
                raise Conflict(f"column {name!r} holds {_shown(current)}, not {_shown(values)}: somebody changed it after the plan")

    def _equal(self, table: Table, row: Row, change: Change) -> bool:
        """True if the row holds every value of this create."""
        if self.layout.kind_column and self.layout.words.get(table.get(row, self.layout.kind_column).strip().casefold()) != change.kind:
            return False
        wanted = self._by_column(change.after)
        return all(self._same(self.layout.column(name), self._current(table, row, name), values) for name, values in wanted.items())

    def _same(self, column: Column, one: Values | None, other: Values | None) -> bool:
        return self._normal(column, one) == self._normal(column, other)

    def _normal(self, column: Column, values: Values | None) -> frozenset[object]:
        several = values if isinstance(values, tuple) else () if values is None or values == "" else (values,)
        return frozenset(self._same_one(column, value) for value in several)

    def _same_one(self, column: Column, value: Value) -> object:
        """Something that is equal for values that are the same."""
        if isinstance(value, Reference):
            try:
                text = self.resolve(column, value)
            except (Conflict, ValueError):
                return value
            return text if column.key == "anchor" else folded(text)
        if column.name == self.layout.anchor:
            return anchor_of(str(value))
        return type(value), value  # True is not 1

    def resolve(self, column: Column, reference: Reference) -> str:
        """The text by which this column names the other object. Raises `Conflict` where that object cannot be told."""
        if column.type is not Type.REFERENCE:
            raise ValueError(f"column {column.name!r} holds no references; name it under `references`")
        key = reference.key if reference.key == "anchor" else self.layout.column_name(reference.key)
        if key == self.layout.anchor:
            key = "anchor"
        if key == column.key:
            return anchor_of(reference.value)
        rows = list(self._rows(self.layout.anchor if key == "anchor" else key, reference.value))
        if len(rows) != 1:
            raise Conflict(
                f"column {column.name!r} refers to {shown(reference.value)}, which stands in {len(rows)} rows; plan again when there is one"
            )
        table, row = rows[0]
        text = table.get(row, self.layout.anchor if column.key == "anchor" else column.key) if table.whole(row) else ""
        if not text:
            raise Conflict(f"column {column.name!r} refers to {shown(reference.value)}, which has no {column.key!r} to be named by")
        return anchor_of(text)


def _shown(values: Values | None) -> str:
    if values is None:
        return "nothing"
    if isinstance(values, tuple):
        return ", ".join(_shown(value) for value in values[:5]) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
    return shown(values.value if isinstance(values, Reference) else str(values))


def wanted(changes: Sequence[Change], layout: Layout) -> Wanted:
    """The rows that a read-back of these changes looks at."""
    anchors: set[str] = set()
    for change in changes:
        named = [change.anchor, change.member.value if change.member else None]
        named += [str(value) for name in (layout.anchor, "anchor") if (value := change.after.get(name)) is not None]
        anchors.update(folded(name) for name in named if name)
    return Wanted(anchors=frozenset(anchors), marks=frozenset(change.mark for change in changes if change.mark))
