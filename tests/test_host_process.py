"""libdryad_net in its process: threads, large messages, loading and unloading, fork, exit."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from host_support import ALIAS, SECONDS, Call, Host, environment, library
from support import SOON, plain_listener, read_exactly, read_to_end, wait_until

pytest_plugins = ["host_fixtures"]

LARGE = 16 * 1024 * 1024


def hexadecimal(text: str) -> str:
    return f"s{text.encode().hex()}"


# ---- threads


def test_many_threads_call_at_once(host: Host) -> None:
    client, _ = host.tcp_pair()
    assert host.ask(f"threads 16 300 dryad_net_tcp_is_connected i32 n{client}") == "failures 0"
    arguments = f"{hexadecimal('native_tcp_get_local_addr')} {hexadecimal(f'[{client}]')}"
    assert host.ask(f"threads 16 50 dryad_net_call string {arguments}") == "failures 0"
    # Threads that have ended leave nothing behind that new ones could stumble over.
    for _ in range(20):
        assert host.ask(f"threads 32 1 dryad_net_tcp_is_connected i32 n{client}") == "failures 0"


def test_threads_that_are_the_first_to_call(start_host: Call) -> None:
    host = start_host()
    arguments = f"{hexadecimal('native_udp_socket')} {hexadecimal('[]')}"
    assert host.ask(f"threads 16 1 dryad_net_call string {arguments}") == "failures 0"
    assert host.native("native_udp_socket") == 17


def test_errors_belong_to_the_thread(host: Host) -> None:
    assert host.typed_failure("dryad_net_tcp_recv_all", "string", 99).startswith("E3029 ")
    assert host.ask("threads 4 10 dryad_net_tcp_recv_all string n98") == "failures 0"
    assert host.c("dryad_net_error", "string").startswith("E3029 native_tcp_recv_all: 99: ")


def test_a_call_that_waits_holds_up_nobody_and_ends_with_its_id(host: Host) -> None:
    client, accepted = host.tcp_pair()
    assert host.ask(f"start dryad_net_tcp_recv_blocking string n{accepted} n10 n1e300") == "ok"
    assert host.typed("dryad_net_tcp_send", "i64", client, "x") == 1
    # The other thread has it, or we do.
    wait_until(lambda: host.typed("dryad_net_tcp_recv", "string", accepted, 10) in (None, "x"))
    host.native("native_tcp_close", accepted)
    host.end()


# ---- size


def test_a_large_message_over_websocket(host: Host) -> None:
    client, accepted = host.ws_pair()
    message = "0123456789abcdef" * (LARGE // 16)
    assert host.typed("dryad_net_ws_send", "i32", client, message) == 0
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 30_000) == message
    assert host.c("dryad_net_length", "i64") == LARGE
    # Through JSON, as bytes: an array of numbers.
    host.native("native_ws_send_binary", client, [7] * 1_000_000)
    assert host.native("native_ws_recv_binary_blocking", accepted, 30_000) == [7] * 1_000_000


def test_large_data_over_tcp(host: Host) -> None:
    data = "0123456789abcdef" * (LARGE // 16)
    with plain_listener() as listening:
        client = host.native("native_tcp_connect", "127.0.0.1", listening.getsockname()[1])
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(SECONDS)
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(read_exactly(raw, LARGE)))
        reader.start()
        assert host.native("native_tcp_send", client, data) == LARGE
        reader.join(SECONDS)
        assert received == [data.encode()]
        sender = threading.Thread(target=raw.sendall, args=(data.encode() + b"\n",))
        sender.start()
        assert host.typed("dryad_net_tcp_recv_until", "string", client, "\n") == data + "\n"
        sender.join(SECONDS)


# ---- loading


def test_loading_twice_is_loading_once(host: Host) -> None:
    udp = host.native("native_udp_socket")
    assert host.ask(f"load {library()}") == "ok"
    assert host.native("native_udp_socket") == udp + 1


def test_a_second_copy_uses_the_python_that_runs(host: Host, tmp_path: Path) -> None:
    udp = host.native("native_udp_socket")
    copy = tmp_path / "copy.so"
    shutil.copy(library(), copy)
    assert host.ask(f"load {copy}") == "ok"
    assert host.native("native_udp_socket") == udp + 1
    host.end()


def test_unloading(host: Host) -> None:
    client, accepted = host.ws_pair()
    assert host.ask("threads 4 10 dryad_net_ws_is_connected i32 n1") == "failures 40"
    assert host.ask("unload") == "ok"
    host.libraries.clear()
    # The library stays, since its thread, its handlers and Python do; opened again it goes on.
    host.load(str(library()), ALIAS)
    host.typed("dryad_net_ws_send", "i32", client, "still there")
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 5000) == "still there"
    assert host.ask("unload") == "ok"
    host.end()


def test_unloading_without_a_call(start_host: Call) -> None:
    host = start_host()
    assert host.ask("unload") == "ok"
    host.end()


# ---- fork


def test_a_child_of_fork_starts_empty_and_works(host: Host) -> None:
    client, accepted = host.ws_pair()
    arguments = f"{hexadecimal('native_tcp_listen')} {hexadecimal('[0]')}"
    answer = host.ask(f"fork call dryad_net_call string {arguments}")
    assert bytes.fromhex(answer.removeprefix("string ")).startswith(b'{"ok":true,"value":')
    assert host.process.stdout is not None
    assert host.process.stdout.readline() == "forked 0\n"
    assert host.ask(f"fork call dryad_net_tcp_recv_all string n{client}") == "string "
    assert host.process.stdout.readline() == "forked 0\n"
    # The parent's connections are undisturbed by the child's end.
    host.typed("dryad_net_ws_send", "i32", client, "here")
    assert host.typed("dryad_net_ws_recv_blocking", "string", accepted, 5000) == "here"
    host.end()


def test_a_fork_while_other_threads_wait(host: Host) -> None:
    client, accepted = host.tcp_pair()
    host.ask(f"start dryad_net_tcp_recv_blocking string n{accepted} n10 n60000")
    for _ in range(5):
        assert host.ask(f"fork threads 4 5 dryad_net_tcp_recv_all string n{client}") == "failures 0"
        assert host.process.stdout is not None
        assert host.process.stdout.readline() == "forked 0\n"
    host.end()


def test_a_child_lets_go_of_the_parent_s_connections(host: Host) -> None:
    with plain_listener() as listening:
        client = host.native("native_tcp_connect", "127.0.0.1", listening.getsockname()[1])
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(SOON)
        # In the child a thread waits for a minute; the parent closes, and the peer sees it at once.
        host.ask("fork exit 0")
        host.native("native_tcp_close", client)
        assert raw.recv(1) == b""


# ---- exit


@pytest.mark.parametrize("status", [0, 3])
def test_exit_with_open_connections(host: Host, status: int) -> None:
    client, accepted = host.tcp_pair()
    host.ws_pair()
    host.native("native_udp_socket")
    host.ask(f"start dryad_net_tcp_recv_blocking string n{accepted} n10 n60000")
    host.ask(f"start dryad_net_tcp_recv_until string n{client} {hexadecimal('never')}")
    host.end(status)


def test_what_was_closed_is_delivered_at_exit(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SOON)
        client = host.native("native_tcp_connect", "127.0.0.1", listening.getsockname()[1])
        host.native("native_tcp_set_timeout", client, 0)
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(SOON)
        sent = host.native("native_tcp_send", client, "x" * 100_000)
        host.native("native_tcp_close", client)
        host.end()
        assert read_to_end(raw) == b"x" * sent


def test_a_peer_that_has_gone_is_an_error_and_not_a_signal(host: Host) -> None:
    # The C program has not switched SIGPIPE off, which Python would have done at its start.
    with plain_listener() as listening:
        client = host.native("native_tcp_connect", "127.0.0.1", listening.getsockname()[1])
        listening.accept()[0].close()
    wait_until(lambda: not host.envelope("native_tcp_send", [client, "x"])["ok"])
    assert host.failure("native_tcp_send", client, "x")
    host.end()


# ---- in a process that is Python


def test_in_a_python_process_it_uses_that_python() -> None:
    script = f"""
import ctypes, json, threading
import dryad_net as net
library = ctypes.CDLL({str(library())!r})
library.dryad_net_call.restype = ctypes.c_char_p
server = net.native_tcp_bind("127.0.0.1", 0)
answer = json.loads(library.dryad_net_call(b"native_tcp_get_local_addr", b"[%d]" % server))
assert answer["value"] == net.native_tcp_get_local_addr(server), answer
thread = threading.Thread(target=lambda: print(library.dryad_net_call(b"native_tcp_close", b"[999]")))
thread.start()
thread.join()
"""
    result = subprocess.run(
        [sys.executable, "-I", "-c", script],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=SECONDS,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "E3029 native_tcp_close: 999: " in result.stdout
