"""How rewrites are called, the same in pipelines and in expressions: what is nothing, several values, parameters, errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import re2

from metasync.contract import Null, Parameter, Rewrite, Several
from metasync.engagement.model import RewriteCall
from metasync.expressions.errors import ExpressionError, meant
from metasync.expressions.values import SCALARS, Sentinel, entering, leaving, tidy, type_words

MAX_PATTERN = 1000
MAX_TEXT = 64 * 1024
"""Longer texts than this are not made by a rewrite; a longer value may pass through one."""

_TYPES: Mapping[type[Any], str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "a table",
    tuple: "a list",
    list: "a list",
}


def bind_rewrite(rewrite: Rewrite, *, checked: bool = False, most: int | None = None) -> Callable[..., Any]:
    """The function `(value, *arguments)` that honours the rewrite's rules and raises `ExpressionError` alone.

    `checked`: the arguments are known to be right (they are written out in the document). `most`: the longest list it may yield.
    """
    function, name = rewrite.function, rewrite.name
    stays, each = rewrite.null is Null.STAYS, rewrite.several is Several.EACH
    parameters = tuple(rewrite.parameters)
    what = f"{name}()"

    def once(value: Any, arguments: tuple[Any, ...]) -> Any:
        try:
            result = function(value, *arguments)
        except ValueError as error:
            raise ExpressionError(f"{what}: {error}") from error
        except (Exception, SystemExit) as error:
            raise ExpressionError(f"{what} failed on {type_words(value)} ({type(error).__name__}): an error in the rewrite") from error
        if result.__class__ is str:
            if len(result) > MAX_TEXT and (value.__class__ is not str or len(result) > len(value)):
                raise ExpressionError(f"{what} yields a text of more than {MAX_TEXT} characters")
            return result
        return leaving(result, what)

    def call(value: Any, *arguments: Any) -> Any:
        if not checked:
            arguments = tuple([tuple(one) if one.__class__ is list else one for one in arguments])
            wrong = argument_error(rewrite, arguments)
            if wrong:
                raise ExpressionError(wrong)
        if len(arguments) < len(parameters):
            arguments += tuple([one.default for one in parameters[len(arguments) :]])
        kind = value.__class__
        if kind is str and value:
            return once(value, arguments)
        if value is None or kind is str:
            return None if stays else once(None, arguments)
        if kind is list:
            kind, value = tuple, tuple(value)
        if kind is not tuple:
            if kind not in SCALARS:
                raise ExpressionError(f"{what} does not take {type_words(value)}")
            return once(value, arguments)
        present = tuple([one for one in value if one is not None and one != ""])
        if not present:
            return None if stays else once(None, arguments)
        for one in present:
            if one.__class__ not in SCALARS:
                raise ExpressionError(f"{what} does not take a list that holds {type_words(one)}")
        return each_of(present, arguments) if each else once(present, arguments)

    def each_of(values: tuple[Any, ...], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        found: list[Any] = []
        for one in values:
            result = once(one, arguments)
            if result.__class__ is tuple:
                found.extend(result)
            elif result is not None:
                found.append(result)
        return tuple(found)

    def bounded(value: Any, *arguments: Any) -> Any:
        result = call(value, *arguments)
        if result.__class__ is tuple and len(result) > (most or 0):
            raise ExpressionError(f"{what} yields more than {most} values, too many for lists within lists")
        return result

    return call if most is None else bounded


def call_rewrite(rewrite: Rewrite, value: Any, *arguments: Any) -> Any:
    """One call, for places where speed does not count. Raises `ExpressionError`."""
    return bind_rewrite(rewrite)(entering(value), *arguments)


def argument_error(rewrite: Rewrite, arguments: Sequence[Any]) -> str | None:
    """What is wrong with these arguments, or None. The values are not named."""
    parameters = rewrite.parameters
    if len(arguments) > len(parameters):
        return f"{rewrite.name}() takes {_count(len(parameters))} beside the value, and {len(arguments)} are given: {signature(rewrite)}"
    for parameter, argument in zip(parameters, arguments, strict=False):
        if argument is None:
            if parameter.default is None:
                continue
            return f"the parameter `{parameter.name}` of {rewrite.name}() is empty here"
        wanted = parameter.type
        if wanted not in _TYPES or argument.__class__ is wanted or (wanted in (tuple, list) and argument.__class__ in (tuple, list)):
            continue
        return f"the parameter `{parameter.name}` of {rewrite.name}() must be {_TYPES[wanted]}, and is {type_words(argument)}"
    for parameter in parameters[len(arguments) :]:
        if parameter.default is ...:
            return f"the parameter `{parameter.name}` of {rewrite.name}() is missing: {signature(rewrite)}"
    return None


def pattern_error(pattern: str) -> str | None:
    """Why a regular expression cannot be used, or None."""
    if len(pattern) > MAX_PATTERN:
        return f"the pattern is longer than {MAX_PATTERN} characters"
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0] if error.args else error
        words = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        return f"the pattern cannot be used: {words} (RE2 has no look-around and no back-references)"
    return None


def signature(rewrite: Rewrite) -> str:
    """How it is written as a function: `replace(value, from, to, when=...)`."""
    own = [one.name if one.default is ... else f"{one.name}={_shown(one.default)}" for one in rewrite.parameters]
    return f"{rewrite.name}({', '.join([*own, 'value'] if rewrite.value_last else ['value', *own])})"


def find_rewrite(name: str, rewrites: Mapping[str, Rewrite]) -> Rewrite:
    """By its name, which the document may write with spaces. Raises `ValueError` that says what is allowed."""
    found = rewrites.get(name) or rewrites.get(name.strip().replace(" ", "_"))
    if found is None:
        raise ValueError(f"there is no rewrite `{name}`{meant(name, rewrites)}; allowed: {', '.join(sorted(rewrites))}")
    return found


def read_step(step: Any, rewrites: Mapping[str, Rewrite]) -> RewriteCall:
    """One step of a `rewrite:` pipeline as the document writes it: `lower`, `{prefix: X}` (the first parameter, where no other is
    required), or `{replace: {from: a, to: b}}`. Raises `ValueError` that says what is allowed."""
    name: Any
    given: Any
    if isinstance(step, str):
        name, given = step, None
    elif isinstance(step, Mapping) and len(step) == 1:
        name, given = next(iter(step.items()))
    else:
        raise ValueError("a step is the name of a rewrite, or {NAME: PARAMETERS}")
    rewrite = find_rewrite(str(name), rewrites)
    parameters = {one.name: one for one in rewrite.parameters}
    by_name = isinstance(given, Mapping) and set(given) <= set(parameters)
    if given is None or (by_name and not given):
        given = {}
    elif not by_name:
        first = next(iter(rewrite.parameters), None)
        if first is None:
            raise ValueError(f"{rewrite.name} takes no parameters")
        if isinstance(given, Mapping) and first.type is not dict:
            unknown = ", ".join(str(one) for one in given if one not in parameters)
            raise ValueError(f"{rewrite.name} has no parameter {unknown}; allowed: {', '.join(parameters)}")
        given = {first.name: given}
    arguments: list[Any] = []
    for parameter in rewrite.parameters:
        if parameter.name not in given and parameter.default is ...:
            raise ValueError(f"{rewrite.name} needs the parameter {parameter.name}: {parameter.help}")
        arguments.append(_from_document(given.get(parameter.name, parameter.default)))
    wrong = argument_error(rewrite, arguments) or _patterns(rewrite.parameters, arguments)
    if wrong:
        raise ValueError(wrong)
    return RewriteCall(name=rewrite.name, arguments=tuple(arguments))


def rewrite_pipeline(calls: Sequence[RewriteCall], rewrites: Mapping[str, Rewrite]) -> Callable[[Any], Any]:
    """The steps one after the other, as one function of a value. CLEAR and KEEP pass. Raises `ExpressionError` that names the step;
    a call that no rewrite fits raises `ValueError` at once."""
    steps: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
    for number, call in enumerate(calls, start=1):
        rewrite = find_rewrite(call.name, rewrites)
        wrong = argument_error(rewrite, call.arguments) or _patterns(rewrite.parameters, call.arguments)
        if wrong:
            raise ValueError(wrong)
        label = f"step {number} of `rewrite:`" if len(calls) > 1 else "`rewrite:`"
        steps.append((label, bind_rewrite(rewrite, checked=True), tuple(call.arguments)))

    def run(value: Any) -> Any:
        if value.__class__ is not str:
            if value.__class__ is Sentinel:
                return value
            value = entering(value)
        for label, function, arguments in steps:
            try:
                value = function(value, *arguments)
            except ExpressionError as error:
                raise ExpressionError(f"{label}: {error}") from error
            if value.__class__ is tuple:
                value = tidy(value)
        return value

    if len(calls) != 1:
        return run
    rewrite = find_rewrite(calls[0].name, rewrites)
    defaults = (one.default for one in rewrite.parameters[len(calls[0].arguments) :])
    return _text_of_text(rewrite.function, (*calls[0].arguments, *defaults), run)


def _text_of_text(function: Callable[..., Any], arguments: tuple[Any, ...], careful: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What nearly every single rewrite does, without asking anything else; all but that goes the careful way from its beginning."""

    def run(value: Any) -> Any:
        if value.__class__ is str and value:
            try:
                result = function(value, *arguments)
            except (Exception, SystemExit):
                return careful(value)
            if result.__class__ is str and len(result) <= MAX_TEXT:
                return result
        return careful(value)

    return run


def _patterns(parameters: Sequence[Parameter], arguments: Sequence[Any]) -> str | None:
    for parameter, argument in zip(parameters, arguments, strict=False):
        wrong = pattern_error(argument) if parameter.pattern and isinstance(argument, str) else None
        if wrong:
            return f"`{parameter.name}`: {wrong}"
    return None


def _from_document(value: Any) -> Any:
    """YAML's lists and tables as plain Python, unable to change afterwards where it matters."""
    if isinstance(value, Mapping):
        return {_from_document(key): _from_document(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_from_document(one) for one in value)
    for kind in (bool, int, str):
        if isinstance(value, kind) and value.__class__ is not kind:
            return kind(value)
    return value


def _count(number: int) -> str:
    return "no parameters" if number == 0 else "one parameter" if number == 1 else f"at most {number} parameters"


def _shown(default: Any) -> str:
    return "null" if default is None else f'"{default}"' if isinstance(default, str) else str(default).lower()
