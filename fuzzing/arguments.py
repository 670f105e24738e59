"""What the native functions are called with: mostly what fits, sometimes anything.

Nothing here leaves the machine or waits: hosts are this one, ports are those of the case's own
servers or none at all, and the longest timeout is a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from source import Source

if TYPE_CHECKING:
    from world import World

# No number that could be a port, and none that could be a timeout.
ANYTHING = (
    *(None, True, False, -2, 0.5, math.nan, math.inf, 10**30, "", "\ud800", "\udcff", "\0", b"", b"x"),
    *([], [0, 255], [256], ["x"], {}, {"x": "y"}, {5: 5}, (), object(), memoryview(b"abcdef")[::2], 1j),
)
HOSTS = ("127.0.0.1", "::1", "localhost", "::ffff:127.0.0.1", "a\0b", "\udc80")
ADDRESSES = ("127.0.0.1", "::1", "::", "0.0.0.0", "::ffff:127.0.0.1", "203.0.113.5", "127.0.0.1 ", "1", "fe80::1%lo")
# That all hosts of the link listen to, and that stays on this one: joining announces nothing.
GROUPS = ("224.0.0.1", "ff01::1", "127.0.0.1", "::1", "ff01::1%lo", "239")
SIZES = (1, 2, 3, 4, 7, 100, 4096, 65_536, 2**31, 2**53, 2.0, 0, -1)
HEADERS = ({}, {"X-A": "b"}, {"Host": "a.example"}, {"Cookie": "a=b"}, {"Upgrade": "x"}, {"A": "b\r\nC: d"}, {"é": "x"})
PROTOCOLS = ("chat", "a, b", "a,a", "", "é", ",")
ORIGINS = (["https://a.example"], ["null"], [], ["https://a.example/"], ["http://[::1]:80"], ["http://a%\udcff"])
OPTIONS = ({}, {"verify": False}, {"ca_file": "/nonexistent"}, {"cert_file": __file__}, {"key_file": "x"}, {"a": 1})
CODES = (1000, 1001, 1004, 1005, 1006, 1011, 1015, 2999, 3000, 4999, 5000)


def argument(source: Source, world: World, parameter: str) -> Any:
    """An argument for a parameter of this name."""
    if source.number(0, 15) == 15:
        value = source.pick(ANYTHING)
        # null is no limit; data that is not there is no argument of a broadcast.
        return "" if value is None and parameter in ("timeout_ms", "ms") else value
    return _MAKERS[parameter](source, world)


def _identifier(source: Source, world: World) -> Any:
    if source.number(0, 31) == 31:
        return source.pick((0, -1, 10**9, 10**20))
    identifier = source.pick(world.identifiers)
    return float(identifier) if source.number(0, 15) == 15 else identifier


def _identifiers(source: Source, world: World) -> Any:
    return [_identifier(source, world) for _ in range(source.number(0, 5))]


def _port(source: Source, world: World) -> Any:
    return source.pick((0, 0.0, -1, 65536, *world.ports()))


def _data(source: Source, world: World) -> Any:
    chunk = source.chunk(40) * (2000 if source.number(0, 31) == 31 else 1)
    form: Callable[[bytes], Any] = source.pick((bytes, bytearray, list, memoryview, _text))
    return form(chunk)


def _text(chunk: bytes) -> str:
    return chunk.decode("utf-8", "surrogateescape")


def _url(source: Source, world: World) -> Any:
    port = source.pick((0, 65536, *world.ports()))
    scheme = source.pick(("ws", "ws", "ws", "wss", "http"))
    host = source.pick(("127.0.0.1", "[::1]", "user:geheim@127.0.0.1", ""))
    return f"{scheme}://{host}:{port}/{source.text(30)}"


def _one_of(*values: Any) -> Callable[[Source, World], Any]:
    return lambda source, world: source.pick(values)


_MAKERS: dict[str, Callable[[Source, World], Any]] = {
    **dict.fromkeys(("socket_id", "server_id", "client_id", "except_id"), _identifier),
    "ids": _identifiers,
    "port": _port,
    "host": _one_of(*HOSTS),
    "ip": _one_of(*ADDRESSES),
    "group_ip": _one_of(*GROUPS),
    **dict.fromkeys(("data", "message"), _data),
    "delimiter": _one_of("\n", "\r\n", "é", "a", "aa", "\udcff", ""),
    **dict.fromkeys(("size", "max_size"), _one_of(*SIZES)),
    **dict.fromkeys(("timeout_ms", "ms"), _one_of(0, 1, 0.0, -2, "1")),
    "enable": _one_of(True, False, 1),
    # Smaller ones would have a connect of the case's own wait for a place.
    "backlog": _one_of(1000, 4096.0, 0, -1),
    "timeout": _one_of(0, 1, -1, 2**31),
    "ttl": _one_of(0, 255.0, 256, -1),
    "url": _url,
    "headers": _one_of(*HEADERS),
    "protocol": _one_of(*PROTOCOLS),
    "origins": _one_of(*ORIGINS),
    "options": _one_of(*OPTIONS),
    **dict.fromkeys(("cert_file", "key_file"), _one_of("/nonexistent", __file__, "a\0b", "/")),
    "code": _one_of(*CODES),
    "reason": _one_of("", "bye", "x" * 123, "x" * 124, "é" * 62),
}
