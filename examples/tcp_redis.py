"""A Redis client of a page: python tcp_redis.py HOST PORT COMMAND [ARGUMENT...]

Shows a protocol of lines and counted blocks (RESP): recv_until for the lines, recv_bytes_blocking for
the blocks, whose bytes may be anything.
"""

from __future__ import annotations

import sys
from typing import Any

import dryad_net as net

WAIT_MS = 5000


def command(connection: int, *words: str | bytes) -> Any:
    """Send one command and return its answer."""
    blocks = [word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words]
    message = b"*%d\r\n" % len(blocks) + b"".join(b"$%d\r\n%b\r\n" % (len(block), block) for block in blocks)
    net.native_tcp_send(connection, message)
    return answer(connection)


def answer(connection: int) -> Any:
    """Read one answer: str for a status, bytes for a value, int, None or list."""
    line = net.native_tcp_recv_until(connection, "\r\n")
    if line is None:
        raise SystemExit("the server has gone, or does not answer")
    kind, rest = line[0], line[1:-2]
    if kind == "-":
        raise SystemExit(rest)
    if kind == ":":
        return int(rest)
    if kind == "$":
        return None if rest == "-1" else block(connection, int(rest) + 2)[:-2]
    if kind == "*":
        return None if rest == "-1" else [answer(connection) for _ in range(int(rest))]
    return rest


def block(connection: int, size: int) -> bytes:
    """Read exactly so many bytes."""
    parts = bytearray()
    while len(parts) < size:
        part = net.native_tcp_recv_bytes_blocking(connection, size - len(parts), WAIT_MS)
        if part is None:
            raise SystemExit("the server has gone in the middle of an answer")
        parts += part
    return bytes(parts)


def main(host: str, port: str, *words: str) -> None:
    """Send the command and print the answer."""
    connection = net.native_tcp_connect(host, int(port))
    net.native_tcp_set_timeout(connection, WAIT_MS)
    print(command(connection, *words))
    net.native_tcp_close(connection)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
