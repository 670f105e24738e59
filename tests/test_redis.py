"""A real peer: redis-server, spoken to over RESP (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import SOON, free_ports

import dryad_net as net

SERVER = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

Reply = str | bytes | int | list["Reply"] | None


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of its own, on loopback, that keeps nothing; ended by its process."""
    folder: Path = tmp_path_factory.mktemp("redis")
    (number,) = free_ports(1)
    command = [SERVER, "--port", str(number), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", str(folder / "log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", number), 1).close()
                break
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield number
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def redis(port: int) -> int:
    """A connection to an empty database."""
    identifier = net.native_tcp_connect("127.0.0.1", port)
    net.native_tcp_set_timeout(identifier, int(SOON * 1000))
    assert command(identifier, "FLUSHALL") == "OK"
    return identifier


def encoded(*words: str | bytes | int) -> bytes:
    """A command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


def reply(identifier: int) -> Reply:
    """Read one reply."""
    line = net.native_tcp_recv_until(identifier, "\r\n")
    assert line is not None
    kind, rest = line[0], line[1:-2]
    if kind == "+":
        return rest
    if kind == "-":
        return f"error: {rest}"
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else exactly(identifier, int(rest) + 2)[:-2]
    assert kind == "*"
    return [reply(identifier) for _ in range(int(rest))]


def exactly(identifier: int, size: int) -> bytes:
    parts = []
    while size:
        part = net.native_tcp_recv_bytes_blocking(identifier, size, int(SOON * 1000))
        assert part
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def command(identifier: int, *words: str | bytes | int) -> Reply:
    data = encoded(*words)
    assert net.native_tcp_send(identifier, data) == len(data)
    return reply(identifier)


def test_inline_commands(redis: int) -> None:
    net.native_tcp_send(redis, "PING\r\n")
    assert net.native_tcp_recv_until(redis, "\r\n") == "+PONG\r\n"
    net.native_tcp_send(redis, "SET greeting olá\r\nGET greeting\r\n")
    assert reply(redis) == "OK"
    assert net.native_tcp_recv_until(redis, "\r\n") == "$4\r\n"
    assert net.native_tcp_recv_until(redis, "\r\n") == "olá\r\n"


def test_every_kind_of_reply(redis: int) -> None:
    assert command(redis, "SET", "key", "value") == "OK"
    assert command(redis, "GET", "key") == b"value"
    assert command(redis, "GET", "none") is None
    assert command(redis, "INCRBY", "count", 41) == 41
    assert command(redis, "RPUSH", "list", "a", "b", "c") == 3
    assert command(redis, "LRANGE", "list", 0, -1) == [b"a", b"b", b"c"]
    assert str(command(redis, "NO-SUCH-COMMAND")).startswith("error: ERR")


def test_binary_values(redis: int) -> None:
    random.seed(1)
    for value in (b"", b"\r\n", bytes(range(256)), b"\r\n$-1\r\n", random.randbytes(300_000)):
        assert command(redis, "SET", b"bin\0ary", value) == "OK"
        assert command(redis, "GET", b"bin\0ary") == value


def test_a_command_as_an_array_of_numbers(redis: int) -> None:
    """As Dryad sends bytes: a list of floats."""
    assert net.native_tcp_send(redis, [float(byte) for byte in encoded("SET", "key", bytes(range(256)))]) > 256
    assert reply(redis) == "OK"
    assert command(redis, "GET", "key") == bytes(range(256))


def test_binary_values_as_text(redis: int) -> None:
    value = bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"")
    command(redis, "SET", "key", value)
    net.native_tcp_send(redis, encoded("GET", "key"))
    assert net.native_tcp_recv_until(redis, "\r\n") == f"${len(value)}\r\n"
    text = net.native_tcp_recv_until(redis, "\r\n")
    assert text.encode("utf-8", "surrogateescape") == value + b"\r\n"
    net.native_tcp_send(redis, f"*2\r\n$4\r\nECHO\r\n${len(value)}\r\n" + text)  # and back again as the same bytes
    assert reply(redis) == value


def test_pipelining(redis: int) -> None:
    count = 5000
    net.native_tcp_send(redis, b"".join(encoded("SET", f"key:{i}", f"value {i}") for i in range(count)))
    assert [reply(redis) for _ in range(count)] == ["OK"] * count
    net.native_tcp_send(redis, b"".join(encoded("GET", f"key:{i}") for i in range(count)))
    assert [reply(redis) for _ in range(count)] == [f"value {i}".encode() for i in range(count)]


def test_waiting_for_what_another_connection_does(redis: int, port: int) -> None:
    other = net.native_tcp_connect("127.0.0.1", port)
    net.native_tcp_send(other, encoded("BLPOP", "queue", 0))
    assert net.native_tcp_recv_blocking(other, 100, 50) is None
    assert command(redis, "RPUSH", "queue", "job") == 1
    assert reply(other) == [b"queue", b"job"]


def test_publish_and_subscribe(redis: int, port: int) -> None:
    subscriber = net.native_tcp_connect("127.0.0.1", port)
    assert command(subscriber, "SUBSCRIBE", "news") == [b"subscribe", b"news", 1]
    for number in range(100):
        assert command(redis, "PUBLISH", "news", f"number {number}") == 1
    for number in range(100):
        assert reply(subscriber) == [b"message", b"news", f"number {number}".encode()]


def test_the_server_ends_the_connection(redis: int) -> None:
    assert command(redis, "QUIT") == "OK"
    assert net.native_tcp_recv_blocking(redis, 10, -1) is None
    assert not net.native_tcp_is_connected(redis)
