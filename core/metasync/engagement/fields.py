"""The kinds of values that the document's language is made of. Each says what is wrong with a value, and what is allowed.

A field raises one `ValidationError` with every fault below it, and hands on what was sound, so that one reading finds all faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, TypeVar

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from metasync.contract import Kind
from metasync.engagement.document import NAME, NAME_ALLOWED, Fault, one_of

E = TypeVar("E", bound=StrEnum)


class Value(fields.Field[Any]):
    """Base of the language's values. `form` says in words what is allowed."""

    form = "a value"

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        return self.read(value)

    def read(self, value: Any) -> Any:
        """The value in the engine's form. Raises `ValidationError`."""
        return value

    def wrong(self, text: str, allowed: str | None = None) -> ValidationError:
        """A fault of the value itself."""
        return ValidationError([Fault(text, self.form if allowed is None else allowed)])


class Text(Value):
    """A text that is not empty."""

    def __init__(self, form: str = "text", **more: Any) -> None:
        super().__init__(**more)
        self.form = form

    def read(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong(f"{shown(value)} is not text", f"{self.form}, in quotes")
        if not value.strip():
            raise self.wrong("is empty")
        return value


class Expression(Text):
    """An expression; its syntax is checked in `load`, where names are known."""

    def __init__(self, **more: Any) -> None:
        super().__init__("an expression", **more)


class Name(Text):
    """A name that the document gives or refers to."""

    def __init__(self, what: str, **more: Any) -> None:
        super().__init__(f"the name of {'an' if what[0] in 'aeiou' else 'a'} {what}", **more)


class Flag(Value):
    """True or false."""

    form = "`true` or `false`"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self.wrong(f"{shown(value)} is neither true nor false")
        return value


class Whole(Value):
    """A whole number within bounds."""

    def __init__(self, least: int, most: int, **more: Any) -> None:
        super().__init__(**more)
        self.least, self.most = least, most
        self.form = f"a whole number from {least} to {most}"

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise self.wrong(f"{shown(value)} is not such a number")
        return value


class Percent(Value):
    """A share of a hundred."""

    form = "a number from 0 to 100"

    def read(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 100:
            raise self.wrong(f"{shown(value)} is not such a number")
        return float(value)


class Word(Value):
    """One of a few words."""

    def __init__(self, words: Iterable[str], what: str = "", **more: Any) -> None:
        super().__init__(**more)
        self.words = {str(word): word for word in words}
        self.fault = f"is not {what}" if what else "is not known here"
        self.form = "one of " + ", ".join(f"`{word}`" for word in self.words)

    def read(self, value: Any) -> Any:
        if not isinstance(value, str) or value not in self.words:
            raise self.wrong(f"{shown(value)} {self.fault}", one_of(self.words, value))
        return self.words[value]


class KindPair(Value):
    """One kind, or `{SOURCE: TARGET}`."""

    form = "one of " + ", ".join(f"`{kind}`" for kind in Kind) + ", or a pair from source to target such as `{user: contact}`"

    def read(self, value: Any) -> tuple[Kind, Kind]:
        pair = list(value.items()) if isinstance(value, Mapping) else [(value, value)]
        if len(pair) != 1:
            raise self.wrong("is not one pair of kinds")
        for kind in pair[0]:
            if not isinstance(kind, str) or kind not in set(Kind):
                raise self.wrong(f"{shown(kind)} is not a kind", one_of(Kind, kind))
        return Kind(pair[0][0]), Kind(pair[0][1])


class OneOrMany(Value):
    """A value, or a list of them."""

    def __init__(self, inner: Value, *, least: int = 1, **more: Any) -> None:
        super().__init__(**more)
        self.inner, self.least = inner, least
        self.form = f"{inner.form}, or a list of them"

    def read(self, value: Any) -> tuple[Any, ...]:
        return _items(self.inner, value if isinstance(value, list) else [value], self, single=not isinstance(value, list))


class Many(Value):
    """A list of values."""

    def __init__(self, inner: Value, *, least: int = 1, **more: Any) -> None:
        super().__init__(**more)
        self.inner, self.least = inner, least
        self.form = f"a list; each item: {inner.form}"

    def read(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise self.wrong(f"{shown(value)} is not a list")
        return _items(self.inner, value, self, single=False)


class Table(Value):
    """A mapping of names to values of one form."""

    def __init__(
        self,
        inner: Value | None,
        what: str,
        *,
        key: Callable[[str], str | None] | None = None,
        words: Iterable[str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.inner, self.what = inner, what
        self.words = {str(word): word for word in words} if words is not None else None
        self.key = key
        self.form = f"a mapping of {what}" + (f" to {inner.form}" if inner and inner.form != "a value" else "")

    def read(self, value: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise self.wrong(f"{shown(value)} is not a mapping of {self.what}")
        faults: dict[Any, Any] = {}
        sound: dict[Any, Any] = {}
        for key, given in value.items():
            fault = self._key_fault(key)
            if fault:
                faults[key] = [fault]
                continue
            try:
                sound[self.words[key] if self.words else key] = self.inner.deserialize(given) if self.inner else given
            except ValidationError as error:
                faults[key] = error.messages
                if error.valid_data:
                    sound[self.words[key] if self.words else key] = error.valid_data
        if faults:
            raise ValidationError(faults, valid_data=sound)
        return sound

    def _key_fault(self, key: Any) -> Fault | None:
        if not isinstance(key, str):
            return Fault(f"the key {shown(key)} is not text", f"{self.what}, in quotes")
        if self.words is not None and key not in self.words:
            return Fault("is not known here", one_of(self.words, key))
        if not key.strip():
            return Fault("the key is empty", self.what)
        allowed = self.key(key) if self.key else None
        return Fault(f"`{key}` is not a name", allowed) if allowed else None


class Part(Value):
    """A mapping with keys of its own. With `short`, a text stands for `{SHORT: text}`."""

    def __init__(self, schema: type[Section], *, short: str | None = None, short_form: str = "", **more: Any) -> None:
        super().__init__(**more)
        self.schema, self.short = schema, short
        keys = f"a mapping with the keys of {schema.title}"
        self.form = f"{short_form}, or {keys}" if short else keys
        self.either = f"{short_form} in quotes, or `{{{short}: EXPRESSION, ...}}`"

    def read(self, value: Any) -> dict[str, Any]:
        if self.short and not isinstance(value, Mapping):
            if not isinstance(value, str):
                raise self.wrong(f"{shown(value)} is not text", self.either)
            value = {self.short: Text(self.form).read(value)}
        if not isinstance(value, Mapping):
            raise self.wrong(f"{shown(value)} is not a mapping")
        return read_section(self.schema(), value)


class Steps(Value):
    """The steps of a `rewrite:` pipeline, as (name, argument or None)."""

    form = "a list of rewrites, each `NAME` or `{NAME: ARGUMENT}`"

    def read(self, value: Any) -> tuple[tuple[str, Any], ...]:
        steps: list[tuple[str, Any]] = []
        faults: dict[int, Any] = {}
        for number, step in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(step, str) and step.strip():
                steps.append((step, None))
            elif isinstance(step, Mapping) and len(step) == 1 and all(isinstance(name, str) for name in step):
                steps.append(next(iter(step.items())))
            else:
                faults[number] = [Fault("is not a step", "`NAME` or `{NAME: ARGUMENT}`")]
        if faults:
            raise ValidationError(faults)
        return tuple(steps)


class Section(Schema):
    """A part of the document: a mapping with known keys, each with title and help."""

    title: ClassVar[str]
    """What the reference calls it."""

    class Meta:
        unknown = RAISE

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **kwargs: Any) -> None:
        """Say what is allowed where marshmallow only says that something is not."""
        if isinstance(error.messages, dict):
            explain(self, error.messages)


def read_section(schema: Schema, value: Mapping[str, Any]) -> dict[str, Any]:
    """What a schema makes of a mapping. Raises `ValidationError`."""
    loaded: Any = schema.load(value)
    return dict(loaded)


def explain(schema: Schema, messages: dict[Any, Any]) -> None:
    """Replace marshmallow's own words for unknown, missing and empty keys."""
    known = {field.data_key or name: field for name, field in schema.fields.items()}
    for key, said in messages.items():
        if isinstance(said, dict) and isinstance(table := known.get(key), fields.Mapping):
            messages[key] = {name: _entry(table, name, below) for name, below in said.items()}
        if not isinstance(said, list) or len(said) != 1:
            continue
        field = known.get(key)
        allowed = getattr(field, "form", None) or (field.metadata.get("help", "") if field else "")
        match str(said[0]):
            case "Unknown field.":
                messages[key] = [Fault("is not known here", one_of(known, key))]
            case "Missing data for required field.":
                messages[key] = [Fault("is missing", allowed)]
            case "Field may not be null.":
                messages[key] = [Fault("is empty", allowed)]
            case "Invalid input type.":
                messages[key] = [Fault("is not a mapping", allowed)]
            case text if not isinstance(said[0], Fault):
                messages[key] = [Fault(text.rstrip("."), allowed)]


def _entry(table: fields.Mapping[Any], name: Any, said: Any) -> Any:
    """What marshmallow says of one entry of a mapping: of its key or of its value, at the entry itself."""
    if not isinstance(said, dict) or not set(said) <= {"key", "value"}:
        return said
    if "key" not in said:
        return said["value"]
    checks = table.key_field.validators if table.key_field is not None else ()
    choices = next((one.choices for one in checks if isinstance(one, validate.OneOf)), None)
    return said["key"] if choices is None else [Fault("is not known here", one_of(choices, name))]


def name_key(key: str) -> str | None:
    """What is allowed, unless the key is a name."""
    return None if NAME.fullmatch(key) else NAME_ALLOWED


def _items(inner: Value, given: list[Any], owner: OneOrMany | Many, *, single: bool) -> tuple[Any, ...]:
    if len(given) < owner.least:
        raise owner.wrong("is empty")
    sound: list[Any] = []
    faults: dict[int, Any] = {}
    for number, item in enumerate(given):
        try:
            sound.append(inner.deserialize(item))
        except ValidationError as error:
            faults[number] = error.messages
            sound.append(error.valid_data or None)  # keeps the places of those behind it
    if faults:
        messages = faults[0] if single else faults
        raise ValidationError(messages, valid_data=sound)
    return tuple(sound)


def shown(value: Any) -> str:
    """A value as people wrote it, shortened; a mapping or list by its kind, as it may hold a secret."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value)
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"
