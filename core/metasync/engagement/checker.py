"""What all parts of the check share: problems and notices with their places, expressions, rewrites, options of plugins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from marshmallow import Schema, ValidationError, fields

from metasync.contract import Connector, Kind
from metasync.engagement.document import Document, Fault, KeyPath, Problem, key_text, one_of
from metasync.engagement.fields import explain, read_section
from metasync.engagement.model import Notice, RewriteCall
from metasync.expressions import Expression, ExpressionSyntaxError, compile_expression, read_step
from metasync.host import Host

WAVE_ATTRIBUTES = ("name", "state")


class Checker:
    """One reading of one document. Every check goes on after a problem, so that all of them are found."""

    def __init__(self, document: Document, host: Host) -> None:
        self.document, self.host = document, host
        self.problems: list[Problem] = []
        self.notices: list[Notice] = []
        self.directories: tuple[str, ...] = ()
        """All that are declared, also those that are wrong themselves, so that one fault is not told twice."""
        self.ranked: Mapping[Kind, Collection[str]] = {}
        """The metaverse's attributes per kind."""

    def add(self, path: KeyPath, text: str, allowed: str = "") -> None:
        """A problem at this place."""
        self.problems.append(self.document.problem(path, text, allowed))

    def notice(self, path: KeyPath, text: str) -> None:
        """Something that a person should know."""
        self.notices.append(Notice(line=self.document.line(path), key=key_text(path), text=text))

    def add_faults(self, path: KeyPath, messages: Any) -> None:
        """Everything that a schema said, each at its place."""
        for where, fault in _faults(messages, path):
            self.add(where, str(fault), fault.allowed)

    def unknown(self, path: KeyPath, area: str, name: str) -> None:
        """No plugin registers it. One that was to, and does not work, is named with its reason."""
        word = area.removesuffix("s")
        idle = "; ".join(f"the plugin {info.name} is {info.state}: {info.reason}" for info in self.host.plugins if not info.working)
        known: Mapping[str, Any] = getattr(self.host, area)
        self.add(path, f"there is no {word} `{name}`" + (f" ({idle})" if idle else ""), one_of(sorted(known), name))

    def directory(self, path: KeyPath, name: Any) -> str | None:
        """The name of a declared directory."""
        if name is None or name in self.directories:
            return name  # type: ignore[no-any-return]
        self.add(path, f"there is no directory `{name}`", one_of(self.directories, name))
        return None

    def expression(self, path: KeyPath, text: str | None, kind: Kind | None = None) -> Expression | None:
        """Compile it; `kind` says whose attributes of the metaverse it may read."""
        if text is None:
            return None
        hint: dict[str, Collection[str]] = {"wave": WAVE_ATTRIBUTES}
        if kind is not None:
            hint["mv"] = tuple(self.ranked.get(kind, ()))
        try:
            return compile_expression(
                text, rewrites=self.host.rewrites, roots={"source", "target", "mv", "wave", *self.directories}, names_hint=hint
            )
        except ExpressionSyntaxError as error:
            self.add(path, _syntax(error), ", ".join(error.allowed))
            return None

    def rewrites(self, path: KeyPath, steps: Iterable[tuple[str, Any]]) -> tuple[RewriteCall, ...]:
        """The steps of a pipeline, with their arguments in order."""
        calls: list[RewriteCall] = []
        listed = isinstance(self.raw(path), list)
        for number, (name, argument) in enumerate(steps):
            try:
                calls.append(read_step(name if argument is None else {name: argument}, self.host.rewrites))
            except ValueError as error:
                text, _, allowed = str(error).partition("; allowed: ")
                self.add((*path, number) if listed else path, text, allowed)
        return tuple(calls)

    def options(self, path: KeyPath, owner: str, schema: type[Schema], given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Options by their plugin's own schema, with paths made relative to the document's folder."""
        try:
            made = schema()
            return _resolved(made.fields, read_section(made, given), self.document.folder)
        except ValidationError as error:
            if isinstance(error.messages, dict):
                explain(schema(), error.messages)
            self.add_faults(path, error.messages)
        except (Exception, SystemExit) as error:
            # A plugin's own check may fail in any way; what it said could quote a value.
            self.add(path, f"the options of the {owner} could not be checked: {type(error).__name__} in its plugin")
        return None

    def connector_options(self, path: KeyPath, connector: type[Connector], given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Options of a connector, also in the form of one of its older versions."""
        for version in range(connector.options_version, 0, -1):
            try:
                upgraded = given if version == connector.options_version else connector.upgrade(given, version)
                read_section(connector.Options(), upgraded)
            except (Exception, SystemExit):  # noqa: S112  not of this version; what is wrong is said of today's below
                continue
            if version != connector.options_version:
                text = f"is in the form of version {version} of the options of `{connector.name}`, and is read as version "
                self.notice(path, f"{text}{connector.options_version}; write it anew when you change it")
            return self.options(path, f"connector `{connector.name}`", connector.Options, upgraded)
        return self.options(path, f"connector `{connector.name}`", connector.Options, given)

    def file(self, name: str) -> str:
        """A path that the document names, relative to its folder."""
        return str(self.document.folder / name)

    def raw(self, path: KeyPath) -> Any:
        """The plain value as it stands in the document; None where there is none."""
        node: Any = self.document.data
        for step in path:
            if isinstance(node, Mapping):
                node = node.get(step)
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                return None
        return node


def _faults(messages: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Fault]]:
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            yield from _faults(below, path if key == "_schema" else (*path, key))
    elif isinstance(messages, list):
        for one in messages:
            yield from _faults(one, path)
    elif isinstance(messages, Fault):
        yield path, messages
    else:
        words = {"Field may not be null.": "is empty", "Invalid input type.": "is not a mapping"}
        text = str(messages)
        yield path, Fault(words.get(text, text.rstrip(".")))


def _syntax(error: ExpressionSyntaxError) -> str:
    return str(error).partition("; allowed: ")[0]


def _resolved(known: Mapping[str, fields.Field[Any]], loaded: dict[str, Any], folder: Path) -> dict[str, Any]:
    for name, field in known.items():
        key = field.attribute or name
        value = loaded.get(key)
        if value is None:
            continue
        if isinstance(field, fields.Nested) and isinstance(value, dict):
            loaded[key] = _resolved(field.schema.fields, value, folder)
        elif field.metadata.get("path"):
            loaded[key] = _each(lambda one: str(folder / one), value)
    return loaded


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(function(one) for one in value)
    if isinstance(value, dict):
        return {key: function(one) for key, one in value.items()}
    return function(value)
