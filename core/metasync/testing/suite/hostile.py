"""Hostile strings: what is applied is read back equal, what is not is refused with a reason; nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasync.contract import Operation, Outcome, Writes
from metasync.testing.suite.base import Suite, needs
from metasync.testing.suite.bench import Bench

HOSTILE = {
    "NUL": "a\0b",
    "LDAP filter": "*)(uid=*",
    "LDAP escape": "\\00\\2a",
    "DN special": ',+"\\<>;#=',
    "leading #": "#1001",
    "outer spaces": "  spaced  out  ",
    "newlines": "first\r\nsecond\nthird\rfourth",
    "tab": "\tindented",
    "quotes": "\"'`",
    "formula": '=cmd|" /C calc"!A0',
    "SQL": "Robert'); DROP TABLE object;--",
    "HTML": "<script>alert(1)</script>&amp;",
    "separators": "a;b,c|d",
    "emoji": "\U0001f469\u200d\U0001f4bb \U0001f3f3\ufe0f\u200d\U0001f308",
    "right to left": "\u05d0\u05d1 \u202etxt.exe\u202c",
    "combining": "Zoe\u0308 A\u030angstro\u0308m",
    "composed": "Zo\u00eb \u00c5ngstr\u00f6m",
    "Turkish": "\u0130stanbul \u0131\u011fd\u0131r",
    "sharp s": "Stra\u00dfe STRASSE",
    "zero width": "a\u200bb\ufeffc",
    "one character": "x",
    "lone surrogate": "a\ud800b",
    "private use": "\ue000\U0010ffff",
}


class HostileSuite(Suite):
    """Values that break parsers, filters, files and pages."""

    def tried(self, bench: Bench, anchor: str, value: str) -> None:
        """Write the value over the present one: equal afterwards, or refused with a reason and untouched."""
        text = bench.harness.text
        change = bench.change(Operation.UPDATE, anchor, {text: value})
        (result,) = bench.write(change)
        read = bench.one(anchor).get(text)
        if result.outcome is Outcome.APPLIED:
            assert bench.same(text, read, value), f"{value!r} was written and {read!r} is read"
        else:
            assert result.outcome in (Outcome.REJECTED, Outcome.CONFLICT), (
                f"{value!r} came out as {result.outcome.value}: refuse it for good"
            )
            assert result.detail, f"{value!r} was refused without a reason"
            assert bench.same(text, read, change.before.get(text)), f"{value!r} was refused, and {read!r} is read"

    @needs(Writes)
    @pytest.mark.parametrize("which", HOSTILE)
    def test_a_hostile_value_is_kept_or_refused(self, bench: Bench, which: str) -> None:
        anchor = bench.put(1)
        self.tried(bench, anchor, HOSTILE[which])
        self.tried(bench, anchor, "harmless again")
        assert bench.one(anchor)[bench.harness.text] == "harmless again"

    @needs(Writes)
    def test_any_text_is_kept_or_refused(self, bench: Bench) -> None:
        anchor = bench.put(1)

        @settings(max_examples=bench.harness.examples, deadline=None, database=None, derandomize=True)
        @given(st.text(min_size=1, max_size=40))
        def try_it(value: str) -> None:
            self.tried(bench, anchor, value)

        try_it()

    @needs(Writes)
    @pytest.mark.parametrize("which", [which for which in HOSTILE if which not in ("lone surrogate",)])
    def test_an_object_with_a_hostile_name_can_be_made_and_found(self, bench: Bench, which: str) -> None:
        if "name" not in bench.attributes():
            return
        change = bench.create(1, name=HOSTILE[which])
        (result,) = bench.write(change)
        if result.outcome is not Outcome.APPLIED:
            assert result.outcome in (Outcome.REJECTED, Outcome.CONFLICT) and result.detail
            return
        assert bench.same("name", bench.one(str(result.anchor))["name"], HOSTILE[which])
        (found,) = bench.find(change)
        assert found.anchor == result.anchor
