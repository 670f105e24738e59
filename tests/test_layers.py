"""Imports inside dryad_net run one way: a module uses only what stands before it in this list."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dryad_net"

# A new module belongs somewhere in here; a package stands for all its modules.
ORDER = [
    *["version", "errors", "close_codes", "threads", "table", "addresses", "log", "options", "checks"],
    *["url", "http_headers", "redaction", "deflate", "handshake_settings", "handshake_client", "handshake_server"],
    *["handshake"],
    *["tls", "_pure.scan", "_pure.text", "_pure.buffer", "_pure.mask", "_pure.frame", "_pure.message", "_pure.sock"],
    *["_pure.poll", "_pure.reader", "_pure.receiver", "_pure.stream", "_pure.datagram"],
    *["_pure.transmit", "_pure.framed", "_pure.source", "_pure.inbound", "_pure.websocket", "_pure.waiter"],
    *["_pure.waiting", "_pure.call", "_backend", "connect", "service", "stream", "datagram", "listener"],
    *["opening", "websocket", "websocket_server", "registry"],
    *[
        "native.ws_kinds",
        "native.tcp",
        "native.tcp_settings",
        "native.udp",
        "native.ws",
        "native.ws_extensions",
        "native.net",
    ],
    *["__init__", "host", "command", "__main__"],
]
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if not (path.name == "__init__.py" and path.parent != PACKAGE)
}
# What the byte-level core may know of the layers above it: how errors are called, the kinds of arguments, and locks.
CORE_MAY_USE = {"errors", "checks", "close_codes", "threads"}


def position(module: str) -> int:
    """Where a module stands in the list."""
    for name in (module, module.partition(".")[0]):
        if name in ORDER:
            return ORDER.index(name)
    pytest.fail(f"{module} has no place in the list of layers")


def statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """All import statements but those for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                yield from statements(other)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        else:
            yield from statements(node)


def imported(module: str) -> Iterator[str]:
    """The modules of the package that a module imports."""
    package = module.split(".")[:-1]
    for statement in statements(ast.parse(MODULES[module].read_text())):
        if isinstance(statement, ast.Import):
            names = [alias.name for alias in statement.names]
            yield from ("__init__" for name in names if name.split(".")[0] == "dryad_net")
        elif isinstance(statement, ast.ImportFrom):
            if not statement.level:
                if (statement.module or "").split(".")[0] == "dryad_net":
                    yield "__init__"
                continue
            base = package[: len(package) - statement.level + 1]
            if statement.module:
                yield ".".join([*base, *statement.module.split(".")])
            else:
                for alias in statement.names:
                    name = ".".join([*base, alias.name])
                    yield name if name in MODULES or name in ORDER else "__init__"


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module: str) -> None:
    for other in imported(module):
        same_package = "." in module and not module.startswith("_pure") and module.split(".")[0] == other.split(".")[0]
        assert same_package or position(other) < position(module), f"{module} imports {other}"


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("_pure.")])
def test_the_pure_core_knows_nothing_of_the_layers_above(module: str) -> None:
    assert {other for other in imported(module) if not other.startswith("_pure.")} <= CORE_MAY_USE


@pytest.mark.parametrize("path", sorted((ROOT / "src_pyx").glob("*.p*")), ids=lambda path: path.name)
def test_the_compiled_core_knows_nothing_of_the_layers_above(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"^from \.\.(\w+) c?import", text, re.MULTILINE)) <= CORE_MAY_USE
    assert not re.findall(r"^(?:from|import|cimport) dryad_net", text, re.MULTILINE)


def test_the_native_functions_are_above_everything_they_use() -> None:
    assert {"stream", "listener", "registry"} <= set(imported("native.tcp"))
    assert "native.tcp" in set(imported("__init__"))
