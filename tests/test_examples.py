"""The examples, each in a process of its own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading

import pytest
from command_support import ROOT, SECONDS, Program, connected, run, start
from support import SOON, plain_listener, read_exactly, read_to_end
from ws_support import SOON_MS, accept_of, ws_port

import dryad_net as net

pytest_plugins = ["command_fixtures"]

EXAMPLES = ROOT / "examples"


def example(programs: list[Program], name: str, *arguments: str) -> Program:
    return start(programs, *arguments, command=(sys.executable, "-I", str(EXAMPLES / name)))


def plain(port: int | str) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", int(port)), SOON)
    raw.settimeout(SOON)
    return raw


@pytest.mark.parametrize("name", ["discovery.py", "tcp_redis.py", "ws_client.py"])
def test_usage(name: str) -> None:
    result = run(command=(sys.executable, "-I", str(EXAMPLES / name)))
    assert result.returncode == 1
    assert f"python {name} " in result.stderr


# ---- tcp_chat.py


def test_tcp_chat(programs: list[Program]) -> None:
    server = example(programs, "tcp_chat.py")
    port = server.wait_for(rb"chat on port (\d+)\n").group(1).decode()
    first = connected(programs, "tcp", "127.0.0.1", port)
    first.wait_for(rb"^\d+ has come\n$")
    second = connected(programs, "tcp", "127.0.0.1", port)
    first.wait_for(rb"(\d+ has come\n){2}$")
    second.type(b"hel")
    second.type(b"lo\n")
    first.wait_for(rb"\n\d+: hello\n$")
    assert second.interrupt() == 0
    first.wait_for(rb"\n\d+ has gone\n$")
    assert server.interrupt() == 0
    assert server.errors == b""


def test_tcp_chat_and_a_line_without_end(programs: list[Program]) -> None:
    server = example(programs, "tcp_chat.py")
    port = server.wait_for(rb"chat on port (\d+)\n").group(1).decode()
    staying = connected(programs, "tcp", "127.0.0.1", port)
    staying.wait_for(rb"^\d+ has come\n$")
    with plain(port) as raw:
        raw.sendall(b"x" * 20_000)
        staying.wait_for(rb"\n\d+ has gone\n$")
        assert b"xxx" not in read_to_end(raw)


# ---- ws_chat.py


def test_ws_chat(programs: list[Program]) -> None:
    server = example(programs, "ws_chat.py")
    site = server.wait_for(rb"chat on (http://127\.0\.0\.1:(\d+))/\n")
    with plain(site.group(2).decode()) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: ")
        raw.sendall(b"127.0.0.1\r\n\r\n")
        head, _, page = read_to_end(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d\r\n" % len(page) in head
    port = re.search(rb"`ws://\$\{location\.hostname\}:(\d+)/`", page)
    assert port is not None
    url = f"ws://127.0.0.1:{int(port[1])}/"

    def enter(origin: str) -> int:
        client = net.native_ws_connect(url)
        net.native_ws_set_headers(client, {"Origin": origin})
        return client

    stranger = enter("http://example.com")
    with pytest.raises(net.NetworkError, match="403"):
        net.native_ws_send(stranger, "let me in")
    first = enter(site.group(1).decode())
    assert re.fullmatch(r"\d+ has come", net.native_ws_recv_blocking(first, SOON_MS))
    second = enter(site.group(1).decode().replace("127.0.0.1", "localhost"))
    net.native_ws_send(second, "hello")
    for client in (first, second):
        assert re.fullmatch(r"\d+ has come", net.native_ws_recv_blocking(client, SOON_MS))
        assert re.fullmatch(r"\d+: hello", net.native_ws_recv_blocking(client, SOON_MS))
    net.native_ws_send_binary(second, b"no text")
    assert re.fullmatch(r"\d+ has gone", net.native_ws_recv_blocking(first, SOON_MS))
    assert net.native_ws_recv_blocking(second, SOON_MS) is None
    assert net.native_ws_client_info(second)["close_code"] == 1003
    assert server.interrupt() == 0
    assert server.errors == b""
    assert net.native_ws_recv_blocking(first, SOON_MS) is None
    assert net.native_ws_client_info(first)["close_code"] == 1001


def test_ws_chat_and_browsers_that_break_off(programs: list[Program]) -> None:
    server = example(programs, "ws_chat.py")
    port = server.wait_for(rb":(\d+)/\n").group(1).decode()
    plain(port).close()
    with plain(port) as raw:
        raw.sendall(b"x" * 10_000)  # no request, and too long for one
        with plain(port) as other:
            other.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert read_to_end(other).endswith(b"</script>\n")
    assert server.interrupt() == 0
    assert server.errors == b""


# ---- ws_client.py


def test_ws_client_comes_again(programs: list[Program], ws_server: int) -> None:
    port = ws_port(ws_server)
    client = example(programs, "ws_client.py", f"ws://127.0.0.1:{port}/news", "what is new?")
    accepted = accept_of(ws_server)
    assert net.native_ws_recv_blocking(accepted, SOON_MS) == "what is new?"
    net.native_ws_send(accepted, "this")
    client.wait_for(rb"^connected\nthis\n")
    net.native_ws_close_with(accepted, 1001, "")
    accepted = accept_of(ws_server)
    client.wait_for(rb"\nclosed \(1001\)\nconnected\n$")
    assert net.native_ws_recv_blocking(accepted, SOON_MS) == "what is new?"
    # Nobody is there for a while.
    net.native_ws_stop_server(ws_server)
    client.wait_for(rb"\nE5006 native_ws_connect: .*refused.*\n")
    ws_server = net.native_ws_listen(port)
    accepted = accept_of(ws_server)
    assert net.native_ws_recv_blocking(accepted, SOON_MS) == "what is new?"
    assert client.interrupt() == 0
    assert net.native_ws_recv_blocking(accepted, SOON_MS) is None
    assert net.native_ws_client_info(accepted)["close_code"] == 1000
    assert client.errors == b""


def test_ws_client_takes_no_for_an_answer(programs: list[Program], ws_server: int) -> None:
    client = example(programs, "ws_client.py", f"ws://127.0.0.1:{ws_port(ws_server)}/")
    net.native_ws_kick_client(accept_of(ws_server))
    assert client.end() == 1
    assert client.output.endswith(b"closed (1008)\n")
    assert client.errors == b"the server does not want us\n"


def test_ws_client_says_why_it_was_refused(programs: list[Program]) -> None:
    with plain_listener() as listening:
        client = example(programs, "ws_client.py", f"ws://127.0.0.1:{listening.getsockname()[1]}/")
        for _ in range(2):
            raw = listening.accept()[0]
            with raw:
                raw.settimeout(SOON)
                raw.recv(65536)
                raw.sendall(b"HTTP/1.1 503 Come later\r\nContent-Length: 0\r\n\r\n")
        client.wait_for(rb"(^|\n)E5006 native_ws_ping: \d+: .*503")
    assert client.interrupt() == 0


# ---- one_loop.py


def test_one_loop(programs: list[Program]) -> None:
    server = example(programs, "one_loop.py")
    found = server.wait_for(rb"^tcp port (\d+), udp port (\d+), ws port (\d+)\n")
    tcp_port, udp_port, port = (int(number) for number in found.groups())
    reader = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
    net.native_ws_send(reader, "is anybody there?")
    # From here on the server has accepted it: before, it would not be among those who hear.
    assert net.native_ws_recv_blocking(reader, SOON_MS) == "is anybody there?"
    with plain(tcp_port) as raw, socket.socket(type=socket.SOCK_DGRAM) as udp:

        def everybody_hears(said: str) -> None:
            assert net.native_ws_recv_blocking(reader, SOON_MS) == said
            line = f"{said}\n".encode()
            assert read_exactly(raw, len(line)) == line

        raw.sendall(b"by TCP\nand ")
        everybody_hears("by TCP")
        net.native_ws_send(reader, "by WebSocket")
        everybody_hears("by WebSocket")
        udp.sendto("über UDP".encode(), ("127.0.0.1", udp_port))
        everybody_hears("über UDP")
        raw.sendall(b"on\n")
        everybody_hears("and on")
        udp.sendto(b"\xff", ("127.0.0.1", udp_port))
        assert net.native_ws_recv_blocking(reader, SOON_MS) == "\N{REPLACEMENT CHARACTER}"
        assert read_exactly(raw, 2) == b"\xff\n"
        binary = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
        net.native_ws_send_binary(binary, b"no text")
        assert net.native_ws_recv_blocking(binary, SOON_MS) is None
        assert net.native_ws_client_info(binary)["close_code"] == 1003
        assert server.interrupt() == 0
        assert read_to_end(raw) == b""
    assert net.native_ws_recv_blocking(reader, SOON_MS) is None
    assert server.errors == b""


# ---- tcp_redis.py


def test_tcp_redis() -> None:
    with plain_listener() as listening:
        listening.settimeout(SECONDS)
        result: list[subprocess.CompletedProcess[str]] = []
        port = str(listening.getsockname()[1])
        path = str(EXAMPLES / "tcp_redis.py")

        def ask() -> None:
            result.append(run("127.0.0.1", port, "LRANGE", "list", command=(sys.executable, "-I", path)))

        asking = threading.Thread(target=ask)
        asking.start()
        raw = listening.accept()[0]
        with raw:
            raw.settimeout(SECONDS)
            request = b"*2\r\n$6\r\nLRANGE\r\n$4\r\nlist\r\n"
            assert read_exactly(raw, len(request)) == request
            raw.sendall(b"*3\r\n$5\r\n\xff\r\n\r")
            raw.sendall(b"\n\r\n:7\r\n$-1\r\n")
            asking.join(SECONDS)
    assert (result[0].returncode, result[0].stderr) == (0, "")
    assert result[0].stdout == "[b'\\xff\\r\\n\\r\\n', 7, None]\n"
