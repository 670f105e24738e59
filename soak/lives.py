"""What clients do from the connect to the end, and what they check on the way."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import messages
import relay
import servers
from messages import Failure

import dryad_net as net

ANSWER_MS = 60_000  # far longer than any fault lasts: what takes longer never comes
PAUSE_SECONDS = 0.05  # between the lives of UDP, which would leave the others no time otherwise
BATCH_SIZE = 24_000  # what is under way at once, so that nobody waits for himself


class Life:
    """One life: its name, its own random numbers, the network it goes through, and what it has checked."""

    def __init__(self, name: str, rng: random.Random) -> None:
        self.name = name
        self.rng = rng
        self.fault = relay.Fault()
        self.checked = self.size = 0
        self.cut = False

    def way_to(self, port: int) -> int:
        """The port to connect to in order to get to a server's, perhaps through a network with faults."""
        self.fault = relay.random_fault(self.rng)
        return port if self.fault == relay.Fault() else relay.Relay(port, self.fault, self.rng).port

    def batches(self, most: int) -> Iterator[list[str]]:
        """Messages to send, some at once."""
        left = self.rng.randint(1, most)
        number = 0
        while left:
            batch: list[str] = []
            while left and len(batch) < 16 and sum(map(len, batch)) < BATCH_SIZE // 4:
                batch.append(messages.text(self.name, number, int(2 ** self.rng.uniform(0, 12))))
                number += 1
                left -= 1
            yield batch

    def check(self, got: Any, wanted: Any) -> None:
        """This must be that. Errors: Failure."""
        if got != wanted:
            raise Failure(f"{_shown(got)} instead of {_shown(wanted)}")
        self.checked += 1
        self.size += len(wanted)

    def broken(self, error: Exception | str) -> None:
        """The connection has broken; there must be a fault that does that. Errors: Failure."""
        if self.fault.cut_after is None:
            raise Failure(f"broken without a cause: {error}")
        self.cut = True


def _shown(message: Any) -> str:
    return f"{message!r:.60} ({'nothing' if message is None else len(message)})"


# ---- TCP


def tcp_echo(life: Life, server: servers.Server) -> None:
    """Lines there and back; then a close, perhaps with answers on their way, or being thrown out."""
    try:
        own = net.native_tcp_connect("127.0.0.1", life.way_to(server.port))
    except net.NetworkError as error:
        return life.broken(error)
    net.native_tcp_set_timeout(own, ANSWER_MS)
    try:
        for batch in life.batches(40):
            for line in batch:
                net.native_tcp_send(own, line + "\n")
            for line in batch:
                answer = net.native_tcp_recv_until(own, "\n")
                if answer is None:
                    return _tcp_ended(life, own, line + "\n")
                life.check(answer, line + "\n")
        if life.rng.random() < 0.2:
            net.native_tcp_send(own, servers.KICK_ME)
            answer = net.native_tcp_recv_until(own, "\n")
            if answer is None:
                return _tcp_ended(life, own, servers.KICK_ME)
            life.check(answer, servers.KICK_ME)
            _must_end(
                life, own, lambda: net.native_tcp_recv_blocking(own, 65536, ANSWER_MS), net.native_tcp_is_connected
            )
        elif life.rng.random() < 0.3:
            net.native_tcp_send(own, messages.text(life.name, -1, BATCH_SIZE))
    except net.NetworkError as error:
        life.broken(error)
    finally:
        net.native_tcp_close(own)


def _tcp_ended(life: Life, own: int, wanted: str) -> None:
    """No line came: the stream must have ended, and what is left be the beginning of the line."""
    if net.native_tcp_is_connected(own):
        rest = net.native_tcp_recv_all(own).encode("utf-8", "surrogateescape")
        if net.native_tcp_is_connected(own):
            raise Failure(f"no answer in {ANSWER_MS} ms, but {_shown(rest)}")
        if not wanted.encode().startswith(rest):
            raise Failure(f"{_shown(rest)} instead of the beginning of {_shown(wanted)}")
    life.broken("the stream has ended")


def _must_end(life: Life, own: int, receive: Callable[[], Any], is_connected: Callable[[int], bool]) -> None:
    """Thrown out: nothing more comes but the end."""
    rest = receive()
    if rest is not None:
        raise Failure(f"{_shown(rest)} after being thrown out")
    if is_connected(own):
        raise Failure("still connected after being thrown out")


def tcp_half_close(life: Life, server: servers.Server) -> None:
    """A plain client that sends everything, says that it is done, and reads slowly to the end."""
    lines = [line + "\n" for batch in life.batches(30) for line in batch]
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.settimeout(ANSWER_MS / 1000)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=_send_and_end, args=(raw, "".join(lines).encode()), daemon=True)
        sender.start()
        got = bytearray()
        while part := raw.recv(life.rng.choice([1, 100, 65536])):
            got += part
        sender.join()
    for answer, line in zip(got.decode().splitlines(keepends=True), lines, strict=True):
        life.check(answer, line)


def _send_and_end(raw: socket.socket, data: bytes) -> None:
    raw.sendall(data)
    raw.shutdown(socket.SHUT_WR)


def tcp_vanish(life: Life, server: servers.Server) -> None:
    """A plain client that sends something and is gone with a reset, or never says a word."""
    life.cut = True
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        if life.rng.random() < 0.7:
            raw.sendall(messages.text(life.name, 0, int(2 ** life.rng.uniform(0, 14))).encode())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, relay.RESET)


def tcp_subscribe(life: Life, server: servers.Server) -> None:
    """Read what is broadcast, perhaps slowly: no number is left out."""
    try:
        own = net.native_tcp_connect("127.0.0.1", life.way_to(server.port))
    except net.NetworkError as error:
        life.broken(error)
        return
    try:
        net.native_tcp_set_timeout(own, ANSWER_MS)
        _subscribe(life, own, server, lambda: net.native_tcp_recv_until(own, "\n"), net.native_tcp_is_connected)
    finally:
        net.native_tcp_close(own)


def _subscribe(
    life: Life, own: int, server: servers.Server, receive: Callable[[], str | None], is_connected: Callable[[int], bool]
) -> None:
    number = None
    try:
        for _ in range(life.rng.randint(1, 200)):
            line = receive()
            if line is None:
                # Thrown out, or cut off; of the last line there may be a part.
                life.cut = True
                if is_connected(own) and life.fault.cut_after is None and receive() is not None:
                    raise Failure("nothing was broadcast, and then something")
                return
            told, _, body = line.partition("#")[2].partition(" ")
            number = int(told) if number is None else number
            life.check(line, messages.text(server.name, number, len(body) - 1) + "\n")
            number += 1
            if life.rng.random() < 0.02:
                threading.Event().wait(life.rng.random() * 0.3)
    except net.NetworkError as error:
        life.broken(error)


# ---- WebSocket


def ws_echo(life: Life, server: servers.Server, url: str, ca_file: str | None, compression: bool, binary: bool) -> None:
    """Messages there and back, pings in between; then a close, or being thrown out."""
    own = None
    try:
        own = net.native_ws_connect(url.format(life.way_to(server.port)))
        net.native_ws_set_timeout(own, ANSWER_MS)
        net.native_ws_set_compression(own, compression)
        if ca_file is not None:
            net.native_ws_set_tls(own, {"ca_file": ca_file})
        if life.rng.random() < 0.2:
            net.native_ws_set_max_frame_size(own, 1 << 20)
        for batch in life.batches(40):
            if not _ws_exchange(
                life, own, [each.encode() if binary and life.rng.random() < 0.3 else each for each in batch]
            ):
                return
        if life.rng.random() < 0.05 and not _ws_exchange(
            life, own, [messages.text(life.name, -1, messages.LARGEST // 2)]
        ):
            return
        if life.rng.random() < 0.2:
            if _ws_exchange(life, own, [servers.KICK_ME]):
                _must_end(life, own, lambda: net.native_ws_recv_blocking(own, ANSWER_MS), net.native_ws_is_connected)
        elif life.rng.random() < 0.3:
            net.native_ws_send(own, messages.text(life.name, -2, 100))
    except net.NetworkError as error:
        life.broken(error)
    finally:
        if own is not None:
            net.native_ws_close(own)


def _ws_exchange(life: Life, own: int, batch: list[str | bytes]) -> bool:
    """Send some messages and check their answers. False: the connection has ended, as a fault may make it."""
    for message in batch:
        if isinstance(message, bytes):
            net.native_ws_send_binary(own, message)
        else:
            net.native_ws_send(own, message)
        if life.rng.random() < 0.05 and message != servers.KICK_ME:  # after that there may be nobody to ping
            net.native_ws_ping(own)
    # Text and binary messages wait in two queues, each in order.
    for message in sorted(batch, key=lambda each: isinstance(each, bytes)):
        receive = net.native_ws_recv_binary_blocking if isinstance(message, bytes) else net.native_ws_recv_blocking
        answer = receive(own, ANSWER_MS)
        if answer is None:
            # Not is_connected, which waits for unread messages of the other kind too.
            if net.native_ws_get_state(own) == "open":
                raise Failure(f"no answer in {ANSWER_MS} ms")
            life.broken("the connection has ended")
            return False
        life.check(answer, message)
    return True


def ws_subscribe(life: Life, server: servers.Server) -> None:
    """Read what is broadcast, perhaps slowly: no number is left out."""
    own = None
    try:
        own = net.native_ws_connect(f"ws://127.0.0.1:{life.way_to(server.port)}/")
        net.native_ws_set_timeout(own, ANSWER_MS)
        _subscribe(life, own, server, lambda: net.native_ws_recv_blocking(own, ANSWER_MS), net.native_ws_is_connected)
    except net.NetworkError as error:
        life.broken(error)
    finally:
        if own is not None:
            net.native_ws_close(own)


def ws_vanish(life: Life, server: servers.Server) -> None:
    """A plain client that begins a handshake, or something else, and is gone."""
    life.cut = True
    said = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(said[: life.rng.randint(0, len(said))])
        if life.rng.random() < 0.5:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, relay.RESET)


# ---- UDP


def udp_echo(life: Life, server: servers.Server) -> None:
    """Datagrams there and back, few enough at once that none is lost for want of room."""
    threading.Event().wait(life.rng.random() * PAUSE_SECONDS)
    own = net.native_udp_socket()
    net.native_udp_set_timeout(own, ANSWER_MS)
    connected = life.rng.random() < 0.5
    try:
        if connected:
            net.native_udp_connect(own, "127.0.0.1", server.port)
        for batch in life.batches(60):
            for message in batch:
                if connected:
                    net.native_udp_send_connected(own, message)
                else:
                    net.native_udp_send(own, message, "127.0.0.1", server.port)
            for message in batch:
                answer = net.native_udp_recv_blocking(own, ANSWER_MS)
                life.check(answer and answer["data"], message)
    finally:
        net.native_udp_close(own)


def udp_refused(life: Life, _server: servers.Server) -> None:
    """Nobody is there: that is said once, and the socket goes on."""
    threading.Event().wait(life.rng.random() * PAUSE_SECONDS)
    # It hears nobody but its own peer (connect(2)), so others are refused; and nobody else is given the port meanwhile.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as keeper:
        keeper.bind(("127.0.0.1", 0))
        keeper.connect(("127.0.0.2", 9))
        own = net.native_udp_socket()
        try:
            net.native_udp_connect(own, "127.0.0.1", keeper.getsockname()[1])
            net.native_udp_send_connected(own, life.name)
            _must_be_refused(life, own)
        finally:
            net.native_udp_close(own)


def _must_be_refused(life: Life, own: int) -> None:
    try:
        got = net.native_udp_recv_blocking(own, ANSWER_MS)
    except net.NetworkError:
        life.cut = True
    else:
        raise Failure(f"{_shown(got)} from a port that nobody has")
    if net.native_udp_recv(own) is not None:
        raise Failure("something from nobody")
