"""Reading everything: complete, typed, in pages, and never complete when it was cut."""

from __future__ import annotations

import pytest

from metasync.contract import Entry, ImportIncomplete, Page, Reference, Unavailable, Values
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench, image
from metasync.testing.values import as_tuple, problem


def put_some(bench: Bench, count: int = 7) -> list[str]:
    """So many samples, behind the connector's back."""
    return [bench.put(number) for number in range(1, count + 1)]


class ReadingSuite(Suite):
    """`Connector.read`."""

    def test_a_read_holds_everything_and_says_so(self, bench: Bench) -> None:
        anchors = put_some(bench)
        pages = bench.pages()
        assert set(anchors) <= image(page for stream in pages for page in stream).keys()
        for stream in pages:
            assert stream, "a read yields at least the page that says complete"
            assert stream[-1].complete, "the read came to its end and did not say complete"

    def test_only_the_last_page_says_complete(self, bench: Bench) -> None:
        put_some(bench)
        for stream in bench.pages(page_size=2):
            assert [page.complete for page in stream] == [False] * (len(stream) - 1) + [True]
            assert not any(page.cursor for page in stream[:-1]), "a cursor stands on the last page alone"

    def test_pages_obey_their_size(self, bench: Bench) -> None:
        put_some(bench)
        for size in (1, 3):
            assert all(len(page.items) <= size for stream in bench.pages(page_size=size) for page in stream)

    def test_no_page_is_lost(self, bench: Bench) -> None:
        anchors = put_some(bench)
        whole = bench.image()
        assert set(anchors) <= whole.keys()
        for size in (1, 2, 3, len(whole), len(whole) + 1):
            assert not bench.differences(whole, bench.image(page_size=size)), f"pages of {size} show another directory than one page"

    def test_values_are_read_as_they_are(self, bench: Bench) -> None:
        given = {**bench.harness.sample(bench.harness.kind, 1), bench.harness.text: "Mixed Case, and: Ümläute"}
        read = bench.one(bench.put(1, given))
        for name, values in given.items():
            assert set(as_tuple(read.get(name))) == set(as_tuple(values)), f"{name} was put as {values!r} and read as {read.get(name)!r}"

    def test_values_are_typed_as_discovered(self, bench: Bench) -> None:
        more: dict[str, Values] = {}
        for name, attribute in bench.harness.writable(bench.kind).items():
            if (value := bench.harness.value(bench.harness.kind, attribute, 1)) is not None:
                more[name] = value
        bench.put(1, more)
        for entry in bench.image().values():
            known = bench.attributes(entry.kind)
            for name, values in entry.attributes.items():
                if name not in known:
                    assert bench.schema.kinds[entry.kind].open, f"{name} was read, but discover does not know it"
                    continue
                assert not (why := problem(known[name], values)), f"{name} of {entry.anchor}: {why}"

    def test_an_absent_attribute_stays_absent(self, bench: Bench) -> None:
        anchor = bench.put(1)
        given = bench.harness.sample(bench.harness.kind, 1)
        read = bench.one(anchor)
        for name in bench.harness.writable(bench.kind):
            if name not in given:
                assert name not in read, f"{name} was never set and is read as {read[name]!r}; absent must stay absent"

    def test_a_second_read_is_equal(self, bench: Bench) -> None:
        put_some(bench)
        assert not bench.differences(bench.image(), bench.image())
        first = bench.image()
        bench.again()
        assert not bench.differences(first, bench.image()), "another connection shows another directory"

    def test_a_version_stands_for_the_same_values(self, bench: Bench) -> None:
        anchors = put_some(bench)
        plain, known, later = bench.image(), bench.image(versions=True), bench.image(versions=True, compares=True)
        assert not bench.differences(plain, known), "whoever keeps versions is shown another directory"
        assert not bench.differences(plain, later), "what is worked out later is another directory"
        versions = {anchor: entry.version for anchor, entry in known.items()}
        assert {anchor: entry.version for anchor, entry in later.items()} == versions, "one read says one version, the next another"
        bench.harness.change(anchors[0], {bench.harness.text: "Another Value"})
        changed = bench.image(versions=True, compares=True)[anchors[0]]
        assert bench.differences({anchors[0]: plain[anchors[0]]}, {anchors[0]: changed}), "what was changed is not shown"
        assert changed.version is None or changed.version != versions[anchors[0]], f"{anchors[0]} changed, and its version did not"

    def test_only_what_was_requested_is_delivered(self, bench: Bench) -> None:
        anchor = bench.put(1)
        read = bench.image(attributes=[bench.harness.text])[anchor].attributes
        assert read.keys() <= {bench.harness.text, "anchor"}, f"{sorted(read.keys())} were delivered, {bench.harness.text} was requested"
        assert bench.harness.text in read

    def test_only_the_requested_kinds_are_delivered(self, bench: Bench) -> None:
        put_some(bench, 2)
        for kind in bench.schema.kinds:
            streams = bench.connector.streams([kind.value])
            pages = [page for stream in streams for page in bench.connector.read(bench.request(stream, kinds=[kind]))]
            assert {item.kind for page in pages for item in page.items if isinstance(item, Entry)} <= {kind}

    def test_every_object_has_an_anchor(self, bench: Bench) -> None:
        put_some(bench, 2)
        for anchor, entry in bench.image().items():
            assert anchor, "an object has an empty anchor"
            assert entry.attributes.get("anchor", anchor) == anchor

    def test_the_anchor_survives_a_rename(self, bench: Bench) -> None:
        anchor = bench.put(1)
        bench.put(2)
        if "name" not in bench.attributes():
            bench.harness.change(anchor, {bench.harness.text: "Renamed"})
        else:
            bench.harness.rename(anchor, "Renamed")
        read = bench.one(anchor)
        assert "Renamed" in (read.get("name"), read.get(bench.harness.text)), f"{anchor} is another object after a rename"

    @needs(named=("places",))
    def test_the_anchor_survives_a_move(self, bench: Bench) -> None:
        assert bench.harness.places
        anchor = bench.put(1)
        bench.harness.move(anchor, bench.harness.places[1])
        assert bench.same("path", bench.one(anchor)["path"], bench.harness.places[1])

    @needs(named=("places",))
    def test_a_scope_leaves_out_nothing_below_it(self, bench: Bench) -> None:
        assert bench.harness.places
        anchors = put_some(bench, 3)
        bench.harness.move(anchors[0], bench.harness.places[1])
        assert set(anchors[1:]) <= bench.image(under=(bench.harness.places[0],)).keys()
        assert set(anchors) <= bench.image(under=bench.harness.places).keys()

    @needs(named=("reference",))
    def test_references_resolve(self, bench: Bench) -> None:
        assert bench.harness.reference
        boss = bench.put(1)
        worker = bench.put(2, {bench.harness.reference: bench.harness.refer(boss)})
        present = bench.image()
        (reference,) = as_tuple(present[worker].attributes.get(bench.harness.reference))
        assert isinstance(reference, Reference)
        if reference.key == "anchor":
            assert reference.value == boss
        else:
            meant = [anchor for anchor, entry in present.items() if reference.value in as_tuple(entry.attributes.get(reference.key))]
            assert meant == [boss], f"the reference by {reference.key} means {meant}"

    def test_an_interrupted_read_goes_on(self, bench: Bench) -> None:
        put_some(bench, 5)
        whole = bench.image()
        for stream in bench.streams:
            stored: list[Page] = []
            for page in bench.connector.read(bench.request(stream, page_size=1)):
                stored.append(page)
                if len(stored) == 2 or page.complete:
                    break
            bench.again()
            resume = stored[-1].resume
            rest = [] if stored[-1].complete else list(bench.connector.read(bench.request(stream, page_size=1, resume=resume)))
            pages = [*stored, *rest] if resume or not rest else rest
            mine = {anchor: entry for anchor, entry in whole.items() if stream in bench.connector.streams([entry.kind.value])}
            assert pages[-1].complete
            assert not bench.differences(mine, image(pages)), "what was read before and after the resume token is not the whole"

    def test_a_read_that_is_stopped_does_not_claim_the_rest(self, bench: Bench) -> None:
        anchors = put_some(bench, 5)
        pages: list[Page] = []
        for stream in bench.streams:
            for page in bench.connector.read(bench.request(stream, page_size=1)):
                pages.append(page)
                bench.context.ask_to_stop()
        if pages and all(page.complete for page in pages[-1:]) and len(bench.streams) == 1:
            assert set(anchors) <= image(pages).keys(), "the read was stopped in the middle and still said complete"

    @needs(able=("cut",))
    def test_a_cut_read_never_says_complete(self, bench: Bench) -> None:
        put_some(bench, 6)
        pages: list[Page] = []
        bench.harness.cut()
        with pytest.raises((Unavailable, ImportIncomplete)) as raised:
            for stream in bench.streams:
                for page in bench.connector.read(bench.request(stream, page_size=2)):
                    assert not page.complete or stream != bench.streams[-1], "the read was cut and says complete"
                    pages.append(page)
        assert str(raised.value), "the error says nothing"

    @needs(able=("cut",))
    def test_a_read_is_whole_again_after_a_cut(self, bench: Bench) -> None:
        anchors = put_some(bench, 6)
        bench.harness.cut()
        with pytest.raises((Unavailable, ImportIncomplete)):
            bench.pages(page_size=2)
        bench.harness.mend()
        bench.again()
        assert set(anchors) <= bench.image(page_size=2).keys()
