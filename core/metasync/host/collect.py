"""What one plugin registers: asked of it once, checked against the contract, and named as the grants that metasync.lock pins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import pluggy
from marshmallow import Schema

from metasync.contract import Connector, Dispatcher, Exporter, Matcher, Notifier, Rewrite, SecretProvider, capabilities
from metasync.contract.hookspecs import CONTRACT_VERSION
from metasync.expressions import RESERVED


class Unfit(Exception):
    """The plugin does not keep to the contract; the message says where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """One kind of thing that plugins register."""

    hook: str
    word: str
    fits: Callable[[Any], bool]
    expected: str


def _subclass(of: type[Any]) -> Callable[[Any], bool]:
    return lambda thing: inspect.isclass(thing) and issubclass(thing, of) and not inspect.isabstract(thing)


AREAS: Mapping[str, Area] = {
    "secret_providers": Area(
        hook="metasync_register_secret_providers",
        word="secret provider",
        fits=_subclass(SecretProvider),
        expected="a SecretProvider class",
    ),
    "connectors": Area(hook="metasync_register_connectors", word="connector", fits=_subclass(Connector), expected="a Connector class"),
    "rewrites": Area(
        hook="metasync_register_rewrites", word="rewrite", fits=lambda thing: isinstance(thing, Rewrite), expected="a Rewrite"
    ),
    "matchers": Area(hook="metasync_register_matchers", word="matcher", fits=_subclass(Matcher), expected="a Matcher class"),
    "exporters": Area(hook="metasync_register_exporters", word="exporter", fits=_subclass(Exporter), expected="an Exporter class"),
    "dispatchers": Area(hook="metasync_register_dispatchers", word="dispatcher", fits=_subclass(Dispatcher), expected="a Dispatcher class"),
    "notifiers": Area(hook="metasync_register_notifiers", word="notifier", fits=_subclass(Notifier), expected="a Notifier class"),
    "commands": Area(
        hook="metasync_register_commands",
        word="command",
        fits=lambda thing: isinstance(thing, click.Command),
        expected="a click command",
    ),
}

TAKEN: Mapping[str, Collection[str]] = {"exporter": ("between", "when"), "notifier": ("on",)}
"""Keys that stand beside a plugin's own options in the document, and are not theirs."""

OLDEST_CONTRACT = 1
"""The oldest contract version that plugins may have been made for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """All that one plugin registered: area -> name -> class or value."""

    things: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    grants: tuple[str, ...] = ()


def check_contract(plugin: object) -> None:
    """A plugin may say `metasync_contract = N`, the version that it was made for; without it, it was made for the first."""
    made_for = getattr(plugin, "metasync_contract", OLDEST_CONTRACT)
    if not isinstance(made_for, int) or made_for < OLDEST_CONTRACT:
        raise Unfit(f"it was made for contract {made_for!r}; the oldest that this Metasync takes is {OLDEST_CONTRACT}: update the plugin")
    if made_for > CONTRACT_VERSION:
        raise Unfit(f"it was made for contract {made_for}; this Metasync takes {OLDEST_CONTRACT} to {CONTRACT_VERSION}: update Metasync")


def implementations(manager: pluggy.PluginManager, plugin: object) -> dict[str, pluggy.HookImpl]:
    """Hook name -> what this plugin implements of it."""
    return {
        caller.name: impl for caller in manager.get_hookcallers(plugin) or () for impl in caller.get_hookimpls() if impl.plugin is plugin
    }


def call(impl: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
    """Call one implementation with those arguments that it asks for."""
    return impl.function(*(arguments[name] for name in impl.argnames))


def collect(manager: pluggy.PluginManager, plugin: object) -> Registered:
    """Ask a plugin for everything that it registers. Raises `Unfit`, or whatever the plugin raises."""
    hooks = implementations(manager, plugin)
    known = set(vars(manager.hook))
    for name, impl in hooks.items():
        if name not in known or not getattr(manager.hook, name).has_spec():
            raise Unfit(f"it implements {name}, which is not a hook of the contract")
        if impl.hookwrapper or impl.wrapper:
            raise Unfit(f"its {name} is a wrapper; a plugin answers for itself alone")
    if not hooks:
        raise Unfit("it implements no hook; mark its functions with `metasync.contract.hookimpl`")
    things: dict[str, Mapping[str, Any]] = {}
    grants: list[str] = []
    for area, rules in AREAS.items():
        if rules.hook in hooks:
            named = _named(rules, call(hooks[rules.hook], {}))
            things[area] = named
            grants += _grants(rules, named)
    registering = {rules.hook for rules in AREAS.values()}
    grants += [f"hook {name}" for name in hooks if name not in registering]
    return Registered(things=things, grants=tuple(sorted(grants)))


def _named(rules: Area, given: Any) -> dict[str, Any]:
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise Unfit(f"{rules.hook} returned {type(given).__name__}; it returns a sequence")
    named: dict[str, Any] = {}
    for thing in given:
        if not rules.fits(thing):
            raise Unfit(f"{rules.hook} returned {thing!r}, which is not {rules.expected} with every method of the contract")
        name = getattr(thing, "name", None)
        if not isinstance(name, str) or not name:
            raise Unfit(f"{rules.hook} returned {thing!r}, which has no `name`")
        if rules.word == "rewrite" and name in RESERVED:
            raise Unfit(f"it registers the rewrite `{name}`, a name that expressions keep for themselves; its author must choose another")
        if name in named:
            raise Unfit(f"it registers the {rules.word} `{name}` twice")
        if rules.word in ("connector", "matcher", "exporter", "notifier"):
            _check_options(f"{rules.word} `{name}`", getattr(thing, "Options", None), TAKEN.get(rules.word, ()))
        named[name] = thing
    return named


def _check_options(owner: str, options: Any, taken: Collection[str]) -> None:
    """Options are the form, the command line and the docs: every field has a title and a help, and none is one of the document's own."""
    if not (inspect.isclass(options) and issubclass(options, Schema)):
        raise Unfit(f"the {owner} has no `Options`, a class of metasync.contract.Options")
    for key, field_ in options().fields.items():
        if (field_.data_key or key) in taken:
            raise Unfit(f"the option `{field_.data_key or key}` of the {owner} has a name that the document keeps for itself")
        for needed in ("title", "help"):
            if not field_.metadata.get(needed):
                raise Unfit(f"the option `{field_.data_key or key}` of the {owner} has no {needed}")


def _grants(rules: Area, named: Mapping[str, Any]) -> Iterable[str]:
    for name, thing in named.items():
        yield f"{rules.word} {name}"
        if rules.word == "connector":
            yield from (f"connector {name} {capability}" for capability in capabilities(thing))
