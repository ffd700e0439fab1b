"""Following: a delta brings an image to where a fresh full read would be."""

from __future__ import annotations

import pytest

from metasync.contract import CursorExpired, Entry, Follows, ImportIncomplete, Page, Patch, Unavailable, Writes
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench, Image, image
from metasync.testing.suite.reading import put_some


class FollowingSuite(Suite):
    """`Follows.follow`."""

    def caught_up(self, bench: Bench, before: Image, cursors: dict[str, str]) -> dict[str, str]:
        """The delta from there leads to what a full read shows; gives the next cursors."""
        after, ends = bench.follow(before, cursors)
        differences = bench.differences(after, bench.image())
        assert not differences, f"delta (first) and full read (second) disagree: {'; '.join(differences)}"
        return ends

    @needs(Follows)
    def test_nothing_changed_is_a_complete_delta_that_changes_nothing(self, bench: Bench) -> None:
        put_some(bench, 3)
        before, cursors = bench.start()
        after, _ = bench.follow(before, cursors)
        assert not bench.differences(before, after)

    @needs(Follows)
    def test_a_delta_shows_a_new_object_whole(self, bench: Bench) -> None:
        put_some(bench, 2)
        before, cursors = bench.start()
        bench.put(3)
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_a_delta_shows_a_changed_attribute(self, bench: Bench) -> None:
        anchors = put_some(bench, 2)
        before, cursors = bench.start()
        bench.harness.change(anchors[0], {bench.harness.text: "Changed"})
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_a_delta_shows_a_cleared_attribute(self, bench: Bench) -> None:
        anchors = [bench.put(1, {bench.harness.other: "Going"}), bench.put(2)]
        before, cursors = bench.start()
        bench.harness.change(anchors[0], {bench.harness.other: None})
        after, _ = bench.follow(before, cursors)
        assert bench.harness.other not in after[anchors[0]].attributes, "the delta forgot that an attribute was cleared"
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_a_delta_shows_a_rename(self, bench: Bench) -> None:
        anchors = put_some(bench, 2)
        before, cursors = bench.start()
        if "name" in bench.attributes():
            bench.harness.rename(anchors[0], "Renamed")
        else:
            bench.harness.change(anchors[0], {bench.harness.text: "Renamed"})
        self.caught_up(bench, before, cursors)

    @needs(Follows, named=("places",))
    def test_a_delta_shows_a_move(self, bench: Bench) -> None:
        assert bench.harness.places
        anchors = put_some(bench, 2)
        before, cursors = bench.start()
        bench.harness.move(anchors[0], bench.harness.places[1])
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_a_delta_shows_a_deletion(self, bench: Bench) -> None:
        anchors = put_some(bench, 3)
        before, cursors = bench.start()
        bench.harness.delete(anchors[1])
        after, _ = bench.follow(before, cursors)
        assert anchors[1] not in after, "the delta did not say that an object is gone"
        assert {anchors[0], anchors[2]} <= after.keys()

    @needs(Follows, named=("group",))
    def test_a_delta_shows_who_joined_and_who_left(self, bench: Bench) -> None:
        group_kind = bench.harness.group
        one, two, three = put_some(bench, 3)
        group = bench.put(4, kind=group_kind, members=(bench.harness.refer(one), bench.harness.refer(two)))
        before, cursors = bench.start()
        bench.harness.change(group, {"members": (bench.harness.refer(two), bench.harness.refer(three))})
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_a_delta_shows_everything_at_once(self, bench: Bench) -> None:
        anchors = put_some(bench, 4)
        before, cursors = bench.start()
        bench.harness.change(anchors[0], {bench.harness.text: "Once", bench.harness.other: "New"})
        bench.harness.change(anchors[0], {bench.harness.text: "Twice"})
        bench.harness.delete(anchors[1])
        bench.harness.delete(bench.put(8))
        bench.put(9)
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_the_next_cursor_leads_on(self, bench: Bench) -> None:
        anchors = put_some(bench, 2)
        before, cursors = bench.start()
        bench.harness.change(anchors[0], {bench.harness.text: "First"})
        middle, cursors = bench.follow(before, cursors)
        bench.harness.change(anchors[1], {bench.harness.text: "Second"})
        self.caught_up(bench, middle, cursors)

    @needs(Follows)
    def test_a_cursor_can_be_replayed(self, bench: Bench) -> None:
        anchors = put_some(bench, 3)
        before, cursors = bench.start()
        bench.harness.change(anchors[0], {bench.harness.text: "First"})
        bench.harness.delete(anchors[2])
        self.caught_up(bench, before, cursors)
        self.caught_up(bench, before, cursors)
        bench.harness.change(anchors[1], {bench.harness.text: "Second"})
        bench.again()
        self.caught_up(bench, before, cursors)

    @needs(Follows)
    def test_the_cursor_was_taken_before_the_read(self, bench: Bench) -> None:
        """What changes while a read is under way is in the read or in the delta after it."""
        anchors = put_some(bench, 4)
        pages: list[Page] = []
        cursors: dict[str, str] = {}
        for stream in bench.streams:
            for page in bench.connector.read(bench.request(stream, page_size=1)):
                pages.append(page)
                read = [item.anchor for item in page.items if isinstance(item, Entry) and item.anchor in anchors]
                for anchor in read:
                    bench.harness.change(anchor, {bench.harness.text: f"Changed behind the reader {len(pages)}"})
            cursors[stream] = str(pages[-1].cursor)
        self.caught_up(bench, image(pages), cursors)

    @needs(Follows)
    def test_the_cursor_of_a_resumed_read_reaches_back_to_its_start(self, bench: Bench) -> None:
        anchors = put_some(bench, 4)
        pages: list[Page] = []
        cursors: dict[str, str] = {}
        for stream in bench.streams:
            stored: list[Page] = []
            for page in bench.connector.read(bench.request(stream, page_size=1)):
                stored.append(page)
                ours = [item.anchor for item in page.items if isinstance(item, Entry) and item.anchor in anchors]
                if ours and not page.complete:
                    bench.harness.change(ours[0], {bench.harness.text: "Changed between"})
                    break
            if not stored[-1].complete:
                bench.again()
                bench.harness.settle()
                resume = stored[-1].resume
                rest = list(bench.connector.read(bench.request(stream, page_size=1, resume=resume)))
                stored = [*stored, *rest] if resume else rest
            pages += stored
            cursors[stream] = str(stored[-1].cursor)
        self.caught_up(bench, image(pages), cursors)

    @needs(Follows)
    def test_a_delta_delivers_only_what_was_requested(self, bench: Bench) -> None:
        anchors = put_some(bench, 2)
        wanted = [bench.harness.text]
        before, cursors = bench.start(attributes=wanted)
        bench.harness.change(anchors[0], {bench.harness.text: "Wanted", bench.harness.other: "Not wanted"})
        connector = bench.connector
        assert isinstance(connector, Follows)
        bench.harness.settle()
        for stream, cursor in cursors.items():
            for page in connector.follow(bench.request(stream, attributes=wanted), cursor):
                for item in page.items:
                    if isinstance(item, Entry | Patch):
                        assert item.attributes.keys() <= {bench.harness.text, "anchor"}
        after, _ = bench.follow(before, cursors, attributes=wanted)
        assert not bench.differences(after, bench.image(attributes=wanted))

    @needs(Follows)
    def test_a_foreign_cursor_is_refused(self, bench: Bench) -> None:
        bench.put(1)
        connector = bench.connector
        assert isinstance(connector, Follows)
        for cursor in ("", "another directory's cursor", "0"):
            with pytest.raises(CursorExpired):
                list(connector.follow(bench.request(bench.streams[0]), cursor))

    @needs(Follows, able=("expire",))
    def test_an_expired_cursor_is_refused(self, bench: Bench) -> None:
        anchor = bench.put(1)
        before, cursors = bench.start()
        bench.harness.change(anchor, {bench.harness.text: "Changed"})
        bench.harness.expire()
        with pytest.raises(CursorExpired):
            bench.follow(before, cursors)

    @needs(Follows, able=("cut",))
    def test_a_cut_delta_never_says_complete(self, bench: Bench) -> None:
        anchors = put_some(bench, 6)
        before, cursors = bench.start()
        for anchor in anchors:
            bench.harness.change(anchor, {bench.harness.text: "Changed"})
        bench.harness.cut()
        with pytest.raises((Unavailable, ImportIncomplete)):
            bench.follow(before, cursors, page_size=2)
        bench.harness.mend()
        bench.again()
        self.caught_up(bench, before, cursors)

    @needs(Follows, Writes)
    def test_a_delta_shows_what_we_wrote_ourselves(self, bench: Bench) -> None:
        put_some(bench, 2)
        before, cursors = bench.start()
        anchor = bench.made(3)
        after, cursors = bench.follow(before, cursors)
        assert anchor in after, "an object that was created through the connector does not come back in the delta"
        self.caught_up(bench, after, cursors)
