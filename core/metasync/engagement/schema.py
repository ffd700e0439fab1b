"""The whole language of the document, as schemas: the one source of what is accepted and of its reference (`reference.py`).

What a schema alone can tell is checked here; what needs plugins or other parts of the document is checked in `load` and `laws`. It is long
because it is the language, in one place and in the document's order; there is little else in it.
"""

from __future__ import annotations

import re
from typing import Any

from marshmallow import INCLUDE, ValidationError, validates_schema

from metasync.contract import Event, Kind, Operation, option
from metasync.engagement.defaults import PERCENT_FLOOR
from metasync.engagement.document import Fault
from metasync.engagement.fields import (
    Expression,
    Flag,
    KindPair,
    Many,
    Name,
    OneOrMany,
    Part,
    Percent,
    Section,
    Steps,
    Table,
    Text,
    Value,
    Whole,
    Word,
    name_key,
)
from metasync.engagement.model import Action, Approval, Cause, Origin, Role, Several
from metasync.engagement.times import Duration, Rate, Schedule, Window

DIRECTORY_NAME = (
    "letters, digits, `-` and `_`, beginning with a letter, and no word of the expression language: expressions name directories"
)
_ROOTS = ("source", "target", "mv", "wave")
# https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax, IDENT and RESERVED
_CEL = ("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop")
_CEL_MORE = ("package", "namespace", "return", "var", "void", "while")
RESERVED = frozenset({*_ROOTS, *_CEL, *_CEL_MORE})
_DIRECTORY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


def _directory_key(key: str) -> str | None:
    return None if _DIRECTORY.fullmatch(key) and key not in RESERVED else DIRECTORY_NAME


def _refuse(key: str, text: str, allowed: str = "") -> ValidationError:
    return ValidationError({key: [Fault(text, allowed)]})


class NewPasswordsSection(Section):
    """`new passwords:`"""

    title = "new passwords"

    length = option(Whole(12, 127), title="Length", help="Characters of a new password; 24 unless said otherwise.")
    must_change = option(
        Flag(data_key="must change"),
        title="Must change",
        help="New accounts must change their password at the first sign-in; true unless said.",
    )
    classes = option(
        Whole(1, 4),
        title="Classes",
        help="How many of upper case, lower case, digits and signs it holds, in this order; 4 unless said otherwise.",
    )


class JoinsSection(Section):
    """`joins:`"""

    title = "joins"

    file = option(
        Text("a path", required=True),
        title="File",
        help="A CSV file of pairs made by hand: source anchor or key, target anchor or key.",
    )


class RateSection(Section):
    """`rate:`"""

    title = "rate"

    operations = option(Rate(), title="Operations", help="The most operations in a time.")
    connections = option(
        Whole(1, 64), title="Connections", help="The most connections at once, over all workers and runs of the engagement."
    )


class DirectorySection(Section):
    """One directory."""

    title = "a directory"

    connector = option(Name("connector", required=True), title="Connector", help="The plugin's connector that speaks to the directory.")
    options = option(
        Table(None, "options", load_default=dict),
        title="Options",
        help="The connector's own options; secrets are references, `{secret: NAME}`. Paths are relative to the document's folder.",
    )
    mark = option(
        Text("an attribute"),
        title="Mark",
        help="The attribute where objects that Metasync creates carry their durable mark. Without it the ledger's record stands in.",
    )
    new_passwords = option(
        Part(NewPasswordsSection, data_key="new passwords"),
        title="New passwords",
        help="How passwords of new accounts are made. They are made at write time and stored nowhere.",
    )
    allow_privileged = option(
        Many(Text("an anchor or DN"), least=0, data_key="allow privileged"),
        title="Allow privileged",
        help="Privileged objects that may be matched and written, one by one, by anchor or DN.",
    )
    joins = option(Part(JoinsSection), title="Joins", help="Pairs made by hand.")
    reserve_names = option(
        Duration(data_key="reserve names"),
        title="Reserve names",
        help="How long a unique value stays reserved after its object went; 180 days unless said otherwise.",
    )
    windows = option(Many(Window()), title="Windows", help="When the directory may be written; at any time, if left out.", advanced=True)
    rate = option(Part(RateSection), title="Rate", help="How fast the directory may be written.", advanced=True)


class MergeSection(Section):
    """One directory of `merge:`."""

    title = "merge"

    on = option(
        Table(Expression(), "an attribute there", required=True),
        title="On",
        help="One attribute of that directory and the expression that it equals: `{employeeNumber: source.employeeID}`.",
    )
    rewrite = option(Steps(), title="Rewrite", help="Rewrites of the expression's value and of the attribute before they are compared.")

    @validates_schema
    def _one(self, data: dict[str, Any], **_: Any) -> None:
        if len(data.get("on", "x")) != 1:
            raise _refuse("on", "is not one attribute with one expression", "`{ATTRIBUTE: EXPRESSION}`")


class ScopeSection(Section):
    """`scope:`"""

    title = "scope"

    under = option(
        OneOrMany(Text("a path in the source")),
        title="Under",
        help="Only objects below these places; each is pinned by its anchor once resolved, so that renaming it moves nobody out.",
    )
    where = option(Expression(), title="Where", help="Only objects for which this is true. An error never means that the object left.")
    origin = option(
        Word(Origin), title="Origin", help="`native` (default): what Metasync itself created is never a source. `any`: it may be one."
    )


class MatchSection(Section):
    """One rule of `match:`; keys that are not named here are the matcher's own."""

    title = "a match rule"

    class Meta:
        unknown = INCLUDE

    matcher = option(
        Name("matcher", load_default="attribute"), title="Matcher", help="The plugin's matcher; `attribute` unless said otherwise."
    )
    any_kind = option(
        Word(("skip",), data_key="any kind"),
        title="Any kind",
        help="`skip`: a candidate of another kind ends the search, and the object is skipped with its reason.",
    )


class PlaceSection(Section):
    """`place:`"""

    title = "place"

    mirror = option(
        Table(Text("a path in the target"), "a path in the source"),
        title="Mirror",
        help="Source path to target path; what lies below is mirrored below. The longest source path decides.",
    )
    expression = option(Expression(), title="Expression", help="The path of the parent. `place: EXPRESSION` is short for it.")
    existing = option(
        Word(("keep", "move")),
        title="Existing",
        help="`keep` (default): only new objects are placed. `move`: also those that stand already.",
    )

    @validates_schema
    def _either(self, data: dict[str, Any], **_: Any) -> None:
        if "mirror" in data and "expression" in data:
            raise _refuse("mirror", "stands beside `expression`, and only one can decide", "`mirror` or `expression`")
        if not data.get("mirror") and "expression" not in data:
            raise ValidationError([Fault("says no place", "`mirror: {SOURCE PATH: TARGET PATH}`, or an expression")])


class MappingSection(Section):
    """One attribute of `map:`."""

    title = "a mapping"

    from_ = option(Expression(data_key="from", required=True), title="From", help="Yields the value; null contributes nothing.")
    rewrite = option(Steps(), title="Rewrite", help="Rewrites of the value, in order.")
    unique = option(
        OneOrMany(Text("a pattern")),
        title="Unique",
        help="Patterns with `{value}`, `{local}`, `{domain}` and `{n}`; the first free value is taken, `{n}` counts from 2.",
    )
    once = option(Flag(), title="Once", help="Only at creation.")
    fill = option(Flag(), title="Fill", help="Only where the target has nothing.")
    values = option(
        Word(Several), title="Values", help="Of several values: `replace` (default) makes them equal, `add` only adds what is missing."
    )
    authoritative = option(Flag(), title="Authoritative", help="Also members that no identity stands for are removed.")
    when = option(Expression(), title="When", help="Where it is false, the attribute is left alone.")

    @validates_schema
    def _together(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("once") and data.get("fill"):
            raise _refuse("fill", "stands beside `once`: at creation the target has nothing", "`once: true` or `fill: true`")
        if data.get("values") is Several.ADD:
            for key in ("unique", "authoritative"):
                if data.get(key):
                    raise _refuse(key, "stands beside `values: add`, which neither renames nor removes a value", "`values: replace`")


class LimitSection(Section):
    """The limit of one operation."""

    title = "a limit"

    count = option(Whole(0, 10_000_000), title="Count", help="The most changes of one plan.")
    percent = option(
        Percent(),
        title="Percent",
        help=f"The most in percent of what the profile has joined. As few as {PERCENT_FLOOR} changes pass, as long as they are no more "
        "than a quarter.",
    )

    @validates_schema
    def _some(self, data: dict[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError([Fault("limits nothing", "`count`, `percent`, or both")])


class ReturningSection(Section):
    """`returning:`"""

    title = "returning"

    enable = option(
        Word(("disabled by us", "never")),
        title="Enable",
        help="`disabled by us` (default): a disable that was our own is reversed. `never`: it is left to people.",
    )
    recreated = option(
        Word(("rejoin", "never")),
        title="Recreated",
        help="`rejoin` (default): an object that was made anew with the same key takes the place of the old one.",
    )


class ProfileSection(Section):
    """One profile."""

    title = "a profile"

    kind = option(KindPair(required=True), title="Kind", help="What is synchronised; a pair where the target's kind is another.")
    source = option(
        OneOrMany(Name("directory"), required=True), title="Source", help="The directory, or several: any of them makes the identity."
    )
    merge = option(Table(Part(MergeSection), "directory names"), title="Merge", help="Further sources that join the same identity.")
    target = option(Name("directory", required=True), title="Target", help="The directory that is written.")
    scope = option(Part(ScopeSection), title="Scope", help="Which objects of the source the profile is about; all, unless said otherwise.")
    match = option(
        Many(Part(MatchSection)),
        title="Match",
        help="Rules in order; the first with any candidate decides. A bare name is an attribute, anything else an expression.",
    )
    action = option(Word(Action, "an action"), title="Action", help="What may be done about an object without partner, and with one.")
    place = option(
        Part(PlaceSection, short="expression", short_form="an expression"), title="Place", help="Where objects live in the target."
    )
    map = option(
        Table(Part(MappingSection, short="from", short_form="an expression"), "attribute names"),
        title="Map",
        help="How each attribute of the target comes about.",
    )
    leaving = option(
        Table(OneOrMany(Value()), "causes", words=Cause),
        title="Leaving",
        help="Per cause the steps: `keep` (default), `disable`, `delete`, `{delete: joined}`, `{move: EXPRESSION, of: joined}`, each with "
        "`after: 90 days` where it shall wait, and `when: EXPRESSION` where it is not for everybody. Moves and deletes touch only what "
        "Metasync created, unless `joined` is said.",
    )
    returning = option(Part(ReturningSection), title="Returning", help="What is reversed when somebody comes back.")
    limits = option(
        Table(Part(LimitSection), "operations", words=Operation),
        title="Limits",
        help="The most that one plan may do. Defaults: see limits.",
    )
    approval = option(
        Word(Approval, "a policy"), title="Approval", help="When a person must approve: `always` (default), `first` or `never`."
    )
    schedule = option(Schedule(), title="Schedule", help="When the profile runs by itself, where a scheduler works.", advanced=True)
    mode = option(Word(("staging",)), title="Mode", help="`staging`: plans and never exports.", advanced=True)
    replaces = option(
        Name("profile"),
        title="Replaces",
        help="Objects of that profile for the same identity give way to ours, with their addresses and memberships.",
        advanced=True,
    )
    disjoint = option(
        Text("the name of a group"),
        title="Disjoint",
        help="Profiles of one group may map the same attribute: they are about different objects, which each plan checks.",
        advanced=True,
    )


class WaveSection(Section):
    """One wave."""

    title = "a wave"

    file = option(Text("a path", required=True), title="File", help="A CSV file with the keys of the people who move together.")
    key = option(Text("an attribute", required=True), title="Key", help="The column of the file, and the attribute that it equals.")


class ExporterSection(Section):
    """One use of an exporter; keys that are not named here are its own."""

    title = "an exporter"

    class Meta:
        unknown = INCLUDE

    between = option(Many(Name("directory"), required=True), title="Between", help="Two directories: from the first to the second.")
    when = option(Expression(), title="When", help="Only pairs for which this is true.")

    @validates_schema
    def _two(self, data: dict[str, Any], **_: Any) -> None:
        if len(data.get("between", "xx")) != 2:
            raise _refuse("between", "is not two directories", "`[SOURCE, TARGET]`")


class NotifierSection(Section):
    """One use of a notifier; keys that are not named here are its own."""

    title = "a notifier"

    class Meta:
        unknown = INCLUDE

    on = option(
        OneOrMany(Word((one for one in Event if one is not Event.TRIAL), "something to tell")),
        title="On",
        help="What is told: a run that failed, a plan that passes a limit, one that waits for approval, a run that went well again after "
        "one that failed. All, unless said otherwise.",
    )


class DocumentSection(Section):
    """The whole document."""

    title = "the document"

    engagement = option(Name("engagement", required=True), title="Engagement", help="The engagement's name.")
    plugins = option(
        Table(None, "plugin names", required=True),
        title="Plugins",
        help="The allow-list: plugin to versions. `csv` is the distribution metasync-csv; digests are pinned in metasync.lock.",
    )
    directories = option(
        Table(Part(DirectorySection), "directory names", key=_directory_key, required=True),
        title="Directories",
        help="The connected systems.",
    )
    metaverse = option(
        Table(Table(Value(), "attribute names"), "kinds", words=Kind),
        title="Metaverse",
        help="Attributes with several contributors per kind: `[DIRECTORY.ATTRIBUTE, ...]`, the first wins, or `{union: [...]}`.",
    )
    profiles = option(Table(Part(ProfileSection), "profile names", key=name_key), title="Profiles", help="The flows from source to target.")
    waves = option(
        Table(Part(WaveSection), "wave names", key=name_key),
        title="Waves",
        help="People who move together: waiting (also who is in none), moving or cut over.",
    )
    exporters = option(
        Table(OneOrMany(Part(ExporterSection)), "exporter names"),
        title="Exporters",
        help="What is carried across beside attributes, such as passwords.",
    )
    notify = option(
        Table(OneOrMany(Part(NotifierSection)), "notifier names"),
        title="Notify",
        help="Who is told when a run fails, a plan waits, or all is well again: by e-mail, by a webhook. See notifications.md.",
    )
    roles = option(
        Table(OneOrMany(Name("account")), "roles", words=Role),
        title="Roles",
        help="Which accounts of the operating system may do what: `engineer` loads this document and sets its secrets, `operator` begins "
        "and stops runs and decides about objects and waves, `approver` approves plans. A role that is not named is everybody's. "
        "See operations.md.",
    )
