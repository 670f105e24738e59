"""nginx, haproxy and stunnel between a client and a server, also as the end or the beginning of TLS."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from peer_support import NOTHING, SOON_MS, Kind, Meeting, Serve, call, listen, port_of, program
from peers.certificates import Certificates
from peers.conversation import Closed, Conversation, Message, Opening, Peer
from peers.proxies import COMMANDS, Proxy
from support import Running, free_ports, refusal, wait_until
from ws_support import accept_of

import dryad_net as net

pytest_plugins = ["peer_fixtures"]

# Each proxy and the ways through it: without TLS, ending it, beginning it.
WAYS = [(name, way) for name in COMMANDS for way in ("plain", "tls", "out") if (name, way) != ("stunnel", "plain")]


def ways(wanted: Callable[[str, str], bool] = lambda name, way: True) -> pytest.MarkDecorator:
    """Run a test with every way through every proxy, or with some."""
    chosen = [pytest.param(*each, id=" ".join(each)) for each in WAYS if wanted(*each)]
    return pytest.mark.parametrize(("proxy_name", "way"), chosen)


BLOCKS = [random.Random(size).randbytes(size) for size in (0, 1, 125, 126, 65535, 65536, 1 << 20)]
TEXTS = ["olá", "", "日本語" * 30_000]


class Own(Conversation):
    """The library itself as the other side."""

    def __init__(self, identifier: int) -> None:
        super().__init__()
        self.id = identifier

    def send(self, *messages: Message) -> None:
        Meeting(self.id, self).send(*messages)

    def receive(self, count: int) -> list[Message]:
        received: list[Message] = []
        for _ in range(count):
            (ready,) = net.native_net_wait([self.id], SOON_MS)
            message = net.native_ws_recv(ready)
            received.append(net.native_ws_recv_binary(ready) if message is None else message)
        return received

    def close(self, code: int, reason: str) -> None:
        net.native_ws_close_with(self.id, code, reason)

    def closed(self) -> Closed:
        wait_until(lambda: net.native_ws_get_state(self.id) == "closed")
        info = net.native_ws_client_info(self.id)
        return Closed(info["close_code"], info["close_reason"])


class Way(NamedTuple):
    """A way through a proxy: the URL in front of it, and whether the server behind it has TLS."""

    url: str
    proxy: Proxy


Start = Callable[..., Way]
Behind = Callable[..., tuple[int, str]]


@pytest.fixture
def through(proxy_name: str, way: str, certificates: Certificates, tmp_path: Path) -> Iterator[Start]:
    """Start a proxy in front of a server: through(port, certificate="")."""
    executable = program(COMMANDS[proxy_name][0])
    started: list[Proxy] = []

    def start(port: int, certificate: str = "") -> Way:
        proxy = Proxy(proxy_name, executable, tmp_path, port, certificates, certificate)
        started.append(proxy)
        scheme = "wss://localhost" if way == "tls" else "ws://127.0.0.1"
        return Way(f"{scheme}:{getattr(proxy, way)}/", proxy)

    yield start
    for proxy in started:
        proxy.stop()


@pytest.fixture
def ours_behind(through: Start, way: str, certificates: Certificates) -> Behind:
    """A server of the library's behind the proxy, and the URL in front: ours_behind(opening)."""

    def start(opening: Opening = NOTHING) -> tuple[int, str]:
        server = listen(opening._replace(tls=certificates.server) if way == "out" else opening)
        return server, through(port_of(server)).url

    return start


@ways()
def test_the_library_on_both_sides(ours_behind: Behind, way: str, certificates: Certificates) -> None:
    settings = Opening(subprotocols=("chat",), headers={"X-Test": "abc"}, deflate={})
    server, url = ours_behind(settings)
    own = call(url + "path?q=1", settings._replace(tls=certificates.authority if way == "tls" else None))
    accepted = accept_of(server)
    info = net.native_ws_client_info(accepted)
    assert (info["path"], info["subprotocol"], bool(info["compression"])) == ("/path?q=1", "chat", True)
    assert info["headers"]["x-test"] == "abc"
    meeting = Meeting(own, Own(accepted))
    meeting.exchange(*BLOCKS)
    meeting.exchange(*TEXTS)
    net.native_ws_ping(own)
    wait_until(lambda: net.native_ws_client_info(own)["latency_ms"])
    meeting.other.send("before")
    net.native_ws_close_with(accepted, 4000, "até logo")
    assert meeting.receive("") == "before"
    assert Own(own).closed() == (4000, "até logo")


@ways()
@pytest.mark.parametrize("peer_kind", [Kind("websockets", "client")], indirect=True, ids=str)
def test_a_peer_in_front_of_our_server(ours_behind: Behind, peer: Peer, way: str, certificates: Certificates) -> None:
    server, url = ours_behind(Opening(deflate={}))
    opening = Opening(deflate={}, tls=certificates.authority if way == "tls" else None)
    connecting = Running(peer.connect, url, opening)
    meeting = Meeting(accept_of(server), connecting.result())
    meeting.exchange(*BLOCKS)
    meeting.exchange(*TEXTS)
    assert meeting.other.ping(b"through") == b"through"
    net.native_ws_kick_client(meeting.id)
    assert meeting.other.closed().code == 1008


@ways()
@pytest.mark.parametrize("peer_kind", [Kind("websockets", "server")], indirect=True, ids=str)
def test_our_client_in_front_of_a_peer(through: Start, serve: Serve, way: str, certificates: Certificates) -> None:
    server = serve(Opening(deflate={}, tls=certificates.server if way == "out" else None))
    opening = Opening(deflate={}, tls=certificates.authority if way == "tls" else None)
    identifier = call(through(server.port).url, opening)
    meeting = Meeting(identifier, server.accept())
    meeting.exchange(*BLOCKS)
    meeting.exchange(*TEXTS)
    meeting.other.close(4000, "até logo")
    assert Own(identifier).closed() == (4000, "até logo")
    meeting.other.closed()


@ways()
def test_many_clients(ours_behind: Behind, way: str, certificates: Certificates) -> None:
    server, url = ours_behind()
    opening = Opening(tls=certificates.authority if way == "tls" else None)
    own = [call(url, opening) for _ in range(20)]
    accepted = [accept_of(server) for _ in own]
    assert net.native_ws_broadcast(server, "to everybody") == 20
    for identifier in own:
        assert net.native_ws_recv_blocking(identifier, SOON_MS) == "to everybody"
    for number, identifier in enumerate(own):
        net.native_ws_send(identifier, str(number))
    assert sorted(int(net.native_ws_recv_blocking(each, SOON_MS)) for each in accepted) == list(range(20))
    net.native_ws_stop_server(server)
    for identifier in own:
        assert Own(identifier).closed().code == 1001


@ways()
def test_the_proxy_ends(through: Start, way: str, certificates: Certificates) -> None:
    """In the middle of a connection, without a Close frame: both sides find out."""
    server = listen(Opening(tls=certificates.server if way == "out" else None))
    started = through(port_of(server))
    own = call(started.url, Opening(tls=certificates.authority if way == "tls" else None))
    accepted = accept_of(server)
    started.proxy.stop()
    for identifier in (own, accepted):
        wait_until(lambda identifier=identifier: net.native_ws_get_state(identifier) == "closed")
        assert net.native_ws_client_info(identifier)["close_code"] in (None, 1006)


@ways(lambda name, way: name != "stunnel" and way != "out")
def test_the_proxy_refuses(through: Start, way: str, certificates: Certificates) -> None:
    (nobody,) = free_ports(1)
    url = through(nobody).url
    for path, status, words in (("refused", "403", "not for you"), ("", "50", "")):
        identifier = net.native_ws_connect(url + path)
        if way == "tls":
            net.native_ws_set_tls(identifier, {"ca_file": certificates.authority})
        error = refusal(net.native_ws_send, identifier, "hello")
        assert error.code == "E5006"
        assert status in str(error)
        assert words in str(error)
        net.native_ws_close(identifier)


@ways(lambda name, way: way == "tls")
@pytest.mark.parametrize(
    ("certificate", "words"), [("expired", "expired"), ("other_host", "localhost"), ("self_signed", "self-signed")]
)
def test_certificates_that_are_no_good(
    through: Start, certificates: Certificates, certificate: str, words: str
) -> None:
    server = listen(NOTHING)
    identifier = net.native_ws_connect(through(port_of(server), getattr(certificates, certificate)).url)
    net.native_ws_set_tls(identifier, {"ca_file": certificates.authority})
    error = refusal(net.native_ws_send, identifier, "secret")
    assert error.code == "E5006"
    assert words in str(error)
    assert net.native_ws_accept(server) is None


@ways(lambda name, way: (name, way) == ("nginx", "tls"))
def test_a_certificate_of_the_client(through: Start, certificates: Certificates) -> None:
    server = listen(NOTHING)
    url = through(port_of(server)).url + "private"
    nobody = net.native_ws_connect(url)
    net.native_ws_set_tls(nobody, {"ca_file": certificates.authority})
    assert "401" in str(refusal(net.native_ws_send, nobody, "secret"))
    known = net.native_ws_connect(url)
    chain, key = certificates.server_chain, certificates.server_key
    net.native_ws_set_tls(known, {"ca_file": certificates.authority, "cert_file": chain, "key_file": key})
    net.native_ws_send(known, "it is me")
    assert net.native_ws_recv_blocking(accept_of(server), SOON_MS) == "it is me"
