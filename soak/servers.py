"""Servers: they give back what they get, throw out who asks for it, or broadcast what nobody asked for."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import messages

import dryad_net as net

# A client that sends a message which ends so is thrown out, after its answer.
KICK_ME = "KICK ME\n"
LOOK_MS = 200  # how often a server looks whether it is to stop


class Api(NamedTuple):
    """The calls of one protocol that a server needs, under one name each."""

    receive: Callable[[int], Any]
    receive_waiting: Callable[[int, int], Any]
    send: Callable[[int, Any], Any]
    accept: Callable[[int], int | None]
    broadcast: Callable[[int, Any], int]
    is_connected: Callable[[int], bool]
    clients: Callable[[int], list[int]]
    kick: Callable[[int], None]
    close: Callable[[int], None]
    stop: Callable[[int], None]


def _send_all(identifier: int, text: str) -> None:
    sent = net.native_tcp_send(identifier, text)
    if sent != len(text.encode("utf-8", "surrogateescape")):
        raise messages.Failure(f"only {sent} bytes were sent")


def _receive_either(identifier: int) -> str | bytes | None:
    message: str | None = net.native_ws_recv(identifier)
    return net.native_ws_recv_binary(identifier) if message is None else message


def _send_either(identifier: int, message: str | bytes) -> None:
    (net.native_ws_send_binary if isinstance(message, bytes) else net.native_ws_send)(identifier, message)


TCP = Api(
    net.native_tcp_recv_all,
    lambda identifier, timeout_ms: net.native_tcp_recv_blocking(identifier, 65536, timeout_ms),
    _send_all,
    net.native_tcp_accept,
    net.native_tcp_broadcast,
    net.native_tcp_is_connected,
    net.native_tcp_get_clients,
    net.native_tcp_kick_client,
    net.native_tcp_close,
    net.native_tcp_stop_server,
)
WS = Api(
    _receive_either,
    net.native_ws_recv_blocking,
    _send_either,
    net.native_ws_accept,
    net.native_ws_broadcast,
    net.native_ws_is_connected,
    net.native_ws_get_clients,
    net.native_ws_kick_client,
    net.native_ws_close,
    net.native_ws_stop_server,
)


class Server(threading.Thread):
    """A server and the thread that serves it, until stop()."""

    def __init__(self, name: str, identifier: int, port: int, ledger: messages.Ledger) -> None:
        super().__init__(name=name, daemon=True)
        self.id = identifier
        self.port = port
        self.ledger = ledger
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            self.serve()
        except Exception as error:
            self.ledger.failed(self.name, f"{type(error).__name__}: {error}")

    def serve(self) -> None:
        """What the thread does."""
        raise NotImplementedError

    def end(self) -> None:
        """Give everything back."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop serving, and the server."""
        self.stopping.set()
        self.join(60)
        if self.is_alive():
            self.ledger.failed(self.name, "the server's thread does not end")
        self.end()


class EchoServer(Server):
    """One thread for all clients, or one for each."""

    def __init__(
        self, name: str, identifier: int, port: int, ledger: messages.Ledger, api: Api, threads: bool = False
    ) -> None:
        super().__init__(name, identifier, port, ledger)
        self.api = api
        self.threads = threads
        self.tails: dict[int, str] = {}  # the end of what a client has sent

    def serve(self) -> None:
        clients: list[int] = []
        while not self.stopping.is_set():
            for ready in net.native_net_wait([self.id, *clients], LOOK_MS):
                if ready == self.id:
                    self._accept(clients)
                elif not self._answer(ready, self.api.receive):
                    clients.remove(ready)

    def _accept(self, clients: list[int]) -> None:
        while (client := self.api.accept(self.id)) is not None:
            if self.threads:
                threading.Thread(target=self._attend, args=(client,), daemon=True).start()
            else:
                clients.append(client)

    def _attend(self, client: int) -> None:
        while self._answer(client, lambda identifier: self.api.receive_waiting(identifier, LOOK_MS)):
            if self.stopping.is_set():
                return

    def _answer(self, client: int, receive: Callable[[int], Any]) -> bool:
        """Send back what has come. False: this client has gone, or was thrown out."""
        try:
            message = receive(client)
            if message:
                self.api.send(client, message)
                if isinstance(message, str):
                    self.tails[client] = (self.tails.get(client, "") + message)[-len(KICK_ME) :]
                    if self.tails[client] == KICK_ME:
                        self.api.kick(client)
                        del self.tails[client]
                        return False
            if self.api.is_connected(client):
                return True
        except (net.NetworkError, net.NetworkTimeoutError):
            pass  # broken, or it does not read: the client's side says whether that is as it should be
        except net.IdError:
            if not self.stopping.is_set():
                raise
        self.api.close(client)
        self.tails.pop(client, None)
        return False

    def end(self) -> None:
        self.api.stop(self.id)


class Broadcaster(Server):
    """Sends numbered messages to whoever is there, and throws somebody out now and then."""

    def __init__(self, name: str, identifier: int, port: int, ledger: messages.Ledger, api: Api, seed: str) -> None:
        super().__init__(name, identifier, port, ledger)
        self.api = api
        self.rng = random.Random(seed)

    def serve(self) -> None:
        number = 0
        accepted: list[int] = []
        while not self.stopping.wait(0.01):
            while (client := self.api.accept(self.id)) is not None:
                accepted.append(client)
            if number % 20 == 0:
                for gone in [client for client in accepted if not self.api.is_connected(client)]:
                    self.api.close(gone)
                    accepted.remove(gone)
            size = int(2 ** self.rng.uniform(0, 13))
            self.api.broadcast(self.id, messages.text(self.name, number, size) + "\n")
            number += 1
            clients = self.api.clients(self.id)
            if clients and self.rng.random() < 0.01:
                self.api.kick(self.rng.choice(clients))

    def end(self) -> None:
        self.api.stop(self.id)


class UdpEcho(Server):
    """Sends every datagram back to where it came from."""

    def serve(self) -> None:
        while not self.stopping.is_set():
            if not net.native_net_wait([self.id], LOOK_MS):
                continue
            while (datagram := net.native_udp_recv(self.id)) is not None:
                net.native_udp_send(self.id, datagram["data"], datagram["ip"], datagram["port"])

    def end(self) -> None:
        net.native_udp_close(self.id)
