"""The part of the Dryad language that our modules and examples use: source text to a tree.

Not the language's own parser, but stricter where it is lenient: what passes here is plain Dryad. The
rules are those of its public interpreter: semicolons end statements, assignments are statements, a
string has the escapes \\n \\t \\r \\\\ \\" and no others.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

KEYWORDS = {
    *("async", "await", "break", "catch", "class", "const", "continue", "do", "else", "export", "extends", "finally"),
    *("for", "function", "if", "import", "in", "interface", "let", "match", "mutex", "private", "protected", "public"),
    *("return", "static", "super", "this", "thread", "throw", "try", "use", "while"),
}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}
# From the loosest to the tightest.
OPERATORS = [("||",), ("&&",), ("==", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "/", "%")]
TOKEN = re.compile(
    r"""
      (?P<space>\s+|//[^\n]*|/\*.*?\*/)
    | (?P<directive>\#<\w+>)
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<symbol>\+=|-=|==|!=|<=|>=|&&|\|\||[-+*/%<>!=(){}\[\];,:.])
    """,
    re.VERBOSE | re.DOTALL,
)


class DryadSyntaxError(Exception):
    """This is not Dryad."""


class Token(NamedTuple):
    kind: str
    text: str
    line: int


def tokens(source: str) -> list[Token]:
    found, position, line = [], 0, 1
    while position < len(source):
        match = TOKEN.match(source, position)
        if match is None or match.lastgroup is None:
            raise DryadSyntaxError(f"line {line}: {source[position : position + 20]!r}")
        if match.lastgroup != "space":
            kind = "keyword" if match.lastgroup == "word" and match[0] in KEYWORDS else match.lastgroup
            found.append(Token(kind, match[0], line))
        line += match[0].count("\n")
        position = match.end()
    return [*found, Token("end", "", line)]


def text_of(literal: str, line: int) -> str:
    def escape(match: re.Match[str]) -> str:
        if match[1] not in ESCAPES:
            raise DryadSyntaxError(f"line {line}: no escape \\{match[1]}")
        return ESCAPES[match[1]]

    return re.sub(r"\\(.)", escape, literal[1:-1], flags=re.DOTALL)


def parse(source: str) -> list[Any]:
    """The statements of a file; each is a tuple that begins with its kind."""
    parser = _Parser(tokens(source))
    statements = []
    while parser.next.kind != "end":
        statements.append(parser.statement(top=True))
    return statements


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.next
        self.position += 1
        return token

    def fault(self, wanted: str) -> DryadSyntaxError:
        return DryadSyntaxError(f"line {self.next.line}: {wanted} wanted, not {self.next.text!r}")

    def accept(self, *texts: str) -> bool:
        if self.next.kind in ("symbol", "keyword") and self.next.text in texts:
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.fault(repr(text))

    def name(self) -> str:
        if self.next.kind != "word":
            raise self.fault("a name")
        return self.take().text

    def word(self, text: str) -> None:
        if self.next[:2] != ("word", text):
            raise self.fault(text)
        self.take()

    # ---- statements

    def statement(self, top: bool = False) -> Any:
        if self.next.kind == "directive":
            return ("directive", self.take().text[2:-1])
        if self.next.kind == "keyword":
            method = getattr(self, f"{self.next.text}_statement", None)
            if method is None or (self.next.text in ("import", "export") and not top):
                raise self.fault("a statement")
            self.take()
            return method()
        if self.next.text == "{":
            return self.block()
        return self.simple_statement()

    def block(self) -> Any:
        self.expect("{")
        statements = []
        while not self.accept("}"):
            statements.append(self.statement())
        return ("block", statements)

    def simple_statement(self) -> Any:
        statement = self.assignment_or_expression()
        self.expect(";")
        return statement

    def assignment_or_expression(self) -> Any:
        target = self.expression()
        for operator in ("=", "+=", "-="):
            if self.accept(operator):
                if target[0] not in ("name", "index", "property"):
                    raise self.fault("something that can be assigned to")
                return ("assign", target, operator, self.expression())
        return target

    def let_statement(self, constant: bool = False) -> Any:
        name = self.name()
        value = ("literal", None)
        if constant or self.next.text == "=":
            self.expect("=")
            value = self.expression()
        self.expect(";")
        return ("let", name, value)

    def const_statement(self) -> Any:
        return self.let_statement(constant=True)

    def if_statement(self) -> Any:
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        then = self.block()
        otherwise = None
        if self.accept("else"):
            otherwise = self.if_statement() if self.accept("if") else self.block()
        return ("if", condition, then, otherwise)

    def while_statement(self) -> Any:
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        return ("while", condition, self.block())

    def for_statement(self) -> Any:
        self.expect("(")
        name = self.name()
        self.expect("in")
        values = self.expression()
        self.expect(")")
        return ("for", name, values, self.block())

    def try_statement(self) -> Any:
        body = self.block()
        self.expect("catch")
        self.expect("(")
        name = self.name()
        self.expect(")")
        return ("try", body, name, self.block())

    def throw_statement(self) -> Any:
        value = self.expression()
        self.expect(";")
        return ("throw", value)

    def return_statement(self) -> Any:
        value = ("literal", None) if self.next.text == ";" else self.expression()
        self.expect(";")
        return ("return", value)

    def break_statement(self) -> Any:
        self.expect(";")
        return ("break",)

    def continue_statement(self) -> Any:
        self.expect(";")
        return ("continue",)

    def function_statement(self) -> Any:
        name = self.name()
        self.expect("(")
        parameters = self.listed(")", self.name)
        return ("function", name, parameters, self.block())

    def export_statement(self) -> Any:
        self.expect("function")
        return ("export", self.function_statement())

    def import_statement(self) -> Any:
        self.expect("{")
        names = self.listed("}", self.name)
        self.word("from")
        if self.next.kind != "string":
            raise self.fault("a path")
        token = self.take()
        self.expect(";")
        return ("import", names, text_of(token.text, token.line))

    def listed(self, end: str, item: Any) -> list[Any]:
        found: list[Any] = []
        while not self.accept(end):
            if found:
                self.expect(",")
            found.append(item())
        return found

    # ---- expressions

    def expression(self, level: int = 0) -> Any:
        if level == len(OPERATORS):
            return self.unary()
        left = self.expression(level + 1)
        while self.next.kind == "symbol" and self.next.text in OPERATORS[level]:
            operator = self.take().text
            left = ("binary", operator, left, self.expression(level + 1))
        return left

    def unary(self) -> Any:
        if self.next.kind == "symbol" and self.next.text in ("-", "!"):
            operator = self.take().text
            return ("unary", operator, self.unary())
        return self.postfix()

    def postfix(self) -> Any:
        value = self.primary()
        while True:
            if self.accept("("):
                value = ("call", value, self.listed(")", self.expression))
            elif self.accept("["):
                value = ("index", value, self.expression())
                self.expect("]")
            elif self.accept("."):
                value = ("property", value, self.name())
            else:
                return value

    def primary(self) -> Any:
        token = self.take()
        if token.kind == "number":
            return ("literal", float(token.text))
        if token.kind == "string":
            return ("literal", text_of(token.text, token.line))
        if token.kind == "word":
            constants = {"true": True, "false": False, "null": None}
            return ("literal", constants[token.text]) if token.text in constants else ("name", token.text)
        if token.text == "(":
            value = self.expression()
            self.expect(")")
            return value
        if token.text == "[":
            return ("array", self.listed("]", self.expression))
        if token.text == "{":
            return ("object", self.listed("}", self.pair))
        self.position -= 1
        raise self.fault("an expression")

    def pair(self) -> Any:
        key = text_of(*self.take()[1:]) if self.next.kind == "string" else self.name()
        self.expect(":")
        return (key, self.expression())
