"""One exchange after the other; in each, one more allocation goes through before one is refused.

Run by tests/test_memory_refused.py with refuse.c preloaded:  python exchange.py tcp|ws|deflate
Whatever a call meets, it returns what is right, or raises MemoryError or an error of the library's.
What was not lost is there for the next call; what was lost is told; and everything else goes on.
"""

from __future__ import annotations

import ctypes
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import open_what_stays, receive, wait_until
from ws_support import PING, PONG, Peer, accept_of, plain_client, request, ws_port

import dryad_net as net
from dryad_net.table import table

SOON_MS = 10000
# refuse.c's bits: the calling thread only, and only what the compiled half asks for itself.
MINE, OURS = 1, 2
MOST = 200  # more allocations than any of these calls makes
BYTES, TEXT = bytes(range(250)), "é€x"

shim = ctypes.CDLL(None)
shim.refuse.restype = None
shim.refuse.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_int]
shim.refused.restype = ctypes.c_long

Call = Callable[..., Any]


class Memory:
    """Refuses the nth allocation that is made while it is armed."""

    def __init__(self, nth: int, who: int = MINE | OURS) -> None:
        self._arguments = (ctypes.c_long(nth), ctypes.c_long(1), ctypes.c_long(1), ctypes.c_int(who))
        self.refusals = 0

    def __enter__(self) -> None:
        shim.refuse(*self._arguments)

    def __exit__(self, *_: object) -> None:
        self.refusals = shim.refused()

    def attempt(self, function: Call, *args: Any) -> tuple[Any, Exception | None]:
        """Make a call while it is armed: what it returned, and the error, which must be one of those allowed."""
        with self:
            try:
                return function(*args), None
            except (MemoryError, net.NetworkError) as error:
                # Whatever the frames that it came through hold must go now.
                return None, error.with_traceback(None)

    def insist(self, function: Call, *args: Any) -> Any:
        """A call that loses nothing by a MemoryError: made again, it returns what it should have."""
        result, error = self.attempt(function, *args)
        if error is None:
            return result
        assert isinstance(error, MemoryError), error
        return function(*args)


def sweep(what: str, act: Callable[[Memory], None], who: int = MINE | OURS) -> int:
    """Act with the first allocation refused, then with the second, until none is left to refuse."""
    for nth in range(1, MOST):
        memory = Memory(nth, who)
        try:
            act(memory)
        except Exception as error:
            raise AssertionError(f"{what}, allocation {nth}") from error
        if not memory.refusals:
            print(f"{what}: {nth - 1} allocations", flush=True)
            return nth - 1
    raise AssertionError(f"{what}: more than {MOST} allocations")


def held() -> tuple[list[str], list[int]]:
    """The descriptors and the IDs that there are."""
    return sorted(os.listdir("/proc/self/fd")), sorted(table.objects)


def leaving_nothing(act: Callable[[Memory], None], tidy: Call = int) -> Callable[[Memory], None]:
    """The same, and afterwards, and after tidying up, no descriptor and no ID is left."""

    def checked(memory: Memory) -> None:
        before = held()
        act(memory)
        # Not the same as before: what an earlier act has closed may have been on its way still.
        wait_until(
            lambda: (tidy(), all(set(now) <= set(was) for now, was in zip(held(), before, strict=True)))[1],
            12.0,
            f"more than {before} is left",
        )

    return checked


def harmless(function: Call, *args: Any) -> Callable[[Memory], None]:
    """A call whose outcome does not matter here."""

    def act(memory: Memory) -> None:
        memory.attempt(function, *args)

    return act


# ---- TCP


def tcp() -> None:
    server = net.native_tcp_listen(0)
    port = net.native_tcp_get_local_addr(server)["port"]
    own = net.native_tcp_connect("127.0.0.1", port)
    client = net.native_tcp_accept_blocking(server, SOON_MS)

    def sending(data: bytes | str) -> Callable[[Memory], None]:
        wire = data.encode() if isinstance(data, str) else data

        def act(memory: Memory) -> None:
            _sent, error = memory.attempt(net.native_tcp_send, own, data)
            net.native_tcp_send(own, b"END")
            got = receive(client, 3)
            if got != b"END" or error is None:
                assert got + receive(client, len(wire)) == wire + b"END"

        return act

    def receiving(function: Call, *args: Any, wire: bytes, expected: str | bytes) -> Callable[[Memory], None]:
        def act(memory: Memory) -> None:
            net.native_tcp_send(own, wire)
            assert net.native_net_wait([client], SOON_MS) == [client]
            assert memory.insist(function, client, *args) == expected

        return act

    sweep("send", sending(BYTES))
    sweep("send text", sending(TEXT * 100))
    sweep("send much", sending(BYTES * 400))
    line = TEXT * 1000 + "\n"
    sweep("recv", receiving(net.native_tcp_recv, 100, wire=b"hello\n", expected="hello\n"))
    for blocking, expected in ((net.native_tcp_recv_blocking, "hello"), (net.native_tcp_recv_bytes_blocking, b"hello")):
        sweep(blocking.__name__, receiving(blocking, 100, SOON_MS, wire=b"hello", expected=expected))
    sweep("recv_until", receiving(net.native_tcp_recv_until, "\n", wire=line.encode(), expected=line))
    record = "x" * 300_000 + "\n"

    def gathering(memory: Memory) -> None:
        net.native_tcp_send(own, record + "short\n")
        assert net.native_net_wait([client], SOON_MS) == [client]
        assert memory.insist(net.native_tcp_recv_until, client, "\n") == record
        assert net.native_tcp_recv_until(client, "\n") == "short\n"

    sweep("recv_until of much", gathering)
    sweep("recv_all", receiving(net.native_tcp_recv_all, wire=line.encode(), expected=line))
    sweep("recv, idle", harmless(net.native_tcp_recv_blocking, client, 10, 20))
    sweep("get_clients", harmless(net.native_tcp_get_clients, server))
    sweep("set_nodelay", harmless(net.native_tcp_set_nodelay, client, True))

    def waiting(memory: Memory) -> None:
        another = net.native_tcp_listen(0)  # so that it is another list each time
        net.native_tcp_send(own, "x")
        assert memory.insist(net.native_net_wait, [own, client, server, another], SOON_MS) == [client]
        assert net.native_tcp_recv(client, 10) == "x"
        net.native_tcp_stop_server(another)

    sweep("net_wait", waiting)

    def broadcasting(memory: Memory) -> None:
        first, second = (net.native_tcp_connect("127.0.0.1", port) for _ in range(2))
        clients = [net.native_tcp_accept_blocking(server, SOON_MS) for _ in range(2)]
        reached, error = memory.attempt(net.native_tcp_broadcast, server, bytes(12 << 20))
        assert error is not None or reached in (2, 3)  # a client for whom there is no memory is dropped
        for each in (own, first, second):
            if error is None and reached == 3:
                assert receive(each, 12 << 20) == bytes(12 << 20)
            net.native_tcp_close(each)
        for each in (*clients, client):
            net.native_tcp_close(each)

    def fresh(memory: Memory) -> None:
        nonlocal own, client
        broadcasting(memory)
        own = net.native_tcp_connect("127.0.0.1", port)
        client = net.native_tcp_accept_blocking(server, SOON_MS)

    sweep("broadcast", fresh)

    def connecting(memory: Memory) -> None:
        made, _error = memory.attempt(net.native_tcp_connect, "127.0.0.1", port)
        if made is not None:
            net.native_tcp_close(made)
        while (accepted := net.native_tcp_accept(server)) is not None:
            net.native_tcp_close(accepted)

    def accepting(memory: Memory) -> None:
        with socket.create_connection(("127.0.0.1", port)):
            accepted, error = memory.attempt(net.native_tcp_accept_blocking, server, SOON_MS)
            assert error is not None or accepted in net.native_tcp_get_clients(server)
        with socket.create_connection(("127.0.0.1", port)):
            others = [accepted, net.native_tcp_accept_blocking(server, SOON_MS), net.native_tcp_accept(server)]
            assert others[1] is not None  # it serves on
        for each in filter(None, others):
            net.native_tcp_close(each)

    def listening(memory: Memory) -> None:
        made, _error = memory.attempt(net.native_tcp_listen, 0)
        if made is not None:
            net.native_tcp_stop_server(made)

    def closing(memory: Memory) -> None:
        made = net.native_tcp_connect("127.0.0.1", port)
        accepted = net.native_tcp_accept_blocking(server, SOON_MS)
        memory.attempt(net.native_tcp_close, made)
        net.native_tcp_close(made)
        net.native_tcp_close(accepted)

    for act in (connecting, accepting, listening, closing):
        sweep(act.__name__, leaving_nothing(act))


# ---- WebSocket


class Friends:
    """A connection between two ends of the library, made anew where it was lost."""

    def __init__(self, compression: bool) -> None:
        self.compression = compression
        self.server = net.native_ws_listen(0)
        net.native_ws_set_compression(self.server, True)
        self.url = f"ws://127.0.0.1:{ws_port(self.server)}/"
        self.ends = self.dial()

    def dial(self) -> list[int]:
        own = net.native_ws_connect(self.url)
        net.native_ws_set_compression(own, self.compression)
        net.native_ws_recv(own)
        ends = [own, accept_of(self.server)]
        assert net.native_ws_is_connected(own)
        for each in ends:
            net.native_ws_set_max_frame_size(each, 100_000)
        return ends

    def again(self) -> None:
        for each in self.ends:
            net.native_ws_close(each)
        self.ends = self.dial()


def told_of_memory(error: net.NetworkError) -> None:
    assert "memory" in str(error), error


def receive_call(message: str | bytes) -> Call:
    if isinstance(message, bytes):
        return net.native_ws_recv_binary_blocking
    return net.native_ws_recv_blocking


def send(end: int, message: str | bytes) -> None:
    (net.native_ws_send_binary if isinstance(message, bytes) else net.native_ws_send)(end, message)


def sending_message(friends: Friends, turn: int, message: str | bytes) -> Callable[[Memory], None]:
    end = message[:0] + (b"END" if isinstance(message, bytes) else "END")

    def act(memory: Memory) -> None:
        sender, reader = friends.ends[::turn]
        _nothing, error = memory.attempt(send, sender, message)
        try:
            send(sender, end)
        except net.NetworkError:
            assert error is not None  # which has told that it was cut short
            friends.again()
            return
        got = receive_call(message)(reader, SOON_MS)
        if got == message:
            got = receive_call(message)(reader, SOON_MS)
        else:
            assert error is not None, f"{got!r:.50}"
        assert got == end, f"{got!r:.50}"

    return act


def receiving_message(friends: Friends, turn: int, message: str | bytes) -> Callable[[Memory], None]:
    def act(memory: Memory) -> None:
        sender, reader = friends.ends[::turn]
        send(sender, message)
        got, error = memory.attempt(receive_call(message), reader, SOON_MS)
        try:
            if isinstance(error, MemoryError):
                got = receive_call(message)(reader, SOON_MS)
            elif error is not None:
                raise error
        except net.NetworkError as told:
            told_of_memory(told)
            friends.again()
            return
        assert got == message, f"{got!r:.50}"

    return act


def messages(compression: bool) -> Friends:
    """Messages of every kind and size, both ways."""
    friends = Friends(compression)
    for turn in (1, -1):
        for repeated in (1, 20, 390, 1000):
            for message in (BYTES * repeated, "x" * 250 * repeated, TEXT * 40 * repeated):
                what = f"{type(message).__name__} of {len(message)}, {'client' if turn == 1 else 'server'} sends"
                sweep(f"send {what}", sending_message(friends, turn, message))
                sweep(f"receive {what}", receiving_message(friends, turn, message))
    return friends


def deflate() -> None:
    messages(compression=True)


def ws() -> None:
    friends = messages(compression=False)
    server, client, port = friends.server, friends.ends[1], ws_port(friends.server)
    for name in ("is_connected", "get_state", "client_info", "recv", "pong", "ping"):
        sweep(name, harmless(getattr(net, f"native_ws_{name}"), client))
    sweep("set_keepalive", harmless(net.native_ws_set_keepalive, client, True))
    sweep("get_clients", harmless(net.native_ws_get_clients, server))
    friends.again()

    def queued(memory: Memory) -> None:
        """Messages of the other kind, which wait in their queue."""
        own, client = friends.ends
        for number in range(3):
            net.native_ws_send(own, f"text {number}")
        net.native_ws_send_binary(own, b"END")
        got, error = memory.attempt(net.native_ws_recv_binary_blocking, client, SOON_MS)
        try:
            if isinstance(error, net.NetworkError):
                raise error
            if error is not None:
                got = net.native_ws_recv_binary_blocking(client, SOON_MS)
            assert got == b"END"
            assert [net.native_ws_recv(client) for _ in range(3)] == [f"text {number}" for number in range(3)]
        except net.NetworkError as told:
            told_of_memory(told)
            friends.again()

    sweep("queue", queued)
    net.native_net_wait([server], 0)  # which has its own descriptors from the first call on

    def nobody_waits() -> bool:
        """Let go a client whose own end was refused memory."""
        accepted = net.native_ws_accept(server)
        if accepted is not None:
            net.native_ws_close(accepted)
        return accepted is None

    def connecting(memory: Memory) -> None:
        made, _error = memory.attempt(net.native_ws_connect, friends.url)
        if made is not None:
            net.native_ws_close(made)

    def shaking_hands(memory: Memory) -> None:
        made = net.native_ws_connect(friends.url)
        _connected, error = memory.attempt(net.native_ws_is_connected, made)
        if error is None and net.native_ws_is_connected(made):
            net.native_ws_close(accept_of(server))
        net.native_ws_close(made)

    def accepting(memory: Memory) -> None:
        made = net.native_ws_connect(friends.url)
        assert net.native_ws_is_connected(made)
        assert net.native_net_wait([server], SOON_MS)
        net.native_ws_close(memory.insist(net.native_ws_accept, server))
        net.native_ws_close(made)

    def closing(memory: Memory) -> None:
        made, accepted = friends.dial()
        memory.attempt(net.native_ws_close, made)
        net.native_ws_close(made)
        net.native_ws_close(accepted)

    for act in (connecting, shaking_hands, accepting, closing):
        sweep(act.__name__, leaving_nothing(act, nobody_waits))

    def beginning(memory: Memory) -> None:
        """In the background: whoever is refused, the next one is served."""
        with memory:
            refused = Peer(socket.create_connection(("127.0.0.1", port)), client=True)
            refused.say(request())
            select.select([refused.raw], [], [], 0.5)
        served = plain_client(server)
        served.say(request())
        served.head()
        for each in (refused, served):
            each.hang_up()
        wait_until(nobody_waits)

    def answering(memory: Memory) -> None:
        """In the background: a ping is answered, if not at once."""
        peer = plain_client(server)
        peer.say(request())
        accepted = accept_of(server)
        peer.head()
        time.sleep(0.12)  # from here on it is the background's
        with memory:
            peer.send(PING, b"armed")
            select.select([peer.raw], [], [], 0.5)
        peer.expect(PONG)
        peer.hang_up()
        net.native_ws_close(accepted)

    friends.again()
    sweep("handshake in the background", beginning, OURS)
    sweep("ping in the background", answering, OURS)
    assert set(table.objects) >= {server, *friends.ends}


if __name__ == "__main__":
    open_what_stays()
    {"tcp": tcp, "ws": ws, "deflate": deflate}[sys.argv[1]]()
