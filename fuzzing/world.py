"""One half of the library at work: connections, servers and sockets of all kinds, and plain sockets as peers."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import ws_support
from source import Source
from support import reset

# How long what must happen at once may take on a busy machine.
SOON = 10.0
# Descriptors that closes in the background still hold, at most.
MOST_DESCRIPTORS = 300
DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
CLOSERS = ("tcp_stop_server", "tcp_close", "udp_close", "ws_stop_server", "ws_close")


class World:
    """What a case works with. Owns its IDs, also those that are closed by now, and its plain sockets."""

    def __init__(self, net: ModuleType) -> None:
        self.net = net
        self.identifiers: list[int] = []
        self.peers: list[ws_support.Peer] = []
        tcp_server = self._add(net.native_tcp_listen(0))
        ws_server = self._add(net.native_ws_listen(0))
        self._add(net.native_udp_socket())
        udp = self._add(net.native_udp_socket())
        net.native_udp_bind_addr(udp, "127.0.0.1", 0)
        self._add(net.native_tcp_connect("127.0.0.1", self._port(tcp_server)))
        self._add(self._when(lambda: net.native_tcp_accept(tcp_server)))
        self.add_peer(tcp_server, False)
        self._add(self._when(lambda: net.native_tcp_accept(tcp_server)))
        self.add_peer(ws_server, True)
        self._add(self._when(lambda: net.native_ws_accept(ws_server)))
        self._ws_pair(ws_server)
        self._closed = self._add(net.native_udp_socket())
        net.native_udp_close(self._closed)

    def _ws_pair(self, server: int) -> None:
        own = self._add(self.net.native_ws_connect(f"ws://127.0.0.1:{self._port(server)}/"))
        self.net.native_ws_set_compression(own, True)
        self.net.native_ws_recv(own)
        self._add(self._when(lambda: self.net.native_ws_accept(server)))
        self._when(lambda: self.net.native_ws_get_state(own) == "open")

    def _when(self, condition: Callable[[], Any]) -> Any:
        """What a condition gives as soon as it is true."""
        deadline = time.monotonic() + SOON
        while not (found := condition()):
            assert time.monotonic() < deadline, "what must happen at once has not happened"
            time.sleep(0.0005)
        return found

    def _add(self, identifier: int) -> int:
        assert identifier not in self.identifiers, "an ID was given out twice"
        self.identifiers.append(identifier)
        # So that nothing that comes waits for long.
        for name in ("tcp", "udp", "ws"):
            with contextlib.suppress(self.net.DryadNetError):
                getattr(self.net, f"native_{name}_set_timeout")(identifier, 1)
        return identifier

    def created(self, result: Any) -> None:
        """A call has given out an ID."""
        self._add(result)

    def _port(self, identifier: int) -> int:
        for name in ("tcp", "ws", "udp"):
            with contextlib.suppress(self.net.DryadNetError):
                return int(getattr(self.net, f"native_{name}_get_local_addr")(identifier)["port"])
        return 0

    def ports(self) -> list[int]:
        """The ports of everything, in the order of the IDs; 0 for what has none (any more)."""
        return [self._port(identifier) for identifier in self.identifiers]

    # ---- plain sockets

    def add_peer(self, server: int, upgrades: bool) -> None:
        """A plain socket that connects to a server."""
        port = self._port(server)
        if not port:
            return
        try:
            raw = socket.create_connection(("127.0.0.1", port), SOON)
        except OSError:
            return  # a UDP socket's port, or a server bound to another address
        raw.settimeout(0)
        peer = ws_support.Peer(raw, client=True)
        self.peers.append(peer)
        if upgrades:
            raw.send(ws_support.request())

    def peer_acts(self, source: Source) -> None:
        """One of the plain sockets says something, or ends in one way or another."""
        peer = source.pick(self.peers)
        action = source.pick(("bytes", "frame", "frame", "read", "half", "close", "reset"))
        with contextlib.suppress(OSError):
            if action == "bytes":
                peer.raw.send(source.chunk())
            elif action == "frame":
                opcode = source.pick((0, 1, 2, 8, 9, 10))
                peer.raw.send(peer.frame(opcode, source.chunk(), fin=not source.boolean(), rsv=source.pick((0, 0, 4))))
            elif action == "read":
                peer.raw.recv(65536)
            elif action == "half":
                peer.raw.shutdown(socket.SHUT_WR)
            elif action == "close":
                peer.raw.close()
            else:
                reset(peer.raw)

    # ---- the end

    def close(self) -> None:
        """Close everything; every ID is closed afterwards."""
        for identifier in self.identifiers:
            for name in CLOSERS:
                with contextlib.suppress(self.net.IdError):
                    getattr(self.net, f"native_{name}")(identifier)
        for peer in self.peers:
            peer.raw.close()
        for identifier in self.identifiers:
            try:
                self.net.native_net_wait([identifier], 0)
            except self.net.IdError:
                continue
            raise AssertionError(f"{identifier} is open after it was closed")
        # Closes are finished in the background.
        self._when(lambda: len(os.listdir(DESCRIPTORS)) < MOST_DESCRIPTORS)
