"""docs/hooks.md names every hook as it is, its examples load, and the engine calls each of them."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from metasync.contract import CONTRACT_VERSION, Kind, hookspecs
from metasync.host import Host
from metasync.host.collect import OLDEST_CONTRACT
from metasync.runs import run as runs
from metasync.testing.engine import Engine
from metasync.testing.memory import MemoryDirectory
from metasync.testing.staff import BASE, DOCUMENT, STAFF, person

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/hooks.md").read_text(encoding="utf-8")
SECTIONS = {text.partition("`\n")[0]: text for text in PAGE.split("\n## `")[1:]}
SPECS = {
    one.name: one
    for one in ast.parse(Path(hookspecs.__file__).read_text(encoding="utf-8")).body
    if isinstance(one, ast.FunctionDef) and one.name.startswith("metasync_")
}


def blocks(hook: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", SECTIONS[hook].partition("\n## ")[0], re.DOTALL)


def example(hook: str) -> types.ModuleType:
    module = types.ModuleType(f"example_of_{hook}")
    exec(compile(blocks(hook)[1], f"docs/hooks.md, {hook}", "exec"), vars(module))
    return module


def test_every_hook_is_documented_in_the_order_of_the_contract() -> None:
    assert list(SECTIONS) == list(SPECS)


@pytest.mark.parametrize("hook", SPECS)
def test_a_hook_is_shown_with_its_signature(hook: str) -> None:
    spec = SPECS[hook]
    assert spec.returns is not None
    assert blocks(hook)[0].strip() == f"def {hook}({ast.unparse(spec.args)}) -> {ast.unparse(spec.returns)}: ..."


@pytest.mark.parametrize("hook", SPECS)
def test_a_hook_is_of_the_sort_that_the_contract_says(hook: str) -> None:
    said = re.search(r"\n\n\*(Register|Ask|Tell)[:.]?\*", SECTIONS[hook])
    assert said
    assert (ast.get_docstring(SPECS[hook]) or "").startswith(f"{said[1]}:")


@pytest.mark.parametrize("hook", SPECS)
def test_an_example_loads_and_implements_just_its_hook(hook: str) -> None:
    host = Host.of(example(hook))
    assert [one.reason for one in host.plugins if not one.working] == []
    assert [name for name in SPECS if getattr(host.manager.hook, name).get_hookimpls()] == [hook]


def test_the_example_of_a_rewrite_yields_what_it_says() -> None:
    made = example("metasync_register_rewrites").metasync_register_rewrites()[0]
    assert made.function("Ann Mary Lee", ".") == made.example[1]


def test_the_version_of_the_contract_is_the_one_that_is_shown() -> None:
    assert f"metasync_contract = {CONTRACT_VERSION}\n" in PAGE
    assert OLDEST_CONTRACT == 1


class Everything:
    """Writes down which hook was called."""

    def __init__(self) -> None:
        self.called: list[str] = []


def _noting(plugin: Everything, hook: str) -> Any:
    parameters = ", ".join(argument.arg for argument in SPECS[hook].args.args)
    scope: dict[str, Any] = {"plugin": plugin}
    exec(f"def {hook}({parameters}):\n    plugin.called.append({hook!r})\n    return []\n", scope)
    return hookspecs.hookimpl(scope[hook])


@pytest.fixture
def noted() -> Everything:
    plugin = Everything()
    for hook in SPECS:
        setattr(plugin, hook, _noting(plugin, hook))
    return plugin


@pytest.fixture
def engine(tmp_path: Path, noted: Everything) -> Iterator[Engine]:
    hr, ad = MemoryDirectory(), MemoryDirectory()
    ad.add(Kind.CONTAINER, name="People", path=BASE)
    person(hr, "Ann Lee")
    made = Engine(tmp_path, DOCUMENT.format(profiles=STAFF), {"hr": hr, "ad": ad}, plugins=[noted])
    yield made
    made.close()


def test_the_engine_calls_every_hook(engine: Engine, noted: Everything) -> None:
    registering = [hook for hook in SPECS if hook.startswith("metasync_register_")]
    assert sorted(noted.called) == sorted(registering), "each once, when the plugin is loaded"
    noted.called.clear()
    # One run that plans and waits for a person, one in which that person approves.
    runs.run(engine.workspace, ["people"])
    assert noted.called == in_order(["run_started", "veto", "planned", "approval_needed", "run_finished"])
    noted.called.clear()
    runs.run(engine.workspace, ["people"], approve=True, reason="a test")
    assert "metasync_written" in noted.called


def in_order(names: Sequence[str]) -> list[str]:
    return [f"metasync_{name}" for name in names]


def test_no_hook_is_called_only_in_tests() -> None:
    sources = [path for path in (ROOT / "core/metasync").rglob("*.py") if not {"contract", "testing"} & set(path.parts)]
    named: set[str] = set()
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
            elif isinstance(node, ast.Attribute):
                named.add(node.attr)
    assert set(SPECS) <= named
