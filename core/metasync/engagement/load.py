"""From a document's text to the engagement: `read`, then load the host with `document.plugins`, then `check`.

`check` finds every problem, each with file, line, column, key, what is wrong and what is allowed there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError

from metasync.contract import Event, Kind
from metasync.engagement.checker import Checker
from metasync.engagement.configuration import configuration
from metasync.engagement.document import Document, DocumentError, KeyPath, Problem, one_of, parse, read
from metasync.engagement.fields import read_section
from metasync.engagement.laws import one_authority
from metasync.engagement.model import Action, Directory, Engagement, ExporterUse, NotifierUse, PasswordPolicy, Ranking, Wave
from metasync.engagement.profiles import Built, ProfileBuilder
from metasync.engagement.schema import DocumentSection
from metasync.host import Host

__all__ = ["Document", "DocumentError", "Problem", "check", "parse", "read"]

_CONTRIBUTOR = "`DIRECTORY.ATTRIBUTE`"
_RANKING = f"a list of {_CONTRIBUTOR}, best first, or `{{union: [...]}}`"


def check(document: Document, host: Host) -> Engagement:
    """The engagement that a document describes, with the plugins of `host`. Raises `DocumentError` with every problem."""
    checker = Checker(document, host)
    data = _structure(checker)
    checker.directories = tuple(str(name) for name in _mapping(document.data.get("directories")))
    directories = dict(_directories(checker, data.get("directories", {})))
    checker.ranked = {kind: tuple(_mapping(attributes)) for kind, attributes in data.get("metaverse", {}).items()}
    metaverse = _metaverse(checker, data.get("metaverse", {}))
    profiles = dict(_profiles(checker, data.get("profiles", {})))
    _between_profiles(checker, data.get("profiles", {}), profiles)
    exporters = tuple(_exporters(checker, data.get("exporters", {}), directories))
    notifiers = tuple(_notifiers(checker, data.get("notify", {})))
    waves = dict(_waves(checker, data.get("waves", {})))
    _marks(checker, directories, profiles)
    if checker.problems:
        raise DocumentError(checker.problems)
    built = {
        name: replace(one.profile, configuration=configuration(document, host, one, directories, metaverse))
        for name, one in profiles.items()
    }
    return Engagement(
        name=document.name,
        path=document.path,
        plugins=MappingProxyType(dict(document.plugins)),
        directories=MappingProxyType(directories),
        profiles=MappingProxyType(built),
        metaverse=MappingProxyType(metaverse),
        waves=MappingProxyType(waves),
        exporters=exporters,
        notifiers=notifiers,
        roles=MappingProxyType({role: frozenset(named) for role, named in data.get("roles", {}).items()}),
        notices=tuple(sorted(checker.notices, key=lambda notice: (notice.line, notice.key))),
    )


def _structure(checker: Checker) -> dict[str, Any]:
    """What the schemas accept; the rest is told, and what is sound is checked further."""
    try:
        return read_section(DocumentSection(), checker.document.data)
    except ValidationError as error:
        checker.add_faults((), error.messages)
        return error.valid_data if isinstance(error.valid_data, dict) else {}


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _directories(checker: Checker, given: Mapping[str, Any]) -> Iterator[tuple[str, Directory]]:
    written: dict[str, str] = {}
    for name, data in given.items():
        path: KeyPath = ("directories", name)
        other = written.setdefault(re.sub(r"[^A-Za-z0-9_]", "_", name), name)
        if other != name:
            checker.add(
                path, f"expressions cannot tell it from `{other}`: both are written with underscores there", "names that differ more"
            )
        connector = data.get("connector")
        if connector is None:
            continue
        known = checker.host.connectors.get(connector)
        if known is None:
            checker.unknown((*path, "connector"), "connectors", connector)
            continue
        options = checker.connector_options((*path, "options"), known, data.get("options", {}))
        policy = data.get("new_passwords", {})
        yield (
            name,
            Directory(
                name=name,
                connector=connector,
                options=MappingProxyType(options or {}),
                mark=data.get("mark"),
                new_passwords=PasswordPolicy(**policy),
                allow_privileged=frozenset(one for one in data.get("allow_privileged", ()) if one),
                joins_file=checker.file(data["joins"]["file"]) if data.get("joins", {}).get("file") else None,
                reserve_names=data.get("reserve_names", Directory.__dataclass_fields__["reserve_names"].default),
                windows=tuple(data.get("windows", ())),
                rate=MappingProxyType(dict(data.get("rate", {}))),
            ),
        )


def _metaverse(checker: Checker, given: Mapping[Kind, Any]) -> dict[Kind, Mapping[str, Ranking]]:
    found: dict[Kind, Mapping[str, Ranking]] = {}
    for kind, attributes in given.items():
        rankings: dict[str, Ranking] = {}
        for attribute, value in _mapping(attributes).items():
            ranking = _ranking(checker, ("metaverse", str(kind), attribute), value)
            if ranking:
                rankings[attribute] = ranking
        found[kind] = MappingProxyType(rankings)
    return found


def _ranking(checker: Checker, path: KeyPath, value: Any) -> Ranking | None:
    union = isinstance(value, Mapping) and set(value) == {"union"}
    if union:
        value, path = value["union"], (*path, "union")
    if not isinstance(value, list) or not value:
        checker.add(path, "is not a list of contributors", _RANKING)
        return None
    contributors: list[tuple[str, str]] = []
    for number, text in enumerate(value):
        directory, _, attribute = text.partition(".") if isinstance(text, str) else ("", "", "")
        where: KeyPath = (*path, number)
        if not directory or not attribute:
            checker.add(where, "is not a contributor", _CONTRIBUTOR)
        elif (directory, attribute) in contributors:
            checker.add(where, f"`{text}` stands here twice", "each contributor once")
        elif checker.directory(where, directory):
            contributors.append((directory, attribute))
    return Ranking(contributors=tuple(contributors), union=union)


def _profiles(checker: Checker, given: Mapping[str, Any]) -> Iterator[tuple[str, Built]]:
    for name, data in given.items():
        built = ProfileBuilder(checker, name, data).build()
        if built:
            yield name, built


def _between_profiles(checker: Checker, given: Mapping[str, Any], profiles: Mapping[str, Built]) -> None:
    for name, built in profiles.items():
        other = built.profile.replaces
        if other is None:
            continue
        path: KeyPath = ("profiles", name, "replaces")
        if other not in given or other == name:
            said = "names the profile itself" if other == name else f"there is no profile `{other}`"
            checker.add(path, said, one_of((one for one in given if one != name), other))
        elif other in profiles and profiles[other].profile.target != built.profile.target:
            checker.add(path, f"the profile {other} has another target", f"a profile whose target is {built.profile.target}")
        elif other in profiles and profiles[other].profile.target_kind == built.profile.target_kind:
            kind = built.profile.target_kind
            checker.add(path, f"the profile {other} makes {kind}s, too, and an identity has one {kind} there", "a profile of another kind")
        elif other in profiles and profiles[other].profile.replaces == name:
            checker.add(path, f"the profile {other} replaces this one", "one direction alone")
    one_authority(checker, profiles)


def _exporters(checker: Checker, given: Mapping[str, Any], directories: Mapping[str, Directory]) -> Iterator[ExporterUse]:
    for name, uses in given.items():
        exporter = checker.host.exporters.get(name)
        if exporter is None:
            checker.unknown(("exporters", name), "exporters", name)
            continue
        listed = isinstance(checker.raw(("exporters", name)), list)
        for number, use in enumerate(uses):
            if not use:
                continue
            path: KeyPath = ("exporters", name, number) if listed else ("exporters", name)
            own = dict(use)
            between, when = own.pop("between", ()), own.pop("when", None)
            checker.expression((*path, "when"), when)
            options = checker.options(path, f"exporter `{name}`", exporter.Options, own)
            ends = [checker.directory((*path, "between", at), directory) for at, directory in enumerate(between)]
            if len(ends) != 2 or None in ends:
                continue
            if ends[0] == ends[1]:
                checker.add((*path, "between"), f"`{ends[0]}` stands here twice", "two directories")
            for at, (directory, protocol) in enumerate(zip(between, exporter.needs, strict=True)):
                end = directories.get(directory)
                connector = checker.host.connectors.get(end.connector) if end else None
                if end and connector and not issubclass(connector, protocol):
                    text = f"the connector `{end.connector}` of {directory} cannot do what {name} needs ({protocol.__name__})"
                    checker.add((*path, "between", at), text, "a directory whose connector can")
            yield ExporterUse(name=name, source=between[0], target=between[1], when=when, options=MappingProxyType(options or {}))


def _notifiers(checker: Checker, given: Mapping[str, Any]) -> Iterator[NotifierUse]:
    for name, uses in given.items():
        notifier = checker.host.notifiers.get(name)
        if notifier is None:
            checker.unknown(("notify", name), "notifiers", name)
            continue
        listed = isinstance(checker.raw(("notify", name)), list)
        for number, use in enumerate(uses):
            if use is None:
                continue
            own = dict(use)
            on = own.pop("on", None) or [one for one in Event if one is not Event.TRIAL]
            options = checker.options(("notify", name, number) if listed else ("notify", name), f"notifier `{name}`", notifier.Options, own)
            called = f"{name} {number + 1}" if number else name
            yield NotifierUse(name=called, notifier=name, on=frozenset(on), options=MappingProxyType(options or {}))


def _waves(checker: Checker, given: Mapping[str, Any]) -> Iterator[tuple[str, Wave]]:
    for name, data in given.items():
        if "file" in data and "key" in data:
            yield name, Wave(name=name, file=checker.file(data["file"]), key=data["key"])


def _marks(checker: Checker, directories: Mapping[str, Directory], profiles: Mapping[str, Built]) -> None:
    """Law 7: say where the ledger must stand in for a mark."""
    targets = {built.profile.target for built in profiles.values() if built.profile.action is not Action.UPDATE_ONLY}
    for name in sorted(targets):
        if name in directories and directories[name].mark is None:
            text = "has no `mark`: that Metasync created an object is known from the ledger's record alone, and is lost with the database"
            checker.notice(("directories", name), text)
