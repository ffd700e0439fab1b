"""`Host`: the plugins of one engagement, verified, then loaded, and what they registered as plain mappings.

Entry points are listed without importing anything; only the distributions that the document's `plugins:` allows are looked at. A plugin
that cannot be used is listed with its reason and harms nothing else: whatever it registers is taken whole or not at all.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import pluggy
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from metasync.contract import Connector, Dispatcher, Exporter, Matcher, MetasyncError, Notifier, Rewrite, SecretProvider, hookspecs
from metasync.host import collect, sources
from metasync.host.info import PluginInfo, State
from metasync.host.lock import Locked, read_lock
from metasync.host.verify import Evidence, examine
from metasync.words import failure

GROUP = "metasync"
DEVELOPMENT = "METASYNC_DEVELOPMENT"
BEGAN = time.time()
"""Before this process loaded any plugin: what was written to its files since may not be what runs."""

_log = logging.getLogger("metasync.host")


class PluginFailed(MetasyncError):
    """A plugin failed to answer."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """An allowed plugin, before any of it is imported."""

    info: PluginInfo
    distribution: Distribution | None = None
    evidence: Evidence | None = None
    locked: Locked | None = None


@dataclass
class _Shelf:
    """What was collected so far, and from whom."""

    things: dict[str, dict[str, Any]] = field(default_factory=lambda: {area: {} for area in collect.AREAS})
    providers: dict[tuple[str, str], str] = field(default_factory=dict)

    def put(self, plugin: str, registered: collect.Registered) -> None:
        """Take everything, or raise `Unfit` and take nothing."""
        for area, named in registered.things.items():
            for name in named:
                if name in self.things[area]:
                    first = self.providers[area, name]
                    raise collect.Unfit(
                        f"it registers the {collect.AREAS[area].word} `{name}`, which the plugin {first} registered before; "
                        "allow only one of them"
                    )
        for area, named in registered.things.items():
            self.things[area].update(named)
            self.providers.update({(area, name): plugin for name in named})


class Host:
    """One PluginManager per engagement. Make it with `load`, or in tests with `of`."""

    def __init__(self, manager: pluggy.PluginManager, shelf: _Shelf, plugins: Iterable[PluginInfo]) -> None:
        self.manager = manager
        self.plugins: tuple[PluginInfo, ...] = tuple(plugins)
        self.providers: Mapping[tuple[str, str], str] = MappingProxyType(shelf.providers)
        """(area, name) -> the plugin that registered it; areas are the names of the mappings below."""
        self.connectors: Mapping[str, type[Connector]] = MappingProxyType(shelf.things["connectors"])
        self.rewrites: Mapping[str, Rewrite] = MappingProxyType(shelf.things["rewrites"])
        self.matchers: Mapping[str, type[Matcher]] = MappingProxyType(shelf.things["matchers"])
        self.exporters: Mapping[str, type[Exporter]] = MappingProxyType(shelf.things["exporters"])
        self.dispatchers: Mapping[str, type[Dispatcher]] = MappingProxyType(shelf.things["dispatchers"])
        self.notifiers: Mapping[str, type[Notifier]] = MappingProxyType(shelf.things["notifiers"])
        self.secret_providers: Mapping[str, type[SecretProvider]] = MappingProxyType(shelf.things["secret_providers"])
        self.commands: Mapping[str, click.Command] = MappingProxyType(shelf.things["commands"])

    @classmethod
    def load(
        cls,
        allow: Mapping[str, str],
        lock_file: Path | None = None,
        development: bool | None = None,
        *,
        search: list[str] | None = None,
    ) -> Host:
        """Verify and load the plugins that `allow` names (plugin -> versions).

        `lock_file` may not exist yet: then plugins are verified but not pinned, and say so. `development` is METASYNC_DEVELOPMENT unless
        given. `search` replaces `sys.path` as the place where distributions are installed.
        """
        manager, shelf, plugins = _manager(), _Shelf(), []
        for candidate in _candidates(allow, lock_file, development, search):
            info = _load(manager, shelf, candidate) if candidate.info.working else candidate.info
            if not info.working:
                # Whoever asked for the plugins says it to the person, or lists it; this is for those who read logs.
                _log.info("plugin %s is %s: %s", info.name, info.state, info.reason)
            plugins.append(info)
        return cls(manager, shelf, plugins)

    @classmethod
    def of(cls, *plugins: object) -> Host:
        """A host of these objects, unverified: for tests. One that does not keep to the contract is listed as broken, as `load` does."""
        manager, shelf, infos = _manager(), _Shelf(), []
        for number, plugin in enumerate(plugins, 1):
            name = str(getattr(plugin, "__name__", None) or f"{type(plugin).__name__}-{number}")
            info = PluginInfo(name=name, distribution="", state=State.UNSIGNED, reason="given directly")
            infos.append(_register(manager, shelf, info, [plugin], None))
        return cls(manager, shelf, infos)

    def plugin_of(self, area: str, name: str) -> PluginInfo | None:
        """Who registered it: `plugin_of("connectors", "csv")`."""
        provider = self.providers.get((area, name))
        return next((info for info in self.plugins if info.name == provider), None)

    def tell(self, hook: str, **arguments: Any) -> None:
        """Report to every plugin. One that raises fails alone, and is logged."""
        for name, impl in self._implementations(hook):
            try:
                collect.call(impl, arguments)
            except (Exception, SystemExit) as error:
                _log.error("plugin %s failed in %s (%s); the run goes on", name, hook, failure(error))

    def ask(self, hook: str, **arguments: Any) -> list[Any]:
        """Collect the answers of every plugin. One that raises raises `PluginFailed`: a veto that could not be asked is not a consent."""
        answers: list[Any] = []
        for name, impl in self._implementations(hook):
            try:
                answer = collect.call(impl, arguments)
            except (Exception, SystemExit) as error:
                raise PluginFailed(
                    f"the plugin {name} failed in {hook} ({type(error).__name__}: {error}); correct it, or take it out of `plugins:`"
                ) from error
            answers.extend(answer or ())
        return answers

    def _implementations(self, hook: str) -> list[tuple[str, pluggy.HookImpl]]:
        caller: pluggy.HookCaller = getattr(self.manager.hook, hook)
        return [(impl.plugin_name.partition("/")[0], impl) for impl in caller.get_hookimpls()]


def verify_all(
    allow: Mapping[str, str],
    lock_file: Path | None = None,
    development: bool | None = None,
    *,
    search: list[str] | None = None,
) -> tuple[PluginInfo, ...]:
    """The state of every allowed plugin, as far as it can be told without importing any."""
    return tuple(candidate.info for candidate in _candidates(allow, lock_file, development, search))


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _candidates(allow: Mapping[str, str], lock_file: Path | None, development: bool | None, search: list[str] | None) -> list[_Candidate]:
    if development is None:
        development = os.environ.get(DEVELOPMENT) == "1"
    lock = read_lock(lock_file)
    installed = _installed(search)
    return [_candidate(name, requirement, installed, lock, development) for name, requirement in allow.items()]


def _installed(search: list[str] | None) -> dict[str, Distribution]:
    """Normalised name -> distribution. Of two with one name the first that has a RECORD counts: a source folder on the path has none."""
    found: dict[str, Distribution] = {}
    for distribution in distributions(path=sys.path if search is None else search):
        raw = distribution.metadata["Name"]
        if not raw:
            continue
        name = canonicalize_name(raw)
        if name not in found or (found[name].read_text("RECORD") is None and distribution.read_text("RECORD") is not None):
            found[name] = distribution
    return found


def _candidate(
    name: str, requirement: str, installed: Mapping[str, Distribution], lock: Mapping[str, Locked] | None, development: bool
) -> _Candidate:
    wanted = f"metasync-{name}"
    info = PluginInfo(name=name, distribution=wanted, state=State.MISSING, requirement=requirement)
    distribution = installed.get(canonicalize_name(wanted))
    if distribution is None:
        reason = f"{wanted} is not installed; install it (`pip install {wanted}`), or take it out of `plugins:`"
        return _Candidate(info=replace(info, reason=reason))
    info = replace(info, version=distribution.version)
    reason = _unsuitable(distribution, requirement)
    if reason:
        return _Candidate(info=replace(info, state=State.REFUSED, reason=reason))
    evidence = examine(distribution, development=development)
    locked = lock.get(name) if lock else None
    expected = locked.digest if locked else ""
    info = replace(info, state=evidence.state, reason=evidence.reason, digest=evidence.digest, expected=expected)
    if info.state is State.VERIFIED:
        info = _against_lock(info, lock)
    return _Candidate(info=info, distribution=distribution, evidence=evidence, locked=locked if info.state is State.PINNED else None)


def _unsuitable(distribution: Distribution, requirement: str) -> str:
    try:
        if not SpecifierSet(requirement).contains(Version(distribution.version), prereleases=True):
            wanted = f"the document allows {requirement}: install such a version, or correct `plugins:`"
            return f"version {distribution.version} is installed, and {wanted}"
    except (InvalidSpecifier, InvalidVersion) as error:
        return f"its version cannot be compared: {error}"
    if not _entry_points(distribution):
        return f"it has no entry point in the group `{GROUP}`, so it is not a plugin"
    return ""


def _entry_points(distribution: Distribution) -> list[EntryPoint]:
    return sorted((point for point in distribution.entry_points if point.group == GROUP), key=lambda point: point.name)


def _against_lock(info: PluginInfo, lock: Mapping[str, Locked] | None) -> PluginInfo:
    if lock is None:
        return replace(info, reason="not locked; pin it with `metasync plugin lock`")
    locked = lock.get(info.name)
    if locked is None or canonicalize_name(locked.distribution) != canonicalize_name(info.distribution):
        return replace(info, state=State.REFUSED, reason="metasync.lock does not hold it; look at it, then run `metasync plugin lock`")
    if locked.version != info.version:
        reason = (
            f"version {info.version} is installed, and metasync.lock holds {locked.version}; if that is wanted, run `metasync plugin lock`"
        )
        return replace(info, state=State.REFUSED, reason=reason)
    if locked.digest != info.digest:
        reason = f"its files are not those of version {locked.version} that metasync.lock holds; install it from where it came from then"
        return replace(info, state=State.MODIFIED, reason=reason)
    return replace(info, state=State.PINNED, reason="")


def _load(manager: pluggy.PluginManager, shelf: _Shelf, candidate: _Candidate) -> PluginInfo:
    info, distribution, evidence = candidate.info, candidate.distribution, candidate.evidence
    assert distribution is not None and evidence is not None
    points = _entry_points(distribution)
    if info.state is not State.UNSIGNED:
        foreign = next((point for point in points if point.module.partition(".")[0] not in evidence.packages), None)
        if foreign:
            reason = f"its entry point `{foreign.name}` names {foreign.module}, which is not part of the distribution"
            return replace(info, state=State.REFUSED, reason=reason)
        reason = sources.serve(evidence)
        if reason:
            return replace(info, state=State.MODIFIED, reason=reason)
    plugins: list[object] = []
    for point in points:
        try:
            plugins.append(point.load())
        except (Exception, SystemExit) as error:
            _log.debug("plugin %s could not be imported", info.name, exc_info=True)
            return _broken(info, f"importing {point.value} failed", error)
        file = getattr(sys.modules.get(point.module), "__file__", None)
        if info.state is not State.UNSIGNED and (file is None or os.path.realpath(file) not in evidence.files):
            reason = f"{point.module} came from {file}, which is not in the verified distribution"
            return replace(info, state=State.MODIFIED, reason=reason)
    return _register(manager, shelf, info, plugins, candidate.locked)


def _register(manager: pluggy.PluginManager, shelf: _Shelf, info: PluginInfo, plugins: list[object], locked: Locked | None) -> PluginInfo:
    """Take what the plugin registers, whole; or take it out again and say why."""
    grants: list[str] = []
    things: dict[str, dict[str, Any]] = {area: {} for area in collect.AREAS}
    try:
        for number, plugin in enumerate(plugins):
            collect.check_contract(plugin)
            manager.register(plugin, name=f"{info.name}/{number}")
            registered = collect.collect(manager, plugin)
            grants += registered.grants
            for area, named in registered.things.items():
                twice = sorted(named.keys() & things[area].keys())
                if twice:
                    raise collect.Unfit(f"it registers the {collect.AREAS[area].word} `{twice[0]}` twice")
                things[area].update(named)
        excess = sorted(set(grants) - locked.grants) if locked else []
        if excess:
            _forget(manager, plugins)
            reason = f"metasync.lock does not grant: {', '.join(excess)}; look at it, then run `metasync plugin lock`"
            return replace(info, state=State.REFUSED, reason=reason)
        shelf.put(info.name, collect.Registered(things=things))
    except collect.Unfit as error:
        _forget(manager, plugins)
        return replace(info, state=State.BROKEN, reason=str(error))
    except pluggy.PluginValidationError as error:
        _forget(manager, plugins)
        return replace(info, state=State.BROKEN, reason=f"a hook does not fit the contract: {' '.join(str(error).split())}")
    except (Exception, SystemExit) as error:
        _forget(manager, plugins)
        _log.debug("plugin %s could not be registered", info.name, exc_info=True)
        return _broken(info, "registering failed", error)
    return replace(info, grants=tuple(sorted(set(grants))))


def _forget(manager: pluggy.PluginManager, plugins: list[object]) -> None:
    for plugin in plugins:
        if manager.is_registered(plugin):
            manager.unregister(plugin)


def _broken(info: PluginInfo, what: str, error: BaseException) -> PluginInfo:
    text = f"{what}: {type(error).__name__}: {error}"
    return replace(info, state=State.BROKEN, reason=f"{text}; ask its author, or take it out of `plugins:`")
