"""Reads CEL into a tree, as far as the engine must know it: attributes read, functions called, nesting. It judges nothing but
grammar, names and bounds; the library compiles the text itself, and what it refuses is refused.

Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax, without messages and namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cel

from metasync.expressions.errors import ExpressionSyntaxError, meant
from metasync.expressions.tree import Attribute, Binary, Call, Choice, Index, ListOf, Literal, Macro, MapOf, Node, Select, Unary, Variable

MAX_LENGTH = 8 * 1024
MAX_NODES = 500
MAX_NESTING = 32
MAX_MACROS = 2
"""Macros within macros."""

MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
RELATIONS = ("==", "!=", "<=", ">=", "<", ">", "in")
PLUGIN = "write the logic as a rewrite of a plugin"
KEYWORDS = frozenset({"true", "false", "null", "in"})


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int


# Escapes are checked by the library: here it only matters where a literal ends.
_TOKEN = re.compile(
    r"""
    (?P<space>(?:[\t\n\f\r\ ]|//[^\n]*)+)
    | (?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"{3}|'{3}|\"|'))
    | (?P<number>0x[0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)
    | (?P<name>[_a-zA-Z][_a-zA-Z0-9]*)
    | (?P<sign>==|!=|<=|>=|&&|\|\||[<>+\-*/%!?:.,()\[\]{}])
    """,
    re.VERBOSE,
)


def tokens(text: str) -> list[Token]:
    """The text cut into tokens, an `end` last."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            advice = {"=": "; write `==` to compare", "&": "; write `&&`", "|": "; write `||`"}.get(text[position], "")
            raise ExpressionSyntaxError(text, position, f"`{text[position]}` means nothing in an expression{advice}")
        kind = match.lastgroup or ""
        end = _string_end(text, match) if kind == "string" else match.end()
        if kind != "space":
            found.append(Token(kind, text[position:end], position))
        position = end
    return [*found, Token("end", "", len(text))]


def _string_end(text: str, opening: re.Match[str]) -> int:
    mark = opening.group().lstrip("rRbB")
    raw = opening.group()[: -len(mark)].lower().count("r")
    position = opening.end()
    while position < len(text):
        if text.startswith(mark, position):
            return position + len(mark)
        if text[position] in "\r\n" and len(mark) == 1:
            break
        position += 2 if text[position] == "\\" and not raw else 1
    raise ExpressionSyntaxError(text, opening.start(), f"the text that begins here is not ended; it ends with {mark}")


def parse(text: str, roots: Mapping[str, str]) -> Node:
    """The tree. `roots`: the names that may be read from, as written in expressions, and the root that each stands for."""
    if len(text) > MAX_LENGTH:
        raise ExpressionSyntaxError(text, MAX_LENGTH, f"the expression is longer than {MAX_LENGTH} characters; {PLUGIN}")
    if not text.strip():
        raise ExpressionSyntaxError(text, 0, "the expression is empty")
    return _Parser(text, roots).whole()


class _Parser:
    def __init__(self, text: str, roots: Mapping[str, str]) -> None:
        self.text = text
        self.roots = roots
        self.tokens = tokens(text)
        self.at = 0
        self.nodes = 0
        self.nesting = 0
        self.variables: list[str] = []

    # -- small tools

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, sign: str) -> bool:
        if self.next.kind == "sign" and self.next.text == sign:
            self.at += 1
            return True
        return False

    def expect(self, sign: str) -> Token:
        if self.next.kind == "sign" and self.next.text == sign:
            return self.take()
        raise self.unexpected(f"`{sign}` is missing")

    def unexpected(self, why: str) -> ExpressionSyntaxError:
        token = self.next
        here = "the expression ends" if token.kind == "end" else f"`{token.text}` stands"
        return self.error(f"{why} where {here}{_advice(token)}", token.start)

    def error(self, message: str, position: int, allowed: tuple[str, ...] = ()) -> ExpressionSyntaxError:
        return ExpressionSyntaxError(self.text, position, message, allowed)

    def made(self, node: Node) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.error(f"the expression has more than {MAX_NODES} parts; {PLUGIN}", node.start)
        return node

    def deeper(self) -> None:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(f"the expression is nested more than {MAX_NESTING} deep", self.next.start)

    # -- the grammar, from the loosest operator to the tightest

    def whole(self) -> Node:
        node = self.expression()
        if self.next.kind != "end":
            raise self.unexpected("an operator is missing")
        return node

    def expression(self) -> Node:
        self.deeper()
        node = self.chain(("||",), lambda: self.chain(("&&",), lambda: self.chain(RELATIONS, self.addition)))
        if self.next.text == "?" and self.next.kind == "sign":
            start = self.take().start
            self.deeper()
            yes = self.chain(("||",), lambda: self.chain(("&&",), lambda: self.chain(RELATIONS, self.addition)))
            self.nesting -= 1
            self.expect(":")
            node = self.made(Choice(start, node, yes, self.expression()))
        self.nesting -= 1
        return node

    def addition(self) -> Node:
        return self.chain(("+", "-"), lambda: self.chain(("*", "/", "%"), self.unary))

    def chain(self, operators: tuple[str, ...], operand: Any) -> Node:
        node: Node = operand()
        while self.next.kind in ("sign", "name") and self.next.text in operators:
            token = self.take()
            node = self.made(Binary(token.start, token.text, node, operand()))
        return node

    def unary(self) -> Node:
        start, sign, count = self.next.start, self.next.text, 0
        if sign in ("!", "-") and self.next.kind == "sign":
            while self.accept(sign):
                count += 1
            if count > MAX_NESTING:
                raise self.error(f"the expression is nested more than {MAX_NESTING} deep", start)
            if sign == "-" and count == 1 and self.next.kind == "number":
                number = self.literal(start)
                if self.next.kind == "sign" and self.next.text in (".", "["):
                    raise self.error("put the negative number in parentheses", start)
                return number
            return self.made(Unary(start, sign, count, self.member(self.primary())))
        return self.member(self.primary())

    def member(self, node: Node) -> Node:
        outer = self.nesting
        while True:
            if self.accept("."):
                node = self.selection(node)
            elif self.next.text == "[" and self.next.kind == "sign":
                start = self.take().start
                index = self.expression()
                self.expect("]")
                node = self.made(Index(start, node, index))
            else:
                self.nesting = outer
                return node
            self.deeper()

    def selection(self, receiver: Node) -> Node:
        name = self.name("a name is missing after the dot")
        if not self.accept("("):
            return self.made(Select(name.start, receiver, name.text))
        if name.text in MACROS:
            return self.macro(name, receiver)
        if name.text == "has":
            raise self.has(name)
        return self.made(Call(name.start, name.text, receiver, self.items(")", trailing=False)))

    def macro(self, name: Token, receiver: Node) -> Node:
        if len(self.variables) >= MAX_MACROS:
            raise self.error(f"more than {MAX_MACROS} of {', '.join(sorted(MACROS))} within each other", name.start)
        variable = self.name(f"{name.text}() needs a name for the single value first")
        if variable.text in self.roots or variable.text in self.variables or variable.text.startswith("__"):
            raise self.error(f"`{variable.text}` cannot name the single value: it has a meaning already; take another name", variable.start)
        self.expect(",")
        self.variables.append(variable.text)
        arguments = [self.expression()]
        if name.text == "map" and self.accept(","):
            arguments.append(self.expression())
        self.variables.pop()
        self.expect(")")
        return self.made(Macro(name.start, name.text, receiver, variable.text, tuple(arguments)))

    def primary(self) -> Node:
        token = self.next
        if token.kind in ("number", "string"):
            return self.literal(token.start)
        if token.kind == "name":
            return self.named()
        if self.accept("("):
            node = self.expression()
            self.expect(")")
            return node
        if self.accept("["):
            return self.made(ListOf(token.start, self.items("]", trailing=True)))
        if self.accept("{"):
            return self.made(MapOf(token.start, self.pairs()))
        raise self.unexpected("a value is missing")

    def named(self) -> Node:
        token = self.take()
        if token.text in ("true", "false", "null"):
            value = {"true": True, "false": False, "null": None}[token.text]
            return self.made(Literal(token.start, token.start + len(token.text), value, True))
        if token.text in self.variables:
            return self.made(Variable(token.start, token.text))
        if self.next.text == "(" and self.next.kind == "sign":
            if token.text == "has":
                raise self.has(token)
            self.take()
            return self.made(Call(token.start, token.text, None, self.items(")", trailing=False)))
        if token.text in self.roots:
            return self.attribute(token)
        if token.text in KEYWORDS:
            self.at -= 1
            raise self.unexpected("a value is missing")
        known = tuple(sorted(self.roots))
        # `hr-file.mail` is a subtraction to the language.
        dashed = next((root for root in known if root.startswith(f"{token.text}_") and self.next.text == "-"), None)
        hint = f"; did you mean `{dashed}`?" if dashed else meant(token.text, known) or "; a text stands in quotes"
        raise self.error(f"`{token.text}` is not known here{hint}", token.start, tuple(f"{root}.ATTRIBUTE" for root in known))

    def attribute(self, root: Token) -> Node:
        if self.accept("."):
            name = self.name("the attribute's name is missing after the dot", attribute_of=root.text)
            end = name.start + len(name.text)
            if self.next.text == "(" and self.next.kind == "sign":
                raise self.error(f"name an attribute first: `{root.text}.ATTRIBUTE.{name.text}(...)`", root.start)
            return self.made(Attribute(root.start, end, self.roots[root.text], name.text))
        if self.accept("["):
            token = self.next
            node = self.literal(token.start) if token.kind == "string" else None
            if not isinstance(node, Literal) or not isinstance(node.value, str) or not node.value:
                raise self.error(f'the attribute\'s name stands here in quotes: `{root.text}["employee id"]`', token.start)
            end = self.expect("]").start + 1
            return self.made(Attribute(root.start, end, self.roots[root.text], node.value))
        raise self.error(f"`{root.text}` is a whole object; name an attribute: `{root.text}.ATTRIBUTE`", root.start)

    # -- parts

    def name(self, why: str, attribute_of: str | None = None) -> Token:
        token = self.next
        if token.kind == "name" and token.text not in KEYWORDS:
            return self.take()
        if attribute_of and token.kind == "name":
            raise self.error(f'`{token.text}` is a word of the language; write `{attribute_of}["{token.text}"]`', token.start)
        raise self.unexpected(why)

    def items(self, closing: str, *, trailing: bool) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.accept(closing):
            if found:
                self.expect(",")
                if trailing and self.accept(closing):
                    break
            found.append(self.expression())
        return tuple(found)

    def pairs(self) -> tuple[tuple[Node, Node], ...]:
        found: list[tuple[Node, Node]] = []
        while not self.accept("}"):
            if found:
                self.expect(",")
                if self.accept("}"):
                    break
            key = self.expression()
            self.expect(":")
            found.append((key, self.expression()))
        return tuple(found)

    def literal(self, start: int) -> Node:
        token = self.take()
        end = token.start + len(token.text)
        text = self.text[start:end]
        try:
            value = cel.compile(text).execute({})
        except (ValueError, OverflowError) as error:
            what = "number" if token.kind == "number" else "text"
            raise self.error(f"this {what} is not written as CEL wants it", start) from error
        return self.made(Literal(start, end, value, not isinstance(value, float) and not text.endswith(("u", "U"))))

    def has(self, token: Token) -> ExpressionSyntaxError:
        return self.error("has() is true for attributes that are empty; write `source.mail != null` instead", token.start)


def _advice(token: Token) -> str:
    wanted = _WORDS_OF_OTHER_LANGUAGES.get(token.text) if token.kind == "name" else None
    return f"; write `{wanted}`" if wanted else ""


_WORDS_OF_OTHER_LANGUAGES = {"and": "&&", "or": "||", "not": "!", "is": "=="}
