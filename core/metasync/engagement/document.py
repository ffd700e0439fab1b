"""An engagement document as YAML: read safely, with the line and column of everything in it. What it means is checked in `load`.

YAML 1.2: `on` and `yes` are words. Duplicate keys, tags, directives and recursive aliases are refused; size, depth and what aliases
multiply are bounded, so that a small file cannot become a large one.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeAlias

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq, TaggedScalar
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from metasync.contract import MetasyncError

LARGEST_BYTES = 1024 * 1024
MOST_VALUES = 200_000
DEEPEST = 30
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
NAME_ALLOWED = "letters, digits, `-`, `_` and `.`, at most 100"

KeyPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong in a document."""

    file: str
    line: int
    column: int
    key: str
    """The path of keys to it: `profiles.staff.map.cn.unique[1]`."""
    text: str
    """What is wrong."""
    allowed: str = ""
    """What is allowed there."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        key = f"{self.key}: " if self.key else ""
        return f"{place}{key}{self.text}" + (f" (allowed: {self.allowed})" if self.allowed else "")


class DocumentError(MetasyncError):
    """The document cannot be used."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(problems, key=lambda one: (one.line, one.column, one.key)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Fault(str):
    """A message, and what is allowed instead."""

    allowed: str
    at: KeyPath
    """Where below the value that was looked at."""

    def __new__(cls, text: str, allowed: str = "", at: KeyPath = ()) -> Fault:
        self = super().__new__(cls, text)
        self.allowed = allowed
        self.at = at
        return self


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document whose YAML is sound, and whose name and plugins are known, so that the host can be loaded for the rest."""

    path: str
    text: str
    root: CommentedMap = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    """The same as plain values."""
    name: str
    plugins: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """What the files that it names are relative to."""
        return Path(self.path).resolve().parent

    def problem(self, path: KeyPath, text: str, allowed: str = "") -> Problem:
        """A problem at this place."""
        return _problem(self.path, self.root, path, text, allowed)

    def line(self, path: KeyPath) -> int:
        """The line of a key or list item."""
        return position(self.root, path)[0]

    def line_of(self, words: str) -> int:
        """The line of the key that these words begin with, or of the nearest around it: `profiles.staff.map.title: ...`"""
        path: KeyPath = ()
        node: Any = self.data
        while True:
            keys = list(node) if isinstance(node, Mapping) else list(range(len(node))) if isinstance(node, list) else []
            fitting = [one for one in keys if re.match(rf"{re.escape(key_text((*path, one)))}(?=[.:\[])", words)]
            if not fitting:
                return self.line(path)
            key = max(fitting, key=lambda one: len(str(one)))
            path, node = (*path, key), node[key]


def read(path: str | Path) -> Document:
    """Read a document from a file. Raises `DocumentError`."""
    name = str(path)
    try:
        with open(path, "rb") as file:
            # The size of a device or pipe says nothing, so that only files are read.
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DocumentError([_at_start(name, "it is not a file")])
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        text = "there is no such file; name the document with `--engagement FILE`, or write an example with `metasync init`"
        raise DocumentError([_at_start(name, text)]) from error
    except OSError as error:
        raise DocumentError([_at_start(name, f"it cannot be read: {error.strerror}")]) from error
    if len(content) > LARGEST_BYTES:
        raise DocumentError([_at_start(name, "it is too large", f"at most {LARGEST_BYTES // 1024} KiB")])
    try:
        return parse(content.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DocumentError([Problem(file=name, line=line, column=1, key="", text="it is not UTF-8", allowed="UTF-8")]) from error


def parse(text: str, path: str) -> Document:
    """Read a document from its text; `path` says where it came from. Raises `DocumentError`."""
    if len(text) > LARGEST_BYTES:
        raise DocumentError([_at_start(path, "it is too large", f"at most {LARGEST_BYTES // 1024} KiB")])
    root = _yaml(text, path)
    if not isinstance(root, CommentedMap):
        raise DocumentError([_at_start(path, "it is not a mapping of keys to values", "engagement: NAME, plugins: {...}, ...")])
    problems = _bounds(root, path)
    if problems:
        raise DocumentError(problems)
    data = _plain(root, (), root, path, problems)
    if problems:
        raise DocumentError(problems)
    name = data.get("engagement")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        said = "is missing" if name is None else "is not a name"
        problems.append(_problem(path, root, ("engagement",), said, f"the engagement's name: {NAME_ALLOWED}"))
    plugins = _plugins(data.get("plugins"), root, path, problems)
    if problems:
        raise DocumentError(problems)
    return Document(path=path, text=text, root=root, data=data, name=str(name), plugins=plugins)


def position(root: Any, path: KeyPath) -> tuple[int, int]:
    """(line, column), counted from 1, of the key or item at `path`, or of the nearest that stands in the text around it."""
    line, column, node = 1, 1, root
    for step in path:
        marks = getattr(getattr(node, "lc", None), "data", None) or {}
        if step not in marks:
            break
        line, column = marks[step][0] + 1, marks[step][1] + 1
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            break
    return line, column


def key_text(path: KeyPath) -> str:
    """`profiles.staff.match[0].source`"""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def one_of(words: Iterable[str], given: object = None) -> str:
    """What is allowed, the nearest first where something near was given."""
    known = [str(word) for word in words]
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.6) if isinstance(given, str) else []
    listed = ", ".join(f"`{word}`" for word in known) or "nothing: none is declared"
    return f"{listed}; did you mean `{close[0]}`?" if close else listed


def _problem(file: str, root: Any, path: KeyPath, text: str, allowed: str = "") -> Problem:
    line, column = position(root, path)
    return Problem(file=file, line=line, column=column, key=key_text(path), text=text, allowed=allowed)


def _at_start(file: str, text: str, allowed: str = "") -> Problem:
    return Problem(file=file, line=1, column=1, key="", text=text, allowed=allowed)


def _yaml(text: str, path: str) -> Any:
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("%"):
            raise DocumentError(
                [Problem(file=path, line=number, column=1, key="", text="YAML directives are not used", allowed="YAML 1.2")]
            )
        if line.strip() and not line.lstrip().startswith("#"):
            break
    yaml = YAML(typ="rt", pure=True)
    yaml.version = (1, 2)
    yaml.allow_duplicate_keys = False
    try:
        return yaml.load(text)
    except DuplicateKeyError as error:
        words = re.search(r'found duplicate key "?([^"\n]*?)"? with', str(error.problem))
        said = f"the key `{words.group(1)}` stands here twice" if words else "a key stands here twice"
        raise DocumentError([_marked(path, error, said, "each key once")]) from None
    except MarkedYAMLError as error:
        said = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise DocumentError([_marked(path, error, f"it is not YAML: {said}", "")]) from None
    except RecursionError:
        raise DocumentError([_at_start(path, "it is nested too deeply", f"at most {DEEPEST} levels")]) from None
    except (YAMLError, ValueError, TypeError, NotImplementedError) as error:
        # ruamel says where it met a character that YAML does not allow, or an alias that was never made, in its message only.
        raise DocumentError([_at_start(path, f"it is not YAML: {' '.join(str(error).split())}")]) from None


def _marked(path: str, error: MarkedYAMLError, text: str, allowed: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(file=path, line=line, column=column, key="", text=text, allowed=allowed)


def _bounds(root: CommentedMap, path: str) -> list[Problem]:
    """Count what the document holds once aliases are followed, without following them."""
    sizes: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def measure(node: Any) -> tuple[int, int]:
        """(values, depth); depth beyond every bound where an alias leads back to itself."""
        if not isinstance(node, (CommentedMap, CommentedSeq)):
            return 1, 0
        known = sizes.get(id(node))
        if known:
            return known
        if id(node) in open_nodes or len(open_nodes) > DEEPEST:
            return 1, DEEPEST + 1
        open_nodes.add(id(node))
        values, depth = 1, 0
        for child in node.values() if isinstance(node, CommentedMap) else node:
            more, deeper = measure(child)
            values, depth = values + more, max(depth, deeper + 1)
        open_nodes.discard(id(node))
        sizes[id(node)] = values, depth
        return values, depth

    values, depth = measure(root)
    if depth > DEEPEST:
        return [_at_start(path, "it is nested too deeply, or an alias leads back to itself", f"at most {DEEPEST} levels")]
    if values > MOST_VALUES:
        return [_at_start(path, f"it holds {values} values once aliases are followed", f"at most {MOST_VALUES}")]
    return []


def _plain(node: Any, path: KeyPath, root: CommentedMap, file: str, problems: list[Problem]) -> Any:
    """The node as dict, list, str, int, float, bool or None."""
    if isinstance(node, TaggedScalar) or getattr(getattr(node, "tag", None), "value", None):
        problems.append(_problem(file, root, path, "YAML tags are not used", "plain values"))
        return None
    if isinstance(node, CommentedMap):
        if not all(isinstance(key, (str, int, float, bool)) for key in node):
            problems.append(_problem(file, root, path, "a key is not a word", "words as keys"))
            return None
        return {_key(key): _plain(value, (*path, key), root, file, problems) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value, (*path, number), root, file, problems) for number, value in enumerate(node)]
    if node is None or isinstance(node, bool):
        return node
    if type(node).__name__ == "ScalarBoolean":
        return bool(node)
    for kind in (str, int, float):
        if isinstance(node, kind):
            return kind(node)
    said = "a date is text here" if isinstance(node, date) else f"a {type(node).__name__} cannot stand here"
    problems.append(_problem(file, root, path, said, "text in quotes"))
    return None


def _key(key: Any) -> Any:
    return str(key) if isinstance(key, str) else key


def _plugins(given: Any, root: CommentedMap, path: str, problems: list[Problem]) -> dict[str, str]:
    allowed = 'plugin names with versions: {standard: ">=0.1", csv: ">=0.1"}'
    if not isinstance(given, dict) or not given:
        said = "is missing" if given is None else "is not a mapping of plugins to versions"
        problems.append(_problem(path, root, ("plugins",), said, allowed))
        return {}
    plugins: dict[str, str] = {}
    for name, versions in given.items():
        where: KeyPath = ("plugins", name)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            problems.append(_problem(path, root, where, "is not the name of a plugin", allowed))
        elif not isinstance(versions, str):
            problems.append(_problem(path, root, where, "its versions are not text", 'versions in quotes, such as ">=0.1" or "==0.2.*"'))
        else:
            try:
                SpecifierSet(versions)
            except InvalidSpecifier:
                problems.append(_problem(path, root, where, f"{versions!r} names no versions", 'versions such as ">=0.1" or ">=0.1,<0.3"'))
            plugins[name] = versions
    return plugins
