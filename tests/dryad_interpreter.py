"""Runs Dryad scripts the way the language's own interpreter does, traps included.

    python dryad_interpreter.py FFI_PROGRAM SCRIPT

What matters for a library, and how it is here (the public interpreter, 2025): a function runs in the
scope of its caller, whose variables come back as they were when it returns; an import brings the names
it lists and no others; ``return``, ``break`` and ``continue`` are exceptions, which ``catch`` catches;
``return`` of an array or an object is refused here (there, it gives a string); ``&&`` and ``||``
evaluate both sides; numbers are floats; a native function comes before a script's of the same name.
The calls to C are made by tests/host/ffi_call.c, in a process of their own.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from dryad_syntax import parse

NATIVE = {
    "ffi": ("ffi_load_library", "ffi_call"),
    "encode_decode": ("native_json_encode", "native_json_decode"),
    "console_io": ("println",),
    "tcp": (),
    "udp": (),
    "websocket": (),
}


class ThrownError(Exception):
    """An exception of the script's: its message."""


class ReturnedError(ThrownError):
    def __init__(self, value: Any) -> None:
        super().__init__("RETURN")
        self.value = value


class BrokenError(ThrownError):
    pass


class ContinuedError(ThrownError):
    pass


class Ffi:
    """The interpreter's module of this name, in the process of tests/host/ffi_call.c."""

    def __init__(self, program: str, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, encoding="ascii"
        )
        self.libraries: set[str] = set()

    def ask(self, line: str) -> str:
        """Have it obey a line; returns the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"it ended ({self.process.wait()}) at: {line[:200]}"
        return answer.rstrip("\n")

    def load(self, path: str, alias: str) -> bool:
        if alias in self.libraries:
            raise ThrownError(f"the library {alias} is loaded already")
        answer = self.ask(f"load {path}")
        if answer != "ok":
            raise ThrownError(answer)
        self.libraries.add(alias)
        return True

    def call(self, alias: str, symbol: str, kind: str, *arguments: Any) -> Any:
        if alias not in self.libraries:
            raise ThrownError(f"the library {alias} is not loaded")
        given = " ".join(map(self._argument, arguments))
        answer = self.ask(f"call {symbol} {kind} {given}".rstrip())
        said, _, value = answer.partition(" ")
        if said == "error":
            raise ThrownError(value)
        return bytes.fromhex(value).decode("utf-8") if said == "string" else float(value) if value else None

    @staticmethod
    def _argument(value: Any) -> str:
        if value is None:
            return "z"
        if isinstance(value, bool):
            return f"b{value:d}"
        if isinstance(value, float):
            return f"n{value!r}"
        if not isinstance(value, str):
            raise ThrownError("a kind of argument that C cannot take")
        if "\0" in value:
            raise ThrownError("a string with NUL")
        return f"s{value.encode('utf-8').hex()}"


class Interpreter:
    def __init__(self, ffi: Ffi) -> None:
        self.ffi = ffi
        self.variables: dict[str, Any] = {}
        self.natives: dict[str, Any] = {}
        self.modules: dict[Path, dict[str, Any]] = {}
        self.file = Path()

    def run(self, path: Path) -> None:
        """Run a script to its end."""
        self.file = path
        for statement in parse(path.read_text(encoding="utf-8")):
            self.execute(statement)

    # ---- statements; each gives a value, and the last one of a function is the function's

    def execute(self, statement: Any) -> Any:
        method = getattr(self, f"do_{statement[0]}", None)
        return self.evaluate(statement) if method is None else method(*statement[1:])

    def do_directive(self, module: str) -> None:
        self.natives.update({name: getattr(self, f"native_{name.removeprefix('native_')}") for name in NATIVE[module]})

    def do_let(self, name: str, value: Any) -> None:
        self.variables[name] = self.evaluate(value)

    def do_assign(self, target: Any, operator: str, value: Any) -> None:
        new = self.evaluate(value) if operator == "=" else self.evaluate(("binary", operator[0], target, value))
        if target[0] == "name":
            if target[1] not in self.variables:
                raise ThrownError(f"the variable {target[1]} was not declared")
            self.variables[target[1]] = new
        else:
            holder = self.evaluate(target[1])
            key = target[2] if target[0] == "property" else self.evaluate(target[2])
            holder[int(key) if isinstance(holder, list) else str(key)] = new

    def do_block(self, statements: list[Any]) -> Any:
        before = dict(self.variables)
        declared = {statement[1] for statement in statements if statement[0] == "let"}
        value = None
        for statement in statements:
            value = self.execute(statement)
        for name in declared:
            self.variables.pop(name)
            if name in before:
                self.variables[name] = before[name]
        return value

    def do_if(self, condition: Any, then: Any, otherwise: Any) -> Any:
        if truth(self.evaluate(condition)):
            return self.execute(then)
        return None if otherwise is None else self.execute(otherwise)

    def do_while(self, condition: Any, body: Any) -> None:
        while truth(self.evaluate(condition)):
            try:
                self.execute(body)
            except ContinuedError:
                continue
            except BrokenError:
                break

    def do_for(self, name: str, values: Any, body: Any) -> None:
        for value in list(self.evaluate(values)):
            self.variables[name] = value
            try:
                self.execute(body)
            except ContinuedError:
                continue
            except BrokenError:
                break

    def do_try(self, body: Any, name: str, handler: Any) -> Any:
        try:
            return self.execute(body)
        except ThrownError as error:
            before = self.variables.get(name)
            self.variables[name] = str(error)
            value = self.execute(handler)
            self.variables[name] = before
            return value

    def do_throw(self, value: Any) -> None:
        raise ThrownError(show(self.evaluate(value)))

    def do_return(self, value: Any) -> None:
        result = self.evaluate(value)
        assert not isinstance(result, (list, dict)), "return of an array or an object gives a string"
        raise ReturnedError(result)

    def do_break(self) -> None:
        raise BrokenError("break")

    def do_continue(self) -> None:
        raise ContinuedError("continue")

    def do_function(self, name: str, parameters: list[str], body: Any) -> None:
        self.variables[name] = (parameters, body)

    def do_import(self, names: list[str], path: str) -> None:
        assert path.startswith(("./", "../", "@/")), path
        found = Path(path[2:]) if path.startswith("@/") else (self.file.parent / path)
        if found not in self.modules:
            self.modules[found] = self._exported(found)
        for name in names:
            if name not in self.modules[found]:
                raise ThrownError(f"{path} does not export {name}")
            self.variables[name] = self.modules[found][name]

    def _exported(self, path: Path) -> dict[str, Any]:
        before, file = dict(self.variables), self.file
        self.file = path
        exported = {}
        for statement in parse(path.read_text(encoding="utf-8")):
            if statement[0] == "export":
                self.execute(statement[1])
                exported[statement[1][1]] = self.variables[statement[1][1]]
            else:
                self.execute(statement)
        self.variables, self.file = before, file
        return exported

    # ---- expressions

    def evaluate(self, expression: Any) -> Any:
        return getattr(self, f"eval_{expression[0]}")(*expression[1:])

    def eval_literal(self, value: Any) -> Any:
        return value

    def eval_name(self, name: str) -> Any:
        if name not in self.variables:
            raise ThrownError(f"there is no variable {name}")
        return self.variables[name]

    def eval_array(self, items: list[Any]) -> list[Any]:
        return [self.evaluate(item) for item in items]

    def eval_object(self, pairs: list[Any]) -> dict[str, Any]:
        return {key: self.evaluate(value) for key, value in pairs}

    def eval_unary(self, operator: str, operand: Any) -> Any:
        value = self.evaluate(operand)
        return not truth(value) if operator == "!" else -number(value)

    def eval_binary(self, operator: str, left: Any, right: Any) -> Any:
        first, second = self.evaluate(left), self.evaluate(right)
        if operator in ("==", "!="):
            return (type(first) is type(second) and first == second) == (operator == "==")
        if operator in ("&&", "||"):
            truths = truth(first), truth(second)
            return all(truths) if operator == "&&" else any(truths)
        if operator == "+" and (isinstance(first, str) or isinstance(second, str)):
            return show(first) + show(second)
        return ARITHMETIC[operator](number(first), number(second))

    def eval_index(self, holder: Any, key: Any) -> Any:
        return self.found(self.evaluate(holder), self.evaluate(key))

    def eval_property(self, holder: Any, name: str) -> Any:
        return self.found(self.evaluate(holder), name)

    @staticmethod
    def found(holder: Any, key: Any) -> Any:
        try:
            return holder[int(key)] if isinstance(holder, list) else holder[key]
        except (LookupError, TypeError):
            raise ThrownError(f"there is no {key} in {show(holder)}") from None

    def eval_call(self, function: Any, arguments: list[Any]) -> Any:
        if function[0] == "property":
            return self.method(self.evaluate(function[1]), function[2], [self.evaluate(each) for each in arguments])
        assert function[0] == "name"
        values = [self.evaluate(each) for each in arguments]
        if function[1] in self.natives:
            return self.natives[function[1]](*values)
        if not isinstance(self.variables.get(function[1]), tuple):
            raise ThrownError(f"there is no function {function[1]}")
        parameters, body = self.variables[function[1]]
        return self.call_function(parameters, body, *values)

    @staticmethod
    def method(holder: Any, name: str, values: list[Any]) -> Any:
        if isinstance(holder, list) and name == "push":
            holder.extend(values)
            return float(len(holder))
        if isinstance(holder, list) and name == "length":
            return float(len(holder))
        raise ThrownError(f"there is no method {name}")

    def call_function(self, parameters: list[str], body: Any, *values: Any) -> Any:
        if len(values) != len(parameters):
            raise ThrownError(f"{len(parameters)} arguments wanted, not {len(values)}")
        before = dict(self.variables)
        self.variables.update(zip(parameters, values, strict=True))
        try:
            return self.execute(body)
        except ReturnedError as returned:
            return returned.value
        finally:
            self.variables = before

    # ---- native functions

    def native_ffi_load_library(self, path: str, alias: str) -> bool:
        return self.ffi.load(path, alias)

    def native_ffi_call(self, *arguments: Any) -> Any:
        return self.ffi.call(*arguments)

    def native_json_encode(self, value: Any) -> str:
        # As serde_json writes it: characters as they are.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def native_json_decode(self, text: str) -> Any:
        value = json.loads(text, parse_int=float)
        # A string of Rust's cannot hold a lone surrogate, and serde_json refuses one.
        assert not any("\ud800" <= character <= "\udfff" for character in json.dumps(value, ensure_ascii=False))
        return value

    def native_println(self, value: Any) -> None:
        print(show(value), flush=True)


ARITHMETIC = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": math.fmod,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}


def truth(value: Any) -> bool:
    return value not in (None, False, 0.0, "") or isinstance(value, (list, dict))


def number(value: Any) -> float:
    if not isinstance(value, float):
        raise ThrownError("only numbers can be calculated with")
    return value


def show(value: Any) -> str:
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


if __name__ == "__main__":
    Interpreter(Ffi(sys.argv[1])).run(Path(sys.argv[2]))
