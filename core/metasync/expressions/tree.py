"""The nodes of an expression's tree. `start` and `end` are characters of the text; where there is no `end`, `start` is for messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Literal:
    start: int
    end: int
    value: Any
    exact: bool
    """False where Python has no type of its own for it (1u, 1.5)."""


@dataclass(frozen=True, slots=True)
class Attribute:
    start: int
    end: int
    root: str
    name: str


@dataclass(frozen=True, slots=True)
class Variable:
    start: int
    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    start: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    start: int
    items: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Unary:
    start: int
    operator: str
    count: int
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    start: int
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Choice:
    start: int
    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True)
class Call:
    start: int
    """Where its name stands."""
    name: str
    receiver: Node | None
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    start: int
    name: str
    receiver: Node
    variable: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index:
    start: int
    receiver: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Select:
    start: int
    receiver: Node
    field: str


Node: TypeAlias = Literal | Attribute | Variable | ListOf | MapOf | Unary | Binary | Choice | Call | Macro | Index | Select


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case ListOf():
            return node.items
        case MapOf():
            return tuple(part for pair in node.items for part in pair)
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Choice():
            return (node.condition, node.yes, node.no)
        case Call():
            return node.arguments if node.receiver is None else (node.receiver, *node.arguments)
        case Macro():
            return (node.receiver, *node.arguments)
        case Index():
            return (node.receiver, node.index)
        case Select():
            return (node.receiver,)
        case _:
            return ()


def walk(node: Node) -> list[Node]:
    """The node and all below it, in the order of the text."""
    found, waiting = [], [node]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(reversed(children(found[-1])))
    return found
