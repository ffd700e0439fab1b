"""Rewrites of text: what is put before, behind, taken out, exchanged, cut. Each takes `when`."""

from __future__ import annotations

import unicodedata
from typing import Any

import re2

from metasync.contract import Null, Parameter, Rewrite
from metasync_standard.tools import pattern_of, text_of, text_rewrite

ENDS = ("start", "end")

# Letters that have no decomposition in Unicode, as passports and mail systems write them.
_LETTERS = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D"}
    | {"ł": "l", "Ł": "L", "þ": "th", "Þ": "Th", "\u0131": "i", "ħ": "h", "Ħ": "H"}
)


def add(value: str, text: str, at: str) -> str:
    """Once: a text that is there already is not added again, whatever its case."""
    _check_end(at)
    there = value.casefold().startswith(text.casefold()) if at == "start" else value.casefold().endswith(text.casefold())
    if there:
        return value
    return text + value if at == "start" else value + text


def replace(value: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("`from` is an empty text, which would be found everywhere")
    return value.replace(old, new)


def regex_replace(value: str, pattern: str, new: str) -> str:
    try:
        return str(pattern_of(pattern).sub(new, value))
    except (re2.error, IndexError) as error:
        raise ValueError(r"`to` names a group that the pattern does not have; \1 is the first pair of parentheses") from error


def extract(value: str, pattern: str) -> str | None:
    """What the first group found, or the whole match of a pattern without groups."""
    found = pattern_of(pattern).search(value)
    if found is None:
        return None
    part = found.group(1) if pattern_of(pattern).groups else found.group(0)
    return None if part is None else str(part)


def truncate(value: str, length: int) -> str:
    """A space that the cut leaves at the end goes too: directories would trim it, and it would show as drift."""
    if length < 1:
        raise ValueError("`length` must be 1 or more")
    return value if len(value) <= length else value[:length].rstrip()


def title(value: str) -> str:
    """O'Brien, not O'brien; and it's, not It'S: behind an apostrophe a capital only where a name goes on."""
    letters = list(value.lower())
    for position, letter in enumerate(letters):
        before = letters[position - 1] if position else " "
        apostrophe = before in "'\u2019"
        if letter.isalpha() and not before.isalnum() and not (apostrophe and not _goes_on(letters, position)):
            upper = letter.upper()
            letters[position] = upper if len(upper) == 1 else letter
    return "".join(letters)


def _goes_on(letters: list[str], position: int) -> bool:
    return sum(1 for one in letters[position : position + 3] if one.isalpha()) == 3


def replace_domain(value: str, old: str, new: str) -> str:
    """Addresses and sign-in names of exactly this domain, with or without a prefix such as `smtp:`."""
    name, at, domain = value.rpartition("@")
    return f"{name}@{new.removeprefix('@')}" if at and domain.casefold() == old.removeprefix("@").casefold() else value


def strip_diacritics(value: str) -> str:
    decomposed = unicodedata.normalize("NFD", value.translate(_LETTERS))
    return unicodedata.normalize("NFC", "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn"))


def before(value: str, separator: str) -> str:
    _check_separator(separator)
    return value.partition(separator)[0]


def after(value: str, separator: str) -> str | None:
    _check_separator(separator)
    _, found, rest = value.partition(separator)
    return rest if found else None


def substring(value: str, start: int, length: int | None) -> str:
    if length is not None and length < 0:
        raise ValueError("`length` must not be negative")
    part = value[start:]
    return part if length is None else part[:length]


def pad(value: str, length: int, with_: str, at: str) -> str:
    _check_end(at)
    if len(with_) != 1:
        raise ValueError("`with` must be one character")
    if length > 1024:
        raise ValueError("`length` must be at most 1024")
    return value.rjust(length, with_) if at == "start" else value.ljust(length, with_)


def length(value: Any) -> int:
    return 0 if value is None else len(text_of(value))


def _check_end(at: str) -> None:
    if at not in ENDS:
        raise ValueError('`at` must be "start" or "end"')


def _check_separator(separator: str) -> None:
    if not separator:
        raise ValueError("the separator is an empty text")


_TEXT = Parameter(name="text", help="The text.")
_SEPARATOR = Parameter(name="separator", help="The text that separates.")

REWRITES: tuple[Rewrite, ...] = (
    text_rewrite(
        "prefix",
        lambda value, text: text + value,
        help="Puts a text before the value.",
        example=('prefix("4711", "E-")', "E-4711"),
        parameters=(_TEXT,),
    ),
    text_rewrite(
        "suffix",
        lambda value, text: value + text,
        help="Puts a text behind the value.",
        example=('suffix("ann", ".ext", "^a")', "ann.ext"),
        parameters=(_TEXT,),
    ),
    text_rewrite(
        "add",
        add,
        help="Adds a text at the end, or at the start, unless it is there already.",
        example=('add("Ann Lee (ext)", " (ext)")', "Ann Lee (ext)"),
        parameters=(_TEXT, Parameter(name="at", help='"end" or "start".', default="end")),
    ),
    text_rewrite(
        "remove",
        lambda value, text: replace(value, text, ""),
        help="Takes a text out, wherever it stands.",
        example=('remove("Ann Lee (ext)", " (ext)")', "Ann Lee"),
        parameters=(_TEXT,),
    ),
    text_rewrite(
        "replace",
        replace,
        help="Exchanges a text for another, wherever it stands.",
        example=('replace("Old Town", "Old", "New")', "New Town"),
        parameters=(Parameter(name="from", help="The text to find."), Parameter(name="to", help="The text to put there.")),
    ),
    text_rewrite(
        "regex_replace",
        regex_replace,
        help="Exchanges what a pattern finds, wherever it is found.",
        example=(r'regex_replace("+49 (30) 123", "[^0-9]+", "")', "4930123"),
        parameters=(
            Parameter(name="pattern", help="What to find (RE2).", pattern=True),
            Parameter(name="to", help=r"What to put there; \1 is what the first pair of parentheses found."),
        ),
    ),
    text_rewrite(
        "extract",
        extract,
        help="What a pattern finds first: its first group, or all of it; nothing if it is not found.",
        example=('extract("Lee, Ann (E4711)", "E([0-9]+)")', "4711"),
        parameters=(Parameter(name="pattern", help="What to find (RE2).", pattern=True),),
    ),
    text_rewrite(
        "truncate",
        truncate,
        help="Cuts the value to a number of characters.",
        example=('truncate("Maximilian", 3)', "Max"),
        parameters=(Parameter(name="length", help="The most characters that stay.", type=int),),
    ),
    text_rewrite("upper", str.upper, help="Capital letters.", example=('upper("Ann")', "ANN")),
    text_rewrite("lower", str.lower, help="Small letters.", example=('"Ann@Contoso.com".lower()', "ann@contoso.com")),
    text_rewrite("title", title, help="A capital at the start of each word.", example=('title("ANN-MARIE o\'brien")', "Ann-Marie O'Brien")),
    text_rewrite(
        "trim",
        lambda value: " ".join(value.split()),
        help="No spaces around, and single ones within.",
        example=('trim("  Ann   Lee ")', "Ann Lee"),
    ),
    text_rewrite(
        "digits",
        lambda value: "".join(letter for letter in value if letter in "0123456789"),
        help="Only the digits.",
        example=('digits("E-04711")', "04711"),
    ),
    text_rewrite(
        "replace_domain",
        replace_domain,
        help="Exchanges the domain of an address or sign-in name; another domain stays.",
        example=('replace_domain("ann@contoso.com", "contoso.com", "fabrikam.com")', "ann@fabrikam.com"),
        parameters=(Parameter(name="from", help="The domain to find, whole."), Parameter(name="to", help="The domain to put there.")),
    ),
    text_rewrite(
        "strip_diacritics",
        strip_diacritics,
        help="Letters without accents, for names in addresses.",
        example=('strip_diacritics("Zoë Groß")', "Zoe Gross"),
    ),
    text_rewrite(
        "before",
        before,
        help="What stands before a separator's first place; all of it where there is none.",
        example=('before("ann@contoso.com", "@")', "ann"),
        parameters=(_SEPARATOR,),
    ),
    text_rewrite(
        "after",
        after,
        help="What stands behind a separator's first place; nothing where there is none.",
        example=('after("ann@contoso.com", "@")', "contoso.com"),
        parameters=(_SEPARATOR,),
    ),
    text_rewrite(
        "substring",
        substring,
        help="A part of the value.",
        example=('substring("Maximilian", 0, 3)', "Max"),
        parameters=(
            Parameter(name="start", help="The first character, counted from 0; a negative number counts from the end.", type=int),
            Parameter(name="length", help="How many characters; without it, all that follow.", type=int, default=None),
        ),
    ),
    text_rewrite(
        "pad",
        pad,
        help="Fills up to a length.",
        example=('pad("4711", 8)', "00004711"),
        parameters=(
            Parameter(name="length", help="The length to reach; a longer value stays.", type=int),
            Parameter(name="with", help="The character to fill with.", default="0"),
            Parameter(name="at", help='"start" or "end".', default="start"),
        ),
    ),
    Rewrite(name="length", function=length, help="How many characters; 0 for nothing.", example=('length("Ann")', "3"), null=Null.HANDLED),
)
