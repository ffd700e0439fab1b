"""docs/document.md: its example loads, its expressions yield what they say, and what it says of the laws and of keys is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import metasync_ad.plugin
import metasync_csv.plugin
import metasync_standard.plugin
from metasync.contract import (
    Connector,
    Exporter,
    Intent,
    Operation,
    Options,
    Pair,
    Result,
    Rewrite,
    hookimpl,
)
from metasync.engagement.load import check, parse
from metasync.engagement.reference import reference
from metasync.expressions import ExpressionError, ExpressionSyntaxError, compile_expression, tidy
from metasync.expressions.parse import MAX_LENGTH, MAX_MACROS, MAX_NESTING, MAX_NODES
from metasync.host import Host

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/document.md").read_text(encoding="utf-8")
REWRITES: dict[str, Rewrite] = {one.name: one for one in metasync_standard.plugin.metasync_register_rewrites()}


class NoOptions(Options):
    """None."""


class Passwords(Exporter):
    """Stands in for the exporter that the example names and that does not ship yet."""

    name, title, Options = "passwords", "Passwords", NoOptions
    operations = frozenset({Operation.PASSWORD})
    needs = (Connector, Connector)

    def plan(self, pairs: Iterator[Pair], since: str | None) -> Iterator[Intent]:
        raise NotImplementedError

    def write(self, intents: Sequence[tuple[str, Intent]], source: Connector, target: Connector) -> Iterator[Result]:
        raise NotImplementedError


class PasswordsPlugin:
    """Registers it."""

    @hookimpl
    def metasync_register_exporters(self) -> Sequence[type[Exporter]]:
        return [Passwords]


def example() -> str:
    found = re.search(r"<!-- example -->\n```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_the_example_loads_with_the_plugins_that_ship(tmp_path: Path) -> None:
    host = Host.of(metasync_standard.plugin, metasync_csv.plugin, metasync_ad.plugin, PasswordsPlugin())
    assert all(one.working for one in host.plugins)
    engagement = check(parse(example(), str(tmp_path / "metasync.yaml")), host)
    assert list(engagement.profiles) == ["staff", "gal-to-fabrikam"]


def test_the_example_says_the_same_as_the_one_that_the_engine_is_tested_with() -> None:
    tested = (ROOT / "tests/core/engagement/example.yaml").read_text(encoding="utf-8")
    shown = plain(example())
    for name in ("contoso", "fabrikam"):
        # The engine's tests stand in for the connector `ad`, which asks for it.
        assert shown["directories"][name]["options"].pop("ca file") == "ca.pem"
    assert shown == plain(tested)


def test_whatever_is_accepted_acts() -> None:
    assert [row.key for section in reference() for row in section.rows if "Not yet acting" in row.help] == []


def expressions() -> list[tuple[str, dict[str, Any], str]]:
    lines = PAGE.partition("<!-- expressions -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [re.split(r"(?<!\\) ?\| ?", line)[1:4] for line in lines]
    return [(text.strip("`").replace("\\|", "|"), plain(where.strip("`")) or {}, said) for text, where, said in rows]


@pytest.mark.parametrize(("text", "where", "said"), expressions(), ids=[f"{one[0]}-{bool(one[1])}" for one in expressions()])
def test_an_expression_yields_what_the_page_says(text: str, where: dict[str, Any], said: str) -> None:
    if said.startswith("refused: "):
        with pytest.raises(ExpressionSyntaxError, match=re.escape(said.removeprefix("refused: ").strip("`"))):
            compile_expression(text, rewrites=REWRITES, roots=["source"])
        return
    made = compile_expression(text, rewrites=REWRITES, roots=["source"])
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in where.items()}
    values = [given.get(f"{root}.{attribute}") for root, attribute in made.arguments]
    for evaluate in (made.call, made.explain):
        if said.startswith("an error: "):
            with pytest.raises(ExpressionError, match=re.escape(said.removeprefix("an error: ").strip("`"))):
                evaluate(*values)
        else:
            assert shown(tidy(evaluate(*values))) == said.strip("`")


def shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value) if not isinstance(value, str) else value


def test_the_bounds_of_an_expression_are_those_that_hold() -> None:
    said = f"at most {MAX_LENGTH // 1024} KiB long, with {MAX_NODES} parts, nested {MAX_NESTING} deep"
    assert said in PAGE
    assert MAX_MACROS == 2 and "within macros twice at most" in PAGE


def test_there_are_fifteen_laws() -> None:
    laws = re.findall(r"^(\d+)\. \*\*", PAGE.partition("## The laws")[2], re.MULTILINE)
    assert laws == [str(number) for number in range(1, 16)]
