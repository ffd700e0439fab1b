"""The smallest plugin that an engagement can do with: four rewrites and a matcher. Engine tests need no shipped plugin."""

from __future__ import annotations

from collections.abc import Sequence

from marshmallow import fields

from metasync.contract import Lookup, Matcher, Options, Parameter, Rewrite, Several, Values, hookimpl, option


class SameOptions(Options):
    """Both sides of a rule."""

    source = option(fields.String(required=True), title="Source", help="An attribute or expression of the source.")
    target = option(fields.String(required=True), title="Target", help="An attribute or expression of the target.")


class Same(Matcher):
    """Equal values; the least that `match:` needs."""

    name = "attribute"
    title = "Equal values"
    Options = SameOptions

    @property
    def sources(self) -> Sequence[str]:
        return (str(self.options["source"]),)

    @property
    def targets(self) -> Sequence[str]:
        return (str(self.options["target"]),)

    def lookups(self, values: Sequence[Values | None]) -> Sequence[Lookup]:
        return [Lookup(key=self.targets[0], value=value) for value in values if value is not None]


def _short(value: str, length: int) -> str:
    return value[:length]


def _digits(value: str) -> str | None:
    return "".join(letter for letter in value if letter.isdecimal()) or None


def _joined(values: Sequence[str], separator: str) -> str | None:
    return separator.join(one for one in values if one) or None


class SmallPlugin:
    """`Host.of(SmallPlugin(), ...)`."""

    @hookimpl
    def metasync_register_matchers(self) -> Sequence[type[Matcher]]:
        """The matcher `attribute`."""
        return (Same,)

    @hookimpl
    def metasync_register_rewrites(self) -> Sequence[Rewrite]:
        """lower, short, digits, joined."""
        return (
            Rewrite(name="lower", function=str.lower, help="Lower case.", example=('"A".lower()', '"a"')),
            Rewrite(
                name="short",
                function=_short,
                help="The first letters.",
                example=('"abc".short(2)', '"ab"'),
                parameters=(Parameter(name="length", help="How many letters stay.", type=int),),
            ),
            Rewrite(name="digits", function=_digits, help="The digits alone.", example=('"a1".digits()', '"1"')),
            Rewrite(
                name="joined",
                function=_joined,
                help="All values with something in between.",
                example=('["a", "b"].joined("-")', '"a-b"'),
                parameters=(Parameter(name="separator", help="What stands in between."),),
                several=Several.ALL,
            ),
        )
