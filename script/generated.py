"""What script/docs writes: the parts between `<!-- generated: NAME -->` and `<!-- end -->` of the pages, and the picture of a plan.

Everything comes from the product itself: the schemas of the document and of options, the rewrites that ship, click's commands.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from marshmallow import Schema, fields, missing, validate
from picture import plan_picture

from metasync.cli.group import SECTIONS
from metasync.cli.group import metasync as group
from metasync.cli.session import ENVIRONMENT, Exit, Verb, common_options
from metasync.contract import Kind, Null, Operation, Rewrite, Secret, Several, capabilities
from metasync.engagement.model import Cause
from metasync.engagement.reference import reference
from metasync.expressions.rewrites import signature
from metasync_ad.plugin import metasync_register_connectors as ad_connectors
from metasync_csv.plugin import metasync_register_connectors as csv_connectors
from metasync_email.plugin import metasync_register_notifiers as email_notifiers
from metasync_entra.lab.faults import ACTIONS
from metasync_entra.lab.permissions import NEEDS
from metasync_entra.lab.routes import ROUTES
from metasync_entra.lab.rules import every as lab_rules
from metasync_entra.lab.tenant import Settings
from metasync_entra.plugin import metasync_register_connectors as entra_connectors
from metasync_standard.plugin import metasync_register_matchers, metasync_register_rewrites
from metasync_webhook.plugin import metasync_register_notifiers as webhook_notifiers

_PART = re.compile(r"(<!-- generated: (?P<name>[a-z -]+) -->\n).*?(<!-- end -->)", re.DOTALL)


class UnknownPart(Exception):
    """A page asks for a part that nothing here makes."""


def everything(root: Path, scratch: Path) -> dict[Path, str]:
    """Every file that is generated, or has generated parts, as it must be. `scratch` is an empty folder to work in."""
    found = {path: filled(path.read_text(encoding="utf-8")) for path in pages(root)}
    found[root / "docs/images/plan.svg"] = plan_picture(scratch)
    return found


def pages(root: Path) -> list[Path]:
    """The pages with generated parts."""
    return [path for path in sorted((root / "docs").glob("*.md")) if _PART.search(path.read_text(encoding="utf-8"))]


def filled(page: str) -> str:
    """The page with every generated part as it must be. Raises `UnknownPart`."""

    def fill(match: re.Match[str]) -> str:
        made = PARTS.get(match["name"])
        if made is None:
            raise UnknownPart(f"nothing makes the part `{match['name']}`; there are {', '.join(PARTS)}")
        return f"{match[1]}\n{made().strip()}\n\n{match[3]}"

    return _PART.sub(fill, page)


# --- the document ----------------------------------------------------------------------------------------------------------------------


def document_keys() -> str:
    """Every key of the document, part by part from the outside in."""
    text = []
    for section in reference():
        if section.title == "default limits":
            continue
        heading = f"{section.title.removeprefix('the ').removeprefix('an ').removeprefix('a ').capitalize()}"
        text.append(f"### {heading}" + (f": `{section.path}`" if section.path else ""))
        rows = []
        for row in section.rows:
            marks = [word for word, on in (("required", row.required), ("advanced", row.advanced)) if on]
            rows.append((f"`{row.key}`" + (f"<br>{', '.join(marks)}" if marks else ""), row.help, row.form))
        text.append(table(("key", "means", "takes"), rows))
    return "\n\n".join(text)


def document_words() -> str:
    """The words that keys of `leaving:`, `limits:` and `metaverse:` are made of."""
    lists: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("kind", "`kind:`, and the keys of `metaverse:`", Kind),
        ("cause", "the keys of `leaving:`", Cause),
        ("operation", "the keys of `limits:`, and `--beyond`", Operation),
    )
    return table(
        ("word", "stands in", "is one of"), [(name, where, ", ".join(f"`{one}`" for one in words)) for name, where, words in lists]
    )


def default_limits() -> str:
    """The limits that hold where the document says nothing."""
    rows = next(section.rows for section in reference() if section.title == "default limits")
    return table(("operation", "default"), [(row.key, row.help) for row in rows])


def rewrites() -> str:
    """Every rewrite of plugins/standard."""
    made: Sequence[Rewrite] = metasync_register_rewrites()
    return table(
        ("rewrite", "what it does", "example", "yields"),
        [(f"`{signature(one)}`", one.help, f"`{one.example[0]}`", f"`{one.example[1]}`") for one in made],
    )


def exceptional_rewrites() -> str:
    """Which rewrites do not keep to the usual rules about nothing and about several values."""
    made: Sequence[Rewrite] = metasync_register_rewrites()
    handled = ", ".join(f"`{one.name}`" for one in made if one.null is Null.HANDLED)
    together = ", ".join(f"`{one.name}`" for one in made if one.several is Several.ALL)
    last = ", ".join(f"`{one.name}`" for one in made if one.value_last)
    return (
        f"- Nothing stays nothing, except in {handled}, which make something of it.\n"
        f"- Of several values each is rewritten by itself, except in {together}, which are about all of them.\n"
        f"- As a function, {last} takes its value last; in `x.f(...)` and in a pipeline the value always comes first."
    )


def options() -> str:
    """The options of what ships."""
    text = []
    for connector in (*csv_connectors(), *ad_connectors(), *entra_connectors()):
        text.append(f"### Connector `{connector.name}`: {connector.title}")
        text.append(f"It {joined(capabilities(connector)) or 'reads only'}.")
        text.append(option_table(connector.Options))
    for matcher in metasync_register_matchers():
        text.append(f"### Matcher `{matcher.name}`: {matcher.title}")
        text.append(option_table(matcher.Options))
    for notifier in (*email_notifiers(), *webhook_notifiers()):
        text.append(f"### Notifier `{notifier.name}`: {notifier.title}")
        text.append(option_table(notifier.Options))
    return "\n\n".join(text)


def option_table(schema: type[Schema]) -> str:
    """The options of one schema."""
    rows = []
    for name, field in schema().fields.items():
        marks = [word for word, on in (("required", field.required), ("advanced", field.metadata.get("advanced"))) if on]
        key = f"`{field.data_key or name}`" + (f"<br>{', '.join(marks)}" if marks else "")
        rows.append((key, field.metadata["help"], f"{form(field)}{default(field)}"))
    return table(("option", "means", "takes"), rows)


def form(field: Any) -> str:
    """What an option takes, in words."""
    if isinstance(field, Secret):
        return "`{secret: NAME}`"
    choices = [one.choices for one in field.validators if isinstance(one, validate.OneOf)]
    if choices:
        return "one of " + ", ".join(f"`{one}`" for one in choices[0])
    if isinstance(field, fields.List):
        return f"a list; each item: {form(field.inner)}"
    if isinstance(field, fields.Dict):
        return f"a mapping to {form(field.value_field)}" if field.value_field else "a mapping"
    bounds = [one for one in field.validators if isinstance(one, validate.Range)]
    if isinstance(field, fields.Integer) and bounds and None not in (bounds[0].min, bounds[0].max):
        return f"a whole number from {bounds[0].min} to {bounds[0].max}"
    words: tuple[tuple[type[Any], str], ...] = (
        (fields.Boolean, "`true` or `false`"),
        (fields.Integer, "a whole number"),
        (fields.Float, "a number"),
        (fields.String, "a path" if field.metadata.get("path") else "text"),
    )
    return next((said for kind, said in words if isinstance(field, kind)), "a value")


def default(field: Any) -> str:
    """What holds where it is left out."""
    value = field.load_default
    if field.required or value is missing or callable(value) or value in (None, "", [], {}, ()):
        return ""
    shown = (
        str(value).lower() if isinstance(value, bool) else ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    )
    return f"; `{shown}` unless said otherwise"


# --- the command line ------------------------------------------------------------------------------------------------------------------

EXIT_CODES: Mapping[Exit, str] = {
    Exit.DONE: "done; also a plan that awaits approval, where planning was all that was asked for",
    Exit.FAILED: "some objects failed in this run: a row was rejected, a value does not fit, a write was refused; "
    "or something looked at is not as it must be",
    Exit.USAGE: "bad usage, or a document that cannot be used: nothing was begun",
    Exit.WAITING: "a run that waits for approval, or was stopped by a limit",
    Exit.UNAVAILABLE: "a directory, or the database, cannot be used now: try again later",
    Exit.INTERNAL: "an error of Metasync itself: the file that it names has the details",
    Exit.INTERRUPTED: "interrupted; what was written is in the ledger, and the next run goes on from there",
}


def exit_codes() -> str:
    """What the exit codes mean."""
    return table(("code", "means"), [(f"`{int(code)}`", EXIT_CODES[code]) for code in Exit])


def common() -> str:
    """The options of every verb."""
    rows = []
    for one in common_options():
        variable, (says, _, more) = ENVIRONMENT.get(one.name or ""), (one.help or "").partition(" (METASYNC_")
        usual = more.partition("; default ")[2].rstrip(").")
        rows.append((names_of(one), says.rstrip("."), f"`{variable}`" if variable else "", usual))
    return table(("option", "means", "or the variable", "unless said otherwise"), rows)


def commands() -> str:
    """Every verb of the engine."""
    import metasync.cli.main  # noqa: F401 - registers them

    text = []
    for title, names in SECTIONS.items():
        text.append(f"## {title}")
        for name in names:
            text += verbs(group.commands[name], f"metasync {name}")
    return "\n\n".join(text)


def verbs(command: click.Command, path: str) -> Iterator[str]:
    """One verb, or a group with its verbs."""
    yield f"### `{path}`"
    if isinstance(command, click.Group):
        yield help_of(command)
        for name, below in command.commands.items():
            yield from verbs(below, f"{path} {name}")
        return
    context = click.Context(command, info_name=path, color=False)
    shown = {one.name for one in common_options()}
    usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")
    own = [one for one in command.params if isinstance(one, click.Option) and one.name not in shown and not one.hidden]
    yield f"```\n{' '.join(filter(None, (path, '[OPTIONS]' if own else '', usage)))}\n```"
    yield help_of(command)
    if own:
        yield table(("option", "means"), [(names_of(one), option_help(one)) for one in own])
    if isinstance(command, Verb) and command.examples:
        lines = []
        for example in command.examples:
            typed, _, says = example.partition("  # ")
            lines += [f"# {says}", typed] if says else [typed]
        yield "```sh\n" + "\n".join(lines) + "\n```"


def help_of(command: click.Command) -> str:
    """A command's help as text; its paragraphs were wrapped for a terminal."""
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def names_of(one: click.Option) -> str:
    """`--limit N`."""
    value = "" if one.is_flag or one.count else f" {one.metavar or one.type.name.upper()}"
    both = [*one.opts, *one.secondary_opts]
    return ", ".join(f"`{name}{value}`" for name in both)


def option_help(one: click.Option) -> str:
    """What an option is for; its default where it has one that says something."""
    said = [one.help or ""]
    if one.required:
        said.append("Required.")
    if one.default not in (None, "", (), False) and not one.is_flag and isinstance(one.default, (int, str)):
        said.append(f"`{one.default}` unless said otherwise.")
    return " ".join(said)


# --- Markdown --------------------------------------------------------------------------------------------------------------------------


def lab_faults() -> str:
    """Every fault that the lab tenant can be given."""
    return table(("fault", "what a client meets"), [(f"`{name}`", action.says) for name, action in ACTIONS.items()])


def lab_routes() -> str:
    """Every operation of Graph that the lab tenant serves, with what suffices to be let in."""
    rows = [
        (f"`{one.method} {one.path}`", one.says, ", ".join(f"`{name}`" for name in NEEDS[one.needs][:2]), str(one.cost)) for one in ROUTES
    ]
    return table(("operation", "what it does", "permission, the least first", "units"), rows)


def lab_rule_table() -> str:
    """Every rule that the lab tenant enforces, with its source."""
    rows = [(f"`{name}`", rule.says, rule.source, "yes" if rule.inferred else "") for name, rule in lab_rules().items()]
    return table(("rule", "says", "source", "inferred"), rows)


def lab_settings() -> str:
    """What can be set of the lab tenant."""
    made = Settings()
    rows = [(f"`{one.name}`", one.metadata["help"], f"`{getattr(made, one.name)!r}`") for one in dataclasses.fields(Settings)]
    return table(("setting", "means", "default"), rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


PARTS: Mapping[str, Callable[[], str]] = {
    "keys": document_keys,
    "words": document_words,
    "limits": default_limits,
    "rewrites": rewrites,
    "exceptional rewrites": exceptional_rewrites,
    "options": options,
    "exit codes": exit_codes,
    "common options": common,
    "commands": commands,
    "lab faults": lab_faults,
    "lab operations": lab_routes,
    "lab rules": lab_rule_table,
    "lab settings": lab_settings,
}
"""Name of a part -> what makes it."""
