"""Every fault of a document is told with its line, its key and what is allowed there; all of them at once."""

# ruff: noqa: E501 - a table reads best with one row a line

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metasync.contract import hookimpl
from metasync.engagement.document import LARGEST_BYTES
from metasync.engagement.load import DocumentError, check, parse, read
from metasync.host import Host

Faults = Callable[[str], list[tuple[int, str, str, str]]]


def test_the_small_document_is_right(small: str, faults: Faults) -> None:
    assert faults(small) == []


# what to replace, by what, the line, the key, a part of what is said, a part of what is allowed
ROWS = [
    # names, words and structure
    ("connector: csv", "conector: csv", 4, "directories.hr.conector", "not known here", "did you mean `connector`?"),
    ("connector: csv", "conector: csv", 4, "directories.hr.connector", "is missing", "the name of a connector"),
    ("connector: csv", "connector: cvs", 4, "directories.hr.connector", "there is no connector `cvs`", "did you mean `csv`?"),
    ("    kind: user", "    kind: usr", 8, "profiles.staff.kind", "`usr` is not a kind", "did you mean `user`?"),
    ("    kind: user", "    kind: {user: contact, group: contact}", 8, "profiles.staff.kind", "not one pair", "{user: contact}"),
    ("    kind: user", "    kind:", 8, "profiles.staff.kind", "is empty", "`user`"),
    ("    kind: user", "    kind: user\n    colour: red", 9, "profiles.staff.colour", "not known here", "`kind`"),
    ("    source: hr", "    source: hrr", 9, "profiles.staff.source", "there is no directory `hrr`", "did you mean `hr`?"),
    ("    source: hr", "    source: [hr, hr]", 9, "profiles.staff.source[1]", "twice", "once"),
    ("    source: hr", "    source: ad", 10, "profiles.staff.target", "is also a source", "another directory"),
    ("    source: hr\n", "", 7, "profiles.staff.source", "is missing", "a directory"),
    ("    target: ad", "    target: da", 10, "profiles.staff.target", "there is no directory `da`", "`ad`"),
    ("  staff:", "  sta/ff:", 7, "profiles.sta/ff", "is not a name", "letters, digits"),
    ("  hr: {connector", "  source: {connector", 4, "directories.source", "is not a name", "no word of the expression language"),
    ("  hr: {", '  h-r: {connector: csv, options: {path: a, anchor: b}}\n  h_r: {connector: csv, options: {path: a, anchor: b}}\n  hr: {', 5,
     "directories.h_r", "cannot tell it from `h-r`", "differ"),
    ("profiles:", "profile: {}\nprofiles:", 6, "profile", "not known here", "did you mean `profiles`?"),
    ("  staff:\n", "  staff: yes\n  other:\n", 7, "profiles.staff", "is not a mapping", "a profile"),
    # options of connectors
    ("path: hr.csv, ", "", 4, "directories.hr.options.path", "is missing", "The file."),
    ("path: hr.csv", "path: 5", 4, "directories.hr.options.path", "Not a valid string", "The file."),
    ("path: hr.csv", "path: hr.csv, columns: {enable: status}", 4, "directories.hr.options.columns.enable", "is not known here", "`enabled`?"),
    ("path: hr.csv", "path: hr.csv, colour: red", 4, "directories.hr.options.colour", "not known here", "`anchor`"),
    ("{secret: ad-bind}", "hunter2", 5, "directories.ad.options.password", "a secret is written as a reference", ""),
    ("options: {path: hr.csv, anchor: id}", "options: [a]", 4, "directories.hr.options", "a list is not a mapping", "options"),
    ("mark: adminDescription", "reserve names: 5 fortnights", 5, "directories.ad.reserve names", "not a length of time", "90 days"),
    ("mark: adminDescription", "new passwords: {length: 5}", 5, "directories.ad.new passwords.length", "`5`", "from 12 to 127"),
    ("mark: adminDescription", "new passwords: {must change: 1}", 5, "directories.ad.new passwords.must change", "`1`", "`true`"),
    ("mark: adminDescription", 'windows: ["Mon-Fri 8:00"]', 5, "directories.ad.windows[0]", "not a window", "Europe/Berlin"),
    ("mark: adminDescription", 'windows: ["Mon-Fri 20:00-06:00 Mars/Base"]', 5, "directories.ad.windows[0]", "Mars/Base", "Europe/Berlin"),
    ("mark: adminDescription", "rate: {operations: fast}", 5, "directories.ad.rate.operations", "not a rate", "50/s"),
    ("mark: adminDescription", "joins: {}", 5, "directories.ad.joins.file", "is missing", "a path"),
    # expressions and rewrites
    ("sn: source.surname", "sn: 'source.surname +'", 13, "profiles.staff.map.sn", "", ""),
    ("sn: source.surname", "sn: 'upper(source.surname)'", 13, "profiles.staff.map.sn", "no function upper()", "lower"),
    ("sn: source.surname", "sn: 'has(source.surname)'", 13, "profiles.staff.map.sn", "", ""),
    ("sn: source.surname", "sn: mv.surname", 13, "profiles.staff.map.sn", "mv has no attribute surname", ""),
    ("sn: source.surname", "sn: fabrikam.surname", 13, "profiles.staff.map.sn", "fabrikam", "source"),
    ("sn: source.surname", "sn: 5", 13, "profiles.staff.map.sn", "`5` is not text", "in quotes"),
    ("sn: source.surname", "sn: [a]", 13, "profiles.staff.map.sn", "a list is not text", "an expression in quotes, or `{from: EXPRESSION, ...}`"),
    ("sn: source.surname", "sn: {form: source.surname}", 13, "profiles.staff.map.sn.from", "is missing", "an expression"),
    ("sn: source.surname", "sn: {from: source.surname, when: 'wave.color == 1'}", 13, "profiles.staff.map.sn.when", "wave has no attribute", ""),
    ("rewrite: [lower]", "rewrite: [lowr]", 14, "profiles.staff.map.mail.rewrite[0]", "there is no rewrite `lowr`", "lower"),
    ("rewrite: [lower]", "rewrite: lowr", 14, "profiles.staff.map.mail.rewrite", "there is no rewrite `lowr`", "lower"),
    ("rewrite: [lower]", "rewrite: [lower, {replace_domain: {from: a}}]", 14, "profiles.staff.map.mail.rewrite[1]", "parameter to", ""),
    ("rewrite: [lower]", "rewrite: [{prefix: 5}]", 14, "profiles.staff.map.mail.rewrite[0]", "must be text", ""),
    ("rewrite: [lower]", "rewrite: [{regex_replace: '('}]", 14, "profiles.staff.map.mail.rewrite[0]", "pattern", ""),
    ("rewrite: [lower]", "rewrite: [{lower: 1, digits: 2}]", 14, "profiles.staff.map.mail.rewrite[0]", "is not a step", "`NAME`"),
    # match
    ("{source: id, target: employeeID}", "{source: id}", 11, "profiles.staff.match[0].target", "is missing", "target"),
    ("{source: id, target: employeeID}", "{source: 'target.id + \"\"', target: a}", 11, "profiles.staff.match[0].source", "reads `target`", "source"),
    ("{source: id, target: employeeID}", "{source: a, target: 'source.id.lower()'}", 11, "profiles.staff.match[0].target", "reads `source`", "target"),
    ("{source: id, target: employeeID}", "{source: '\"x\"', target: a}", 11, "profiles.staff.match[0].source", "all objects would match", ""),
    ("{source: id, target: employeeID}", "{source: a, target: b, any kind: keep}", 11, "profiles.staff.match[0].any kind", "`keep`", "`skip`"),
    ("{source: id, target: employeeID}", "{matcher: fuzzy, source: a}", 11, "profiles.staff.match[0].matcher", "no matcher `fuzzy`", "`attribute`"),
    ("    match: [{source: id, target: employeeID}]", "    action: update only", 11, "profiles.staff.action", "can never find", "`match:`"),
    ("    match:", "    action: update sometimes\n    match:", 11, "profiles.staff.action", "`update sometimes` is not an action", "`update only`"),
    # merge, scope, place
    ("    map:", "    merge: {ad: {on: {a: source.b}}}\n    map:", 12, "profiles.staff.merge.ad", "source or target already", "further"),
    ("    map:", "    merge: {crm: {on: {a: source.b}}}\n    map:", 12, "profiles.staff.merge.crm", "no directory `crm`", "`hr`"),
    ("    map:", "    merge: {crm: {on: {}}}\n    map:", 12, "profiles.staff.merge.crm.on", "not one attribute", "EXPRESSION"),
    ("    map:", "    scope: {where: 'source.'}\n    map:", 12, "profiles.staff.scope.where", "", ""),
    ("    map:", "    scope: {under: [5]}\n    map:", 12, "profiles.staff.scope.under[0]", "not text", "a path in the source"),
    ("    map:", "    place: {mirror: {a: b}, expression: '\"x\"'}\n    map:", 12, "profiles.staff.place.mirror", "only one can decide", "or"),
    ("    map:", "    place: {existing: move}\n    map:", 12, "profiles.staff.place", "says no place", "mirror"),
    ("    map:", "    place: OU=People\n    map:", 12, "profiles.staff.place", "", ""),
    # mappings
    ("sn: source.surname", "sn: {from: source.a, once: true, fill: true}", 13, "profiles.staff.map.sn.fill", "beside `once`", "or"),
    ("sn: source.surname", "sn: {from: source.a, unique: '{valu}'}", 13, "profiles.staff.map.sn.unique", "not a placeholder", "did you mean `{value}`?"),
    ("sn: source.surname", "sn: {from: source.a, unique: ['{value}', x]}", 13, "profiles.staff.map.sn.unique[1]", "nothing of the value", "{local}"),
    ("sn: source.surname", "sn: {from: source.a, unique: '{value'}", 13, "profiles.staff.map.sn.unique", "brace", "{n}"),
    ("sn: source.surname", "sn: {from: source.a, unique: '{value}', values: add}", 13, "profiles.staff.map.sn.unique", "values: add", "replace"),
    ("sn: source.surname", "sn: {from: source.a, authoritative: true, values: add}", 13, "profiles.staff.map.sn.authoritative", "values: add", ""),
    ("sn: source.surname", "sn: {from: source.a, values: some}", 13, "profiles.staff.map.sn.values", "not known here", "`replace`"),
    # leaving
    ("{deleted: disable}", "{gone: disable}", 15, "profiles.staff.leaving.gone", "not known here", "`deleted`"),
    ("{deleted: disable}", "{deleted: remove}", 15, "profiles.staff.leaving.deleted", "`remove` is not a step", "`delete`"),
    ("{deleted: disable}", "{deleted: [{after: 90 days}]}", 15, "profiles.staff.leaving.deleted[0]", "not one step", "`{delete: joined}`"),
    ("{deleted: disable}", "{deleted: [{after: soon, delete: created}]}", 15, "profiles.staff.leaving.deleted[0].after", "length of time", "90 days"),
    ("{deleted: disable}", "{deleted: [{delete: all}]}", 15, "profiles.staff.leaving.deleted[0].delete", "cannot say this", "`joined`"),
    ("{deleted: disable}", "{deleted: move}", 15, "profiles.staff.leaving.deleted", "says no place", "EXPRESSION"),
    ("{deleted: disable}", "{deleted: {move: 'source.'}}", 15, "profiles.staff.leaving.deleted.move", "", ""),
    ("{deleted: disable}", "{deleted: [keep, disable]}", 15, "profiles.staff.leaving.deleted[1]", "`keep` stands beside", "alone"),
    ("{deleted: disable}", "{deleted: [delete, {disable: created}]}", 15, "profiles.staff.leaving.deleted[1]", "nothing can follow", "last"),
    ("{deleted: disable}", "{deleted: [{after: 9 days, disable: joined}, delete]}", 15, "profiles.staff.leaving.deleted[1]", "earlier", "order"),
    ("    kind: user", "    kind: {user: contact}", 15, "profiles.staff.leaving.deleted", "a contact cannot be disabled", "`delete`"),
    ("    kind: user", "    kind: group", 15, "profiles.staff.leaving.deleted", "a group cannot be disabled", "`delete`"),
    # the rest of a profile
    ("    map:", "    limits: {remove: {count: 5}}\n    map:", 12, "profiles.staff.limits.remove", "not known here", "`delete`"),
    ("    map:", "    limits: {delete: {}}\n    map:", 12, "profiles.staff.limits.delete", "limits nothing", "`count`"),
    ("    map:", "    limits: {delete: {percent: 120}}\n    map:", 12, "profiles.staff.limits.delete.percent", "`120`", "0 to 100"),
    ("    map:", "    limits: {delete: 5}\n    map:", 12, "profiles.staff.limits.delete", "not a mapping", "a limit"),
    ("    map:", "    approval: sometimes\n    map:", 12, "profiles.staff.approval", "`sometimes` is not a policy", "`first`"),
    ("    map:", "    mode: production\n    map:", 12, "profiles.staff.mode", "`production`", "`staging`"),
    ("    map:", "    returning: {enable: always}\n    map:", 12, "profiles.staff.returning.enable", "`always`", "`never`"),
    ("    map:", "    schedule: hourly\n    map:", 12, "profiles.staff.schedule", "not a schedule", "every 15 minutes"),
    ("    map:", "    schedule: every 2 seconds\n    map:", 12, "profiles.staff.schedule", "too short", "10 seconds"),
    ("    map:", "    schedule: {cron: '0 25 * * *'}\n    map:", 12, "profiles.staff.schedule.cron", "not a cron line", "0 6 * * 1-5"),
    ("    map:", "    schedule: {cron: '0 6 * * *', zone: Nowhere}\n    map:", 12, "profiles.staff.schedule.zone", "Nowhere", "UTC"),
    ("    map:", "    replaces: staff\n    map:", 12, "profiles.staff.replaces", "itself", ""),
    ("    map:", "    replaces: stuff\n    map:", 12, "profiles.staff.replaces", "no profile `stuff`", ""),
    # metaverse, waves, exporters
    ("profiles:", "metaverse: {user: {title: [hr]}}\nprofiles:", 6, "metaverse.user.title[0]", "not a contributor", "`DIRECTORY.ATTRIBUTE`"),
    ("profiles:", "metaverse: {user: {title: [crm.title]}}\nprofiles:", 6, "metaverse.user.title[0]", "no directory `crm`", "`hr`"),
    ("profiles:", "metaverse: {user: {title: [hr.title, hr.title]}}\nprofiles:", 6, "metaverse.user.title[1]", "twice", "once"),
    ("profiles:", "metaverse: {user: {title: hr.title}}\nprofiles:", 6, "metaverse.user.title", "not a list", "{union: [...]}"),
    ("profiles:", "metaverse: {people: {}}\nprofiles:", 6, "metaverse.people", "not known here", "`user`"),
    ("profiles:", "waves: {one: {file: a.csv}}\nprofiles:", 6, "waves.one.key", "is missing", "an attribute"),
    ("profiles:", "exporters: {pasword: {between: [ad, ad]}}\nprofiles:", 6, "exporters.pasword", "no exporter `pasword`", "`passwords`"),
    ("profiles:", "exporters: {passwords: {between: [hr, ad]}}\nprofiles:", 6, "exporters.passwords.between[0]", "cannot do", "whose connector can"),
    ("profiles:", "exporters: {passwords: {between: [ad, ad]}}\nprofiles:", 6, "exporters.passwords.between", "twice", "two directories"),
    ("profiles:", "exporters: {passwords: {between: [ad]}}\nprofiles:", 6, "exporters.passwords.between", "two directories", "TARGET"),
    ("profiles:", "exporters: {passwords: {between: [ad, crm]}}\nprofiles:", 6, "exporters.passwords.between[1]", "no directory `crm`", "`ad`"),
    ("profiles:", "exporters: {passwords: {between: [ad, hr], every: x}}\nprofiles:", 6, "exporters.passwords.every", "integer", "Seconds"),
    ("profiles:", "exporters: {passwords: {between: [ad, hr], when: 'a b'}}\nprofiles:", 6, "exporters.passwords.when", "", ""),
    # notify
    ("profiles:", "notify: {nota: {to: ann}}\nprofiles:", 6, "notify.nota", "no notifier `nota`", "`note`"),
    ("profiles:", "notify: {note: {}}\nprofiles:", 6, "notify.note.to", "is missing", "Whom"),
    ("profiles:", "notify: {note: {to: ann, cc: bob}}\nprofiles:", 6, "notify.note.cc", "not known here", "`to`"),
    ("profiles:", "notify: {note: {to: ann, on: [fail]}}\nprofiles:", 6, "notify.note.on[0]", "not something to tell", "`failed`"),
    ("profiles:", "notify: {note: {to: ann, on: trial}}\nprofiles:", 6, "notify.note.on", "not something to tell", "`approval`"),
    ("profiles:", "notify: {note: [{to: ann}, {to: bob, on: []}]}\nprofiles:", 6, "notify.note[1].on", "is empty", "a list"),
    # what must be there
    ('engagement: small\n', "", 1, "engagement", "is missing", "name"),
    ("engagement: small", "engagement: sm all", 1, "engagement", "not a name", "letters"),
    ('plugins: {standard: ">=0.1"}', "plugins: {standard: 0.1}", 2, "plugins.standard", "not text", '">=0.1"'),
    ('plugins: {standard: ">=0.1"}', "plugins: {standard: new}", 2, "plugins.standard", "names no versions", ">=0.1"),
    ('plugins: {standard: ">=0.1"}', "plugins: [standard]", 2, "plugins", "not a mapping", "standard"),
    ('plugins: {standard: ">=0.1"}\n', "", 1, "plugins", "is missing", "standard"),
    # YAML itself
    ("    kind: user", "    kind: user\n    kind: group", 9, "", "`kind` stands here twice", "once"),
    ("    kind: user", "    kind: !kind user", 8, "profiles.staff.kind", "tags are not used", "plain"),
    ("    kind: user", "    kind: 2024-01-01", 8, "profiles.staff.kind", "a date", "in quotes"),
    ("    kind: user", "\tkind: user", 8, "", "not YAML", ""),
    ("    kind: user", "    kind: *user", 8, "", "undefined alias", ""),
    ("engagement: small", "%YAML 1.1\n---\nengagement: small", 1, "", "directives", "1.2"),
    ("engagement: small", "--- \na: b\n---\nengagement: small", 3, "", "single document", ""),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "key", "said", "allowed"), ROWS)
def test_a_fault_names_line_key_and_what_is_allowed(
    small: str, faults: Faults, old: str, new: str, line: int, key: str, said: str, allowed: str
) -> None:
    assert old in small
    found = faults(small.replace(old, new, 1))
    assert [row for row in found if row[0] == line and row[1] == key and said in row[2] and allowed in row[3]], found
    assert all(row[2] for row in found)


def test_a_row_of_faults_is_told_at_once_in_the_order_of_the_text(small: str, faults: Faults) -> None:
    text = small.replace("connector: csv", "connector: cvs").replace("source.surname", "'source.'").replace("lower", "loewr")
    text = text.replace("deleted: disable", "deleted: remove").replace("target: employeeID", "colour: red")
    assert [(line, key) for line, key, _, _ in faults(text)] == [
        (4, "directories.hr.connector"),
        (11, "profiles.staff.match[0].target"),
        (11, "profiles.staff.match[0].colour"),
        (13, "profiles.staff.map.sn"),
        (14, "profiles.staff.map.mail.rewrite[0]"),
        (15, "profiles.staff.leaving.deleted"),
    ]


def test_a_directory_that_is_wrong_itself_is_not_told_again_by_those_who_name_it(small: str, faults: Faults) -> None:
    assert [key for _, key, _, _ in faults(small.replace("connector: csv", "connector: cvs"))] == ["directories.hr.connector"]


def test_a_literal_secret_is_refused_and_not_repeated(small: str, faults: Faults) -> None:
    found = faults(small.replace("{secret: ad-bind}", "hunter2"))
    assert found
    assert "hunter2" not in str(found)


def test_the_message_is_one_line_per_problem_with_file_line_and_column(small: str, host: Host) -> None:
    with pytest.raises(DocumentError) as caught:
        check(parse(small.replace("connector: csv", "connector: cvs"), "folder/e.yaml"), host)
    assert (
        str(caught.value)
        == "folder/e.yaml:4:8: directories.hr.connector: there is no connector `cvs` (allowed: `ad`, `csv`; did you mean `csv`?)"
    )


def test_what_is_missing_with_its_plugin_says_why_the_plugin_does_not_work(small: str) -> None:
    class Broken:
        @hookimpl
        def metasync_register_connectors(self) -> list[object]:
            raise RuntimeError("no driver")

    with pytest.raises(DocumentError, match="the plugin Broken-1 is broken: registering failed: RuntimeError: no driver"):
        check(parse(small, "e.yaml"), Host.of(Broken()))


def test_a_matcher_or_schema_that_raises_is_a_problem_of_its_rule_and_no_crash(small: str) -> None:
    from marshmallow import fields, validates_schema

    from metasync.contract import Matcher, Options, option

    class Strange(Options):
        source = option(fields.String(), title="t", help="h")
        target = option(fields.String(), title="t", help="h")

        @validates_schema
        def fail(self, data: object, **_: object) -> None:
            raise RuntimeError("a value that should not be shown")

    class StrangeMatcher(Matcher):
        name, title, Options = "attribute", "t", Strange
        sources = targets = ()

        def lookups(self, values: object) -> list[object]:  # type: ignore[override]
            return []

    class Plugin:
        @hookimpl
        def metasync_register_matchers(self) -> list[type[Matcher]]:
            return [StrangeMatcher]

    with pytest.raises(DocumentError, match="could not be checked: RuntimeError in its plugin") as caught:
        check(parse(small, "e.yaml"), Host.of(Plugin()))
    assert "should not be shown" not in str(caught.value)


def test_aliases_that_multiply_are_refused_at_once(faults: Faults) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "values once aliases are followed" in faults("\n".join(lines))[0][2]


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "[" * 5000, "a: " + "{b: " * 200 + "1" + "}" * 200, "", "[]", "\x00", "5"])
def test_odd_yaml_is_refused_in_words(faults: Faults, text: str) -> None:
    assert faults(text)


def test_a_file_that_cannot_be_read_is_a_document_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(DocumentError, match=r"no such file|cannot be read|not a file"):
            read(path)


def test_a_file_that_is_not_utf_8_says_where(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_bytes("engagement: x\n# M\u00fcller".encode("cp1252"))
    with pytest.raises(DocumentError) as caught:
        read(tmp_path / "e.yaml")
    assert [(one.line, one.text) for one in caught.value.problems] == [(2, "it is not UTF-8")]


def test_a_file_that_is_too_large_is_refused_before_it_is_read_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_bytes(b"#" * (LARGEST_BYTES + 1))
    with pytest.raises(DocumentError, match="too large"):
        read(tmp_path / "e.yaml")
