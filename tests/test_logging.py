"""What is logged: a connection's life, who was dropped and why; and what never is."""

from __future__ import annotations

import collections
import itertools
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Dial
from docs_support import DOCS, blocks
from interrupt_support import interrupted
from support import SOON, Link, Running, plain_listener, port_of, refusal, reset, run_script, wait_until
from ws_support import (
    TEXT,
    Peer,
    Upgrade,
    WsLink,
    accept_of,
    becomes,
    close_payload,
    plain_server,
    response,
    said_once,
    url_of,
    ws_port,
)

import dryad_net as net
from dryad_net import log

SECRET = "s3cr3t-XyZ"


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "dryad_net")


Said = Callable[..., logging.LogRecord]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    """Wait for a record: said(level, regular expression of the whole message); returns it."""

    def wait(level: int, pattern: str) -> logging.LogRecord:
        def matching() -> logging.LogRecord | None:
            found = [record for record in list(caplog.records) if re.fullmatch(pattern, record.getMessage())]
            return found[0] if found else None

        record: logging.LogRecord = wait_until(matching, what=f"{pattern}, in\n{caplog.text}")
        assert (record.name, record.levelno) == ("dryad_net", level)
        return record

    return wait


def where(raw: object) -> str:
    """A plain socket's own address, as a pattern."""
    return re.escape("{}:{}".format(*raw.getsockname()[:2]))  # type: ignore[attr-defined]


def where_of(ws: WsLink) -> str:
    """The peer's address as the library knows it, as a pattern."""
    info = net.native_ws_client_info(ws.id)
    return re.escape(f"{info['ip']}:{info['port']}")


# ---- connection life


def test_the_life_of_a_tcp_connection(said: Said, caplog: pytest.LogCaptureFixture) -> None:
    server = net.native_tcp_bind("127.0.0.1", 0)
    port = port_of(server)
    own = net.native_tcp_connect("127.0.0.1", port)
    accepted = net.native_tcp_accept_blocking(server, int(SOON * 1000))
    peer = net.native_tcp_get_peer_addr(accepted)
    net.native_tcp_close(own)
    net.native_tcp_close(own)
    net.native_tcp_stop_server(server)
    said(logging.DEBUG, rf"TCP server {server}: listening on 127\.0\.0\.1:{port}")
    said(logging.DEBUG, rf"TCP connection {own} \(127\.0\.0\.1:{port}\): connected")
    said(logging.DEBUG, rf"TCP connection {accepted} \(127\.0\.0\.1:{peer['port']}\): accepted by server {server}")
    said(logging.DEBUG, rf"TCP connection {own} \(127\.0\.0\.1:{port}\): closed")
    said(logging.DEBUG, rf"TCP server {server}: stopped")
    said(logging.DEBUG, rf"TCP connection {accepted} .*: closed")
    assert len(caplog.records) == 6


def test_the_life_of_a_udp_socket(said: Said) -> None:
    own = net.native_udp_socket()
    net.native_udp_close(own)
    said(logging.DEBUG, f"UDP socket {own}: opened")
    said(logging.DEBUG, f"UDP socket {own}: closed")


def test_the_life_of_a_websocket(said: Said, caplog: pytest.LogCaptureFixture) -> None:
    server = net.native_ws_listen(0)
    port = ws_port(server)
    own = net.native_ws_connect(f"ws://127.0.0.1:{port}/")
    net.native_ws_recv(own)
    accepted = accept_of(server)
    becomes(own, "open")
    net.native_ws_close_with(own, 4001, SECRET)
    becomes(accepted, "closed")
    net.native_ws_close(accepted)
    net.native_ws_stop_server(server)
    said(logging.DEBUG, rf"WebSocket server {server}: listening on \*:{port}")
    said(logging.DEBUG, rf"WebSocket connection {own} \(127\.0\.0\.1:{port}\): connected")
    said(logging.DEBUG, rf"WebSocket connection, not accepted yet \(127\.0\.0\.1:\d+\): came to server {server}")
    said(logging.DEBUG, r"WebSocket connection, not accepted yet .*: handshake complete, not compressed")
    said(logging.DEBUG, rf"WebSocket connection {own} .*: handshake complete, not compressed")
    said(logging.DEBUG, rf"WebSocket connection {accepted} \(127\.0\.0\.1:\d+\): accepted by server {server}")
    said(logging.DEBUG, rf"WebSocket connection {own} .*: closed \(4001\)")
    said(logging.DEBUG, rf"WebSocket connection {accepted} .*: ended by the peer \(4001\)")
    said(logging.DEBUG, rf"WebSocket server {server}: stopped")
    assert SECRET not in caplog.text


def test_ipv6_and_compression(said: Said) -> None:
    server = net.native_ws_bind("127.0.0.1", 0)
    net.native_ws_set_compression(server, True)
    own = net.native_ws_connect(f"ws://127.0.0.1:{ws_port(server)}/")
    net.native_ws_set_compression(own, True)
    assert net.native_ws_is_connected(own)
    said(logging.DEBUG, rf"WebSocket connection {own} .*: handshake complete, compressed")
    listening = net.native_tcp_bind("::1", 0)
    said(logging.DEBUG, rf"TCP server {listening}: listening on \[::1\]:{port_of(listening)}")


# ---- who was dropped, and why


def test_a_violation(ws: WsLink, said: Said) -> None:
    ws.peer.send(TEXT, SECRET.encode(), rsv=2)
    said_once(ws.id)
    said(logging.WARNING, rf"WebSocket connection {ws.id} \({where_of(ws)}\): the connection was closed \(1002\): .+")


def test_a_violation_is_never_its_payload(ws: WsLink, said: Said, caplog: pytest.LogCaptureFixture) -> None:
    ws.peer.send(TEXT, SECRET.encode() + b"\xff")
    assert SECRET not in said_once(ws.id)
    said(logging.WARNING, r".*\(1007\): .*")
    assert SECRET not in caplog.text


def test_a_reset(ws: WsLink, said: Said) -> None:
    reset(ws.peer.raw)
    said_once(ws.id)
    said(logging.INFO, rf"WebSocket connection {ws.id} .*: broken: connection reset by peer \(ECONNRESET\)")


def read_all(identifier: int) -> None:
    while net.native_tcp_recv_blocking(identifier, 65536, -1) is not None:
        pass


def send_until_it_breaks(identifier: int) -> None:
    while True:
        net.native_tcp_send(identifier, b"x")


@pytest.mark.parametrize("call", [read_all, send_until_it_breaks])
def test_a_tcp_reset(link: Link, said: Said, call: Callable[[int], None], caplog: pytest.LogCaptureFixture) -> None:
    reset(link.raw)
    with pytest.raises(net.NetworkError):
        call(link.id)
    reason = r"(connection reset by peer \(ECONNRESET\)|broken pipe \(EPIPE\))"
    said(logging.INFO, rf"TCP connection {link.id} \(127\.0\.0\.1:\d+\): broken: {reason}")
    assert sum("broken" in record.getMessage() for record in caplog.records) == 1


def test_a_tcp_reset_that_a_broadcast_finds(server: int, dial: Dial, said: Said) -> None:
    gone = dial(server)
    reset(gone.raw)
    assert wait_until(lambda: net.native_tcp_broadcast(server, b"to whom it may concern") == 0)
    said(logging.INFO, rf"TCP connection {gone.id} .*: broken: .+")


def test_a_close_of_the_peers(ws: WsLink, said: Said, caplog: pytest.LogCaptureFixture) -> None:
    """The reason is whatever the peer likes, and not logged."""
    ws.peer.send(8, close_payload(4000, SECRET))
    becomes(ws.id, "closed")
    said(logging.DEBUG, rf"WebSocket connection {ws.id} .*: ended by the peer \(4000\)")
    assert SECRET not in caplog.text


def test_a_slow_tcp_client(server: int, dial: Dial, said: Said) -> None:
    slow = dial(server, recv_buffer=4096)
    while net.native_tcp_broadcast(server, bytes(1 << 22)):
        pass
    said(logging.WARNING, rf"TCP connection {slow.id} \({where(slow.raw)}\): dropped: more than \d+ bytes were .+")


def test_a_slow_websocket_client(ws_server: int, ws_dial: Upgrade, said: Said) -> None:
    slow = ws_dial(ws_server, recv_buffer=4096)
    while net.native_ws_broadcast_binary(ws_server, bytes(1 << 22)):
        pass
    said(logging.WARNING, rf"WebSocket connection {slow.id} \({where(slow.peer.raw)}\): dropped: more than .+")


def test_a_silent_peer(ws: WsLink, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dryad_net.websocket.KEEPALIVE_SECONDS", 0.05)
    net.native_ws_set_keepalive(ws.id, True)
    said(logging.WARNING, rf"WebSocket connection {ws.id} .*\(1011\): the peer has not answered a ping for 0\.05 s")


def test_a_peer_that_never_ends(link: Link, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dryad_net.service.CLOSE_SECONDS", 0.05)
    net.native_tcp_close(link.id)
    said(logging.INFO, rf"TCP connection {link.id} .*: closed without waiting any longer for the peer")


def test_a_websocket_that_never_ends(ws: WsLink, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dryad_net.service.CLOSE_SECONDS", 0.05)
    net.native_ws_close(ws.id)
    said(logging.INFO, rf"WebSocket connection {ws.id} .*: closed without waiting any longer for the peer")


def test_the_page_shows_what_comes(
    caplog: pytest.LogCaptureFixture, said: Said, ws_dial: Upgrade, ws_knock: Callable[..., Peer]
) -> None:
    def shape(line: str) -> str:
        return re.sub(r"\(\S+:\d+\)|(server|connection) \d+|\*:\d+", "X", line)

    caplog.clear()
    server = net.native_ws_listen(0)
    link = ws_dial(server)
    link.peer.raw.sendall(b"\x81\x02hi")  # without a mask
    said_once(link.id)
    ws_knock(server).say(b"no request\r\n\r\n")
    said(logging.INFO, r".*: broken: .*")
    (shown,) = blocks((DOCS / "logging.md").read_text(encoding="utf-8"), "text")
    come = [f"{record.levelname}:{record.name}:{record.getMessage()}" for record in caplog.records]
    assert list(map(shape, shown.splitlines())) == list(map(shape, come))


# ---- refused handshakes, and secrets


REFUSED = {
    "no upgrade": (b"GET /?t=%s HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", "there is no Upgrade"),
    "not HTTP": (b"%s %s\r\n\r\n", "not an HTTP request"),
    "malformed": (b"GET /?%s HTTP/1.1\r\nAuthorization: Bearer %s\x01\r\n\r\n", "a control character in a header"),
    "no colon": (b"GET /?%s HTTP/1.1\r\nAuthorization Bearer %s\r\n\r\n", "a header line without a colon"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_client(
    name: str, ws_server: int, ws_knock: Callable[..., Peer], said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    head, reason = REFUSED[name]
    peer = ws_knock(ws_server)
    peer.say(head % ((SECRET.encode(),) * 2))
    record = said(logging.INFO, rf"WebSocket connection, not accepted yet \({where(peer.raw)}\): .*refused: .*")
    assert f"handshake with server {ws_server} refused: " in record.getMessage()
    assert reason in record.getMessage()
    assert SECRET not in caplog.text


def test_a_client_that_is_accepted_shows_no_secret(
    ws_server: int, ws_dial: Upgrade, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    net.native_ws_set_subprotocol(ws_server, f"chat,{SECRET}")
    headers = [f"Authorization: Bearer {SECRET}", f"Cookie: sid={SECRET}", f"Sec-WebSocket-Protocol: {SECRET}"]
    client = ws_dial(ws_server, *headers, path=f"/{SECRET}?token={SECRET}")
    client.peer.text(SECRET)
    assert net.native_ws_recv_blocking(client.id, int(SOON * 1000)) == SECRET
    net.native_ws_send(client.id, SECRET)
    net.native_ws_kick_client(client.id)
    said(logging.DEBUG, rf"WebSocket connection {client.id} .*: closed \(1008\)")
    assert SECRET not in caplog.text


# What a server may answer to a request it repeats.
REPEATS: dict[str, Callable[[bytes], bytes]] = {
    "the request": lambda head: head,
    "the request, cut off": lambda head: head.replace(b"\r\n\r\n", b"\r\n"),
    "the request line": lambda head: head.partition(b"\r\n")[0] + b"\r\n\r\n",
    "a token": lambda head: f"-ERR bad token {SECRET}\r\n\r\n".encode(),
    "a reason": lambda head: f"HTTP/1.1 403 no {SECRET}\r\nContent-Length: 0\r\n\r\n".encode(),
    "a body": lambda head: b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n" % len(head) + head,
    "a password": lambda head: f"HTTP/1.1 401 Bad\r\n\r\nuser alice, password {SECRET}".encode(),
    "a cookie": lambda head: f"HTTP/1.1 401 Bad\r\n\r\nno session {SECRET}2, key {SECRET}3".encode(),
    "an extension": lambda head: response(head, f"Sec-WebSocket-Extensions: {SECRET}"),
    "a subprotocol": lambda head: response(head, f"Sec-WebSocket-Protocol: {SECRET}"),
}


@pytest.mark.parametrize("answer", REPEATS)
def test_a_server_that_repeats_secrets(answer: str, said: Said, caplog: pytest.LogCaptureFixture) -> None:
    with plain_listener() as listening:
        address = url_of(listening, f"/chat?token={SECRET}&x=1").removeprefix("ws://")
        own = net.native_ws_connect(f"ws://alice:{SECRET}@{address}")
        net.native_ws_set_headers(own, {"Cookie": f"a={SECRET}2; b={SECRET}3", "X-Api-Key": f"{SECRET}4"})
        server = Running(plain_server, listening)
        net.native_ws_recv(own)
        peer = server.result()
    head = peer.head()
    peer.say(REPEATS[answer](head))
    peer.hang_up()
    error = refusal(net.native_ws_send, own, "x")
    record = said(logging.INFO, rf"WebSocket connection {own} \(127\.0\.0\.1:\d+\): handshake failed: .*")
    assert str(error).endswith(record.getMessage().partition("handshake failed: ")[2])
    assert SECRET not in str(error)
    assert SECRET not in caplog.text


def test_a_handshake_that_takes_too_long(
    ws_server: int, ws_knock: Callable[..., Peer], said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dryad_net.websocket_server.HANDSHAKE_SECONDS", 0.05)
    ws_knock(ws_server)
    said(logging.INFO, r"WebSocket connection, not accepted yet .* refused: the handshake took too long")


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_NOFILE")
def test_a_server_without_descriptors_says_so_once() -> None:
    text = """
import logging, os, resource, socket, sys, time
import dryad_net as net
logging.basicConfig(stream=sys.stdout)
server = net.native_ws_listen(0)
waiting = [socket.socket() for _ in range(2)]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for each in waiting:
    each.connect(("127.0.0.1", net.native_ws_get_local_addr(server)["port"]))
time.sleep(0.5)
"""
    assert re.fullmatch(
        r"WARNING:dryad_net:WebSocket server 1: cannot accept for now: too many open files \(EMFILE\)\n",
        run_script(text),
    )


# ---- never in the way


def test_a_handler_that_uses_the_library_and_holds_locks(ws_server: int, ws_dial: Upgrade) -> None:
    """What a handler does while it holds its lock, in any thread, is done: nobody holds a lock of ours meanwhile."""
    link = ws_dial(ws_server)
    seen: list[str] = []

    class Sending(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                net.native_ws_send(link.id, record.getMessage())
                seen.append(record.getMessage())

    handler = Sending()
    log.logger.addHandler(handler)
    try:
        with handler.lock:  # type: ignore[union-attr]
            bad = ws_dial(ws_server)
            bad.peer.send(TEXT, b"x", rsv=2)
            said_once(bad.id)  # the violation is noted, and nobody waits for the handler
            assert not seen
        text = str(link.peer.message())
        assert "(1002)" in text
        wait_until(lambda: seen == [text])
    finally:
        log.logger.removeHandler(handler)


def test_a_handler_that_raises_harms_nobody(ws: WsLink, capsys: pytest.CaptureFixture[str], said: Said) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError("a handler's")

    handler = Raising()
    log.logger.addHandler(handler)
    try:
        ws.peer.send(TEXT, b"x", rsv=2)
        said_once(ws.id)
        wait_until(lambda: "a handler's" in capsys.readouterr().err)
    finally:
        log.logger.removeHandler(handler)
    own = net.native_udp_socket()
    said(logging.DEBUG, f"UDP socket {own}: opened")


def test_a_factory_that_raises_harms_nobody(said: Said) -> None:
    before = logging.getLogRecordFactory()

    def failing(*args: object, **keywords: object) -> logging.LogRecord:
        raise ZeroDivisionError

    logging.setLogRecordFactory(failing)
    try:
        net.native_udp_close(net.native_udp_socket())
    finally:
        logging.setLogRecordFactory(before)
    own = net.native_udp_socket()
    said(logging.DEBUG, f"UDP socket {own}: opened")


def test_the_record_says_where_it_was_made(said: Said) -> None:
    own = net.native_udp_socket()
    record = said(logging.DEBUG, f"UDP socket {own}: opened")
    assert (record.module, record.funcName, record.threadName) == ("datagram", "open_socket", "MainThread")


def test_a_background_failure_is_logged_with_its_traceback(said: Said) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.failure("background work failed")
    record = said(logging.ERROR, "background work failed")
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


LIFE = """
import logging, os, sys, threading
import dryad_net as net

def live():
    server = net.native_tcp_listen(0)
    own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
    net.native_tcp_close(own)
    net.native_tcp_stop_server(server)
"""


def test_ctrl_c_while_the_thread_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next record finds one, or starts one, and there never are two that handle records."""
    handled: list[object] = []
    monkeypatch.setattr(log.logger, "handle", handled.append)
    before = set(threading.enumerate())
    for step in itertools.count():
        writer = log.Writer()
        # Python 3.12 tells of a function's instructions from the second call on.
        came = interrupted(step or sys.maxsize, ("put", "start"), lambda: writer.put("first"))  # noqa: B023
        writer.put("second")
        wait_until(lambda: "second" in handled, what="the second to be handled")
        assert handled in (["second"], ["first", "second"])
        writer.stop()
        wait_until(lambda: set(threading.enumerate()) <= before, what="the threads to end")  # also one too many
        handled.clear()
        if step and not came:
            break
    assert step > 3


def test_silent_and_without_a_thread_by_default() -> None:
    text = LIFE + "live(); print([each.name for each in threading.enumerate() if each.name == 'dryad_net log'])"
    assert run_script(text) == "[]\n"


def test_what_was_noted_is_handled_before_exit() -> None:
    text = LIFE + "logging.basicConfig(level='DEBUG', stream=sys.stdout)\nlive()"
    lines = run_script(text).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("DEBUG:dryad_net:TCP server ")
    assert lines[-1].endswith("stopped")


def test_exit_does_not_wait_long_for_handlers() -> None:
    text = (
        LIFE
        + """
import time

class Slow(logging.Handler):
    def emit(self, record):
        time.sleep(0.5)

logging.getLogger("dryad_net").addHandler(Slow())
logging.getLogger("dryad_net").setLevel("DEBUG")
for _ in range(50):
    live()
"""
    )
    run_script(text, seconds=20)  # all of them would take 100 s


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_of_fork_logs_its_own_life_and_nothing_of_the_parents() -> None:
    """The fork comes in the middle of handling; no lock of the handler's stays taken in the child."""
    text = (
        LIFE
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12 on
logging.basicConfig(level="DEBUG", stream=sys.stdout, format="%(process)d %(message)s")
children = []
for _ in range(20):
    live()
    children.append(os.fork())
    if not children[-1]:
        live()
        sys.exit()
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    lines = run_script(text).splitlines()
    by_process = collections.Counter(line.partition(" ")[0] for line in lines)
    assert sorted(by_process.values()) == [4] * 20 + [80]


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_signals_do_not_go_to_the_thread(said: Said) -> None:
    own = net.native_udp_socket()
    said(logging.DEBUG, f"UDP socket {own}: opened")
    (thread,) = (each for each in threading.enumerate() if each.name == "dryad_net log")
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    (blocked,) = re.findall(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)
    assert int(blocked, 16) & (1 << (signal.SIGINT - 1))
