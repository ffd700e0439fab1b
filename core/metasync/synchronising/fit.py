"""Does a value fit the attribute that it is meant for? Known before the plan, so that it never fails at export."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from metasync.contract import Allow, AttributeSchema, KindSchema, Type
from metasync.expressions import CLEAR, KEEP
from metasync.synchronising.errors import ObjectError
from metasync.synchronising.images import is_reference

PYTHON = {Type.STRING: str, Type.INTEGER: int, Type.BOOLEAN: bool, Type.BYTES: bytes, Type.TIME: datetime}
WORDS = {Type.STRING: "text", Type.INTEGER: "a whole number", Type.BOOLEAN: "true or false", Type.BYTES: "bytes", Type.TIME: "a time"}


def attribute_schema(schema: KindSchema, name: str) -> AttributeSchema:
    """What the target says of an attribute. Raises `ObjectError` where it has none of that name."""
    known = schema.attributes.get(name)
    if known is not None:
        return known
    if schema.open:
        return AttributeSchema(name=name)
    raise ObjectError(name, f"the target's {schema.kind} has no attribute {name}; correct the name in `map:`")


def fit(schema: KindSchema, name: str, value: Any, *, shorten: bool = False) -> Any:
    """The value in the attribute's own type. Raises `ObjectError` where it cannot be written as it is."""
    known = attribute_schema(schema, name)
    if known.multi:
        values = value if isinstance(value, tuple) else (value,)
        return tuple(_one(known, one, shorten) for one in values)
    if isinstance(value, tuple):
        if len(value) != 1:
            raise ObjectError(
                name, f"{name} takes one value in the target, and has {len(value)} here; choose one, such as with `first(...)`"
            )
        value = value[0]
    return _one(known, value, shorten)


def shaper(schema: KindSchema, shorten: Mapping[str, bool]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """A function that fits the wanted values of these attributes, given in their order: straight Python from our own template, which looks
    closer only at a value that is not simply what the attribute takes. `shorten`: attribute -> may its values be shortened?"""
    names: dict[str, Any] = {"datetime": datetime}
    values = [f"value{number}" for number in range(len(shorten))]
    lines = ["def shape(values):", f"    [{', '.join(values)}] = values"]
    for number, (name, may_shorten) in enumerate(shorten.items()):
        value = values[number]
        known = schema.attributes.get(name)
        names[f"fit{number}"] = _fitter(schema, name, may_shorten)
        test = _suspicious(known, value)
        if known is not None and known.multi and known.type is Type.STRING:
            names[f"plain{number}"] = _plain_texts(known.max_length)
            test = f"{value} is not None and not ({value}.__class__ is tuple and plain{number}({value}))"
        lines.append(f"    if {test}: {value} = fit{number}({value})")
    lines += [f"    return {{{', '.join(f'{name!r}: {value}' for name, value in zip(shorten, values, strict=True))}}}", ""]
    text = "\n".join(lines)
    filename = f"<shape of a {schema.kind} {hash(text):x}>"
    linecache.cache[filename] = (len(text), None, [line + "\n" for line in lines], filename)
    exec(compile(text, filename, "exec"), names)  # noqa: S102 - our own template; names of attributes enter as constants
    function: Callable[[Sequence[Any]], dict[str, Any]] = names["shape"]
    return function


def _suspicious(known: AttributeSchema | None, value: str) -> str:
    """The condition under which a value has to be looked at closer."""
    wanted = PYTHON.get(known.type) if known is not None and not known.multi else None
    if known is None or wanted is None:
        return f"{value} is not None"
    tests = [f"{value}.__class__ is not {wanted.__name__}"]
    if known.max_length is not None and wanted in (str, bytes):
        tests.append(f"len({value}) > {int(known.max_length)}")
    if wanted is str:
        tests.append(f"'\\0' in {value}")
    return f"{value} is not None and ({' or '.join(tests)})"


def _plain_texts(most: int | None) -> Callable[[tuple[Any, ...]], bool]:
    """Are these nothing but texts that fit?"""

    def plain(values: tuple[Any, ...]) -> bool:
        return {*map(type, values)} == {str} and "\0" not in "".join(values) and (most is None or max(map(len, values)) <= most)

    return plain


def _fitter(schema: KindSchema, name: str, shorten: bool) -> Callable[[Any], Any]:
    def fitted(value: Any) -> Any:
        if value is KEEP or value is CLEAR or is_reference(value):
            return value
        return fit(schema, name, value, shorten=shorten)

    return fitted


def allows(schema: KindSchema, name: str, what: Allow) -> bool:
    """May this be done with the attribute?"""
    return what in attribute_schema(schema, name).allow


def _one(known: AttributeSchema, value: Any, shorten: bool) -> Any:
    wanted = PYTHON.get(known.type)
    if wanted is None:
        raise ObjectError(known.name, f"{known.name} holds references: map it from one attribute, such as `source.{known.name}`")
    if type(value) is not wanted:
        value = _converted(known, value)
    if known.max_length is not None and isinstance(value, (str, bytes)) and len(value) > known.max_length:
        if shorten and isinstance(value, str):
            return value[: known.max_length].rstrip()
        raise ObjectError(
            known.name,
            f"{known.name} takes {known.max_length} characters in the target, and has {len(value)} here; shorten it with `truncate`",
        )
    if isinstance(value, str) and "\0" in value:
        raise ObjectError(known.name, f"{known.name} holds the character NUL, which no directory takes; remove it with `replace`")
    return value


def _converted(known: AttributeSchema, value: Any) -> Any:
    """The conversions that lose nothing."""
    if known.type is Type.STRING and isinstance(value, bool):
        return "true" if value else "false"
    if known.type is Type.STRING and isinstance(value, int):
        return str(value)
    if known.type is Type.INTEGER and isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    if known.type is Type.BOOLEAN and isinstance(value, str) and value.strip().casefold() in ("true", "false"):
        return value.strip().casefold() == "true"
    raise ObjectError(known.name, f"{known.name} takes {WORDS[known.type]} in the target, and the value is {type(value).__name__} here")
