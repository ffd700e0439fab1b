"""Several connections at a time: what is divided among them, and that the result is what one of them would have made."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from lab.proxy import Proxy, Way

from metasync.contract import Change, DirectorySettings, Entry, Kind, Operation, Outcome, Page, ReadRequest, Reference, Result, Unavailable
from metasync.testing.context import TestContext
from metasync_ad import lines
from metasync_ad.connector import ActiveDirectory
from metasync_ad.lines import divided, together
from metasync_ad.options import ADOptions
from metasync_ad.reading import Places

EVERYBODY = frozenset({Kind.USER, Kind.GROUP, Kind.CONTACT, Kind.CONTAINER})


def change(number: int, anchor: str | None = None, operation: Operation = Operation.UPDATE, kind: Kind = Kind.USER) -> Change:
    return Change(id=str(number), operation=operation, kind=kind, anchor=anchor, label=str(number), tag=f"{number:032x}")


# -- dividing --------------------------------------------------------------------------------------------------------------------------


def test_what_concerns_one_object_stays_together_and_in_its_order() -> None:
    changes = [change(number, anchor) for number, anchor in enumerate(["a", "b", "A", "c", "b", "a"])]
    shares = divided(changes, 2)
    assert sorted(int(one.id) for share in shares for one in share) == list(range(6))
    by_object = [[one.id for one in share if (one.anchor or "").lower() == anchor] for share in shares for anchor in "abc"]
    assert sorted(filter(None, by_object)) == [["0", "2", "5"], ["1", "4"], ["3"]]


def test_creates_are_each_an_object_and_no_share_is_empty() -> None:
    assert [len(share) for share in divided([change(number, None, Operation.CREATE) for number in range(5)], 3)] == [2, 2, 1]
    assert len(divided([change(1, "a"), change(2, "a")], 4)) == 1


@pytest.mark.parametrize(
    "other",
    [
        change(2, "b", Operation.RENAME),
        change(2, "b", Operation.MOVE),
        change(2, "b", Operation.DELETE),
        change(2, None, Operation.CREATE, Kind.CONTAINER),
    ],
)
def test_what_changes_the_names_of_others_goes_over_one_line(other: Change) -> None:
    class One:
        first = object()
        number = 4

        def open(self, number: int) -> None:
            raise AssertionError("a second line is opened")

    def each(session: object, changes: Iterable[Change]) -> Iterator[Result]:
        assert session is One.first
        return iter([Result(id=one.id, outcome=Outcome.APPLIED) for one in changes])

    assert [one.id for one in lines.write(One(), [change(1, "a"), other], each)] == ["1", "2"]  # type: ignore[arg-type]


# -- at the same time ------------------------------------------------------------------------------------------------------------------


def test_all_work_at_the_same_time() -> None:
    meet = threading.Barrier(3, timeout=60)

    def work() -> Iterator[int]:
        meet.wait()
        yield 1

    assert list(together([work] * 3, writes=True)) == [1, 1, 1]


def failing(begin: threading.Event) -> Callable[[], Iterator[int]]:
    def work() -> Iterator[int]:
        yield 0
        begin.set()
        raise Unavailable("this line broke")

    return work


def test_a_broken_line_is_told_of_once_the_others_have_ended_theirs() -> None:
    broke = threading.Event()

    def other() -> Iterator[int]:
        assert broke.wait(60)
        yield from range(1, 50)

    got: list[int] = []
    with pytest.raises(Unavailable, match="this line broke"):
        for item in together([failing(broke), other], writes=True):
            got.append(item)
    assert sorted(got) == list(range(50))


def test_or_at_once_and_the_others_end() -> None:
    broke, ended = threading.Event(), threading.Event()

    def other() -> Iterator[int]:
        try:
            assert broke.wait(60)
            while True:
                yield 1
        finally:
            ended.set()

    with pytest.raises(Unavailable, match="this line broke"):
        for _ in together([failing(broke), other], writes=False):
            pass
    assert ended.wait(60)


def test_whoever_takes_no_more_ends_all() -> None:
    ended = [threading.Event(), threading.Event()]

    def work(end: threading.Event) -> Callable[[], Iterator[int]]:
        def endless() -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                end.set()

        return endless

    items = together([work(one) for one in ended], writes=True)
    assert next(items) == 1
    items.close()  # type: ignore[attr-defined]
    assert all(one.wait(60) for one in ended)


def test_nothing_more_is_written_before_the_next_result_is_asked_for() -> None:
    written: list[int] = []
    meet = threading.Barrier(2, timeout=60)

    def work() -> Iterator[int]:
        meet.wait()
        for number in range(5):
            written.append(number)
            yield number

    items = together([work] * 2, writes=True)
    assert next(items) == 0
    time.sleep(0.5)  # that something does not happen can only be waited for; a slow machine cannot make it fail
    assert written == [0, 0], "each line waits with its second until more is asked for"
    assert sorted(items) == [0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_a_line_whose_work_wants_to_end_the_program_is_not_waited_for() -> None:
    def work() -> Iterator[int]:
        yield 0
        raise SystemExit(1)

    taken: list[int] = []
    ended: list[BaseException] = []

    def take() -> None:
        try:
            taken.extend(together([work] * 2, writes=True))
        except SystemExit as error:
            ended.append(error)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    taker.join(30)
    assert ended and not taker.is_alive()


# -- places ----------------------------------------------------------------------------------------------------------------------------


def test_a_read_goes_on_behind_the_places_that_were_read_to_their_end_one_after_the_other() -> None:
    places = Places(["a", "b", "c", "d"], 1)
    assert (places.done, places.left) == (1, 3)
    assert [places.take(), places.take(), places.take(), places.take()] == ["b", "c", "d", None]
    places.ended.add("c")
    assert (places.done, places.left) == (1, 2), "b is not at its end"
    places.ended.add("b")
    assert (places.done, places.left) == (3, 1)
    places.ended.add("d")
    assert (places.done, places.left) == (4, 0)


# -- a domain --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def places(directory: Any) -> list[str]:
    """Five OUs with some people each."""
    found = []
    for name in ("A", "B", "C", "D", "E"):
        directory.make(name, kind=Kind.CONTAINER)
        found.append(f"OU={name},{directory.unit}")
        for number in range(4):
            directory.make(f"{name}{number}", kind=Kind.CONTACT, path=found[-1], mail=f"{name}{number}@x.test")
    return found


def asked(places: list[str]) -> ReadRequest:
    names = frozenset({"name", "path", "mail"})
    return ReadRequest(stream="all", kinds=EVERYBODY, attributes=dict.fromkeys(EVERYBODY, names), under=tuple(places), page_size=2)


def content(pages: list[Page]) -> dict[str, dict[str, Any]]:
    entries = [item for page in pages for item in page.items]
    assert len({entry.anchor for entry in entries if isinstance(entry, Entry)}) == len(entries), "nothing twice"
    return {entry.anchor: dict(entry.attributes) for entry in entries if isinstance(entry, Entry)}


def test_a_read_over_several_connections_is_that_over_one(connect: Any, places: list[str]) -> None:
    one, several = (list(connect(connections=number).read(asked(places))) for number in (1, 3))
    assert content(several) == content(one)
    assert len(content(one)) == 25
    assert several[-1].complete and several[-1].cursor


def test_a_read_that_was_interrupted_goes_on_and_nothing_is_missing(connect: Any, places: list[str]) -> None:
    whole = content(list(connect().read(asked(places))))
    for stop in range(1, 12):
        first = []
        for page in connect(connections=3).read(asked(places)):
            first.append(page)
            if len(first) == stop:
                break
        request = asked(places)
        rest = list(
            connect(connections=3).read(
                ReadRequest(
                    **{name: getattr(request, name) for name in ("stream", "kinds", "attributes", "under", "page_size")},
                    resume=first[-1].resume,
                )
            )
        )
        assert rest[-1].complete
        assert content(first) | content(rest) == whole, f"after {stop} pages"


def test_a_line_that_breaks_is_made_anew_and_nothing_is_missing(connect: Any, places: list[str], samba: Any) -> None:
    proxy = Proxy(samba.address, 636)
    try:
        connector = connect(connections=3, servers=["127.0.0.1"], port=proxy.port)
        whole = content(list(connector.read(asked(places))))
        for taken in (1, 3, 5):
            pages = []
            for page in connector.read(asked(places)):
                pages.append(page)
                if len(pages) == taken:
                    proxy.cut(0, Way.CUT)
            assert pages[-1].complete
            assert content(pages) == whole
    finally:
        proxy.close()


def test_what_is_written_over_several_connections_is_what_was_asked(directory: Any, connect: Any) -> None:
    directory.connector = connect(connections=4)
    accounts = [f"t{uuid.uuid4().hex[:12]}" for _ in range(30)]
    creates = [
        directory.change(Operation.CREATE, after={"name": name, "path": directory.unit, "sAMAccountName": name, "enabled": True})
        for name in accounts
    ]
    made = directory.write(*creates)
    assert {one.outcome for one in made} == {Outcome.APPLIED}
    people = [one.anchor or "" for one in made]
    groups = [directory.make(f"G{number}", kind=Kind.GROUP) for number in range(3)]
    changes = [directory.change(Operation.UPDATE, one, after={"title": f"of {number}"}) for number, one in enumerate(people)]
    changes += [directory.change(Operation.DISABLE, one, before={"enabled": True}, after={"enabled": False}) for one in people[::2]]
    changes += [
        directory.change(Operation.MEMBER_ADD, group, kind=Kind.GROUP, member=Reference(value=one))
        for one in people
        for group in groups[:2]
    ]
    changes.append(directory.change(Operation.UPDATE, people[0], before={"title": "no such"}, after={"title": "drift"}))
    results = directory.write(*changes)
    assert [one.outcome for one in results] == [Outcome.APPLIED] * (len(changes) - 1) + [Outcome.CONFLICT]
    found = directory.read("title", "enabled", "members", "sAMAccountName")
    assert [found[one].attributes["sAMAccountName"] for one in people] == accounts
    assert [found[one].attributes["title"] for one in people] == [f"of {number}" for number in range(30)]
    assert [found[one].attributes["enabled"] for one in people] == [False, True] * 15
    assert (
        set(found[groups[0]].attributes["members"])
        == set(found[groups[1]].attributes["members"])
        == {Reference(value=one) for one in people}
    )


def test_the_results_of_the_lines_that_live_are_told_before_the_export_ends(directory: Any, connect: Any, samba: Any) -> None:
    proxy = Proxy(samba.address, 636)
    try:
        connector = connect(connections=3, servers=["127.0.0.1"], port=proxy.port)
        people = [directory.make(f"P{number}", kind=Kind.CONTACT) for number in range(40)]

        def changes(old: str, new: str) -> list[Change]:
            values: dict[str, Any] = {"before": {"info": old} if old else {}, "after": {"info": new}}
            return [directory.change(Operation.UPDATE, one, kind=Kind.CONTACT, **values) for one in people]

        list(connector.write(changes("", "part 1")))
        before = proxy.counted
        list(connector.write(changes("part 1", "part 2")))
        length = proxy.counted - before
        told = []
        for part in range(3, 8):  # of the last eighth: before that, what is there is read
            wanted = changes(f"part {part - 1}", f"part {part}")
            results: list[Result] = []
            proxy.cut(length - length * (8 - part) // 40, Way.DEATH)
            with pytest.raises(Unavailable):
                for one in connector.write(wanted):
                    results.append(one)
            proxy.mend()
            told.append(len(results))
            assert len({one.id for one in results}) == len(results) < len(wanted)
            assert {one.outcome for one in results} <= {Outcome.APPLIED}
            found = directory.read("info")
            applied = {one.anchor for one in wanted if one.id in {result.id for result in results}}
            assert {one for one in people if found[one].attributes.get("info") == f"part {part}"} >= applied
            connector.close()  # as whoever runs it again begins with another one: a line that had ended its share may be dead unnoticed
            assert {one.outcome for one in connector.write(wanted)} == {Outcome.APPLIED}
        assert told[-1] > len(people) // 2, f"most of what was written before it was cut off is to be told: {told}"
    finally:
        proxy.close()


def test_another_controller_is_not_asked_beside_the_first(connect: Any) -> None:
    connector = connect(connections=2)
    own = connector.domains[0].lines
    own.open(2)
    own._further[0].close()
    own._further[0].controllers.preferred = None
    first = own.first.server
    own.first.server = "dc9.elsewhere.test"
    with pytest.raises(Unavailable, match="takes no further connection"):
        own.open(2)
    own.first.server = first


@pytest.mark.parametrize(("allowed", "counted"), [(None, 4), (8, 4), (3, 3), (1, 1)])
def test_the_rate_of_the_document_bounds_them(allowed: int | None, counted: int) -> None:
    context = TestContext("contoso", settings=DirectorySettings(connections=allowed))
    options = {"servers": ["dc1"], "base": "DC=contoso,DC=test", "bind": "svc", "password": {"secret": "p"}, "connections": 4}
    assert ActiveDirectory(ADOptions().load(options), context).connections == counted


def test_domains_share_what_the_rate_allows() -> None:
    context = TestContext("contoso", settings=DirectorySettings(connections=5))
    further = {"further domains": {"DC=eu,DC=contoso,DC=test": []}, "connections": 4}
    options = {"servers": ["dc1"], "base": "DC=contoso,DC=test", "bind": "svc", "password": {"secret": "p"}, **further}
    assert ActiveDirectory(ADOptions().load(options), context).connections == 4, "two each"
