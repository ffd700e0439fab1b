"""What this plugin registers."""

from __future__ import annotations

from collections.abc import Sequence

from metasync.contract import Matcher, Rewrite, hookimpl
from metasync_standard import addresses, lists, names, text, typed
from metasync_standard.attribute import AttributeMatcher


@hookimpl
def metasync_register_rewrites() -> Sequence[Rewrite]:
    return (*text.REWRITES, *lists.REWRITES, *names.REWRITES, *addresses.REWRITES, *typed.REWRITES)


@hookimpl
def metasync_register_matchers() -> Sequence[type[Matcher]]:
    return (AttributeMatcher,)
