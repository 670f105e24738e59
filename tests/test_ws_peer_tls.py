"""TLS with other implementations: wss:// to their servers with verification, and our server with their clients."""

from __future__ import annotations

import random
from typing import Any

import pytest
from peer_support import NOTHING, Kind, Meet, Serve, call, listen, peers_that, port_of
from peers.certificates import Certificates
from peers.conversation import Opening, Peer
from support import SOON, Running, refusal
from ws_support import accept_of

import dryad_net as net

pytest_plugins = ["peer_fixtures"]

CLIENTS_THAT_VERIFY = [Kind(name, "client") for name in ("websockets", "aiohttp", "tornado", "libcurl", "ws", "undici")]
SERVERS_THAT_ANSWER = [Kind(name, "server") for name in ("websockets", "websockets.sync", "aiohttp", "ws")]
# What is wrong with a certificate, and the words that say so.
UNTRUSTED = [
    pytest.param("expired", "expired", id="expired"),
    pytest.param("other_host", "localhost", id="another host's"),
    pytest.param("self_signed", "self-signed", id="self-signed"),
]


def openings(kind: Kind, certificates: Certificates, **settings: Any) -> tuple[Opening, Opening]:
    """What the library and what the peer asks for, with TLS: the server its certificate, the client the authority."""
    server = Opening(tls=certificates.server, **settings)
    client = Opening(tls=certificates.authority, **settings)
    return (server, client) if kind.role == "client" else (client, server)


@peers_that("tls")
def test_a_conversation(meet: Meet, peer_kind: Kind, certificates: Certificates) -> None:
    meeting = meet(*openings(peer_kind, certificates))
    source = random.Random(4)
    meeting.exchange(*(source.randbytes(size) for size in (0, 1, 125, 126, 65535, 65536, 1 << 20)))
    meeting.exchange("olá", "日本語" * 5000, "")
    meeting.exchange(*(f"message {number}" for number in range(500)))
    net.native_ws_close_with(meeting.id, 4000, "até logo")
    assert meeting.other.closed() == (4000, "até logo")


@peers_that("tls")
def test_the_peer_closes(meet: Meet, peer_kind: Kind, certificates: Certificates) -> None:
    meeting = meet(*openings(peer_kind, certificates))
    meeting.other.send("before")
    meeting.other.close(4000, "até logo")
    assert meeting.receive("") == "before"
    assert meeting.receive("") is None
    info = net.native_ws_client_info(meeting.id)
    assert (info["state"], info["close_code"], info["close_reason"]) == ("closed", 4000, "até logo")


@peers_that("tls", "their headers")
def test_with_everything(meet: Meet, peer_kind: Kind, certificates: Certificates) -> None:
    settings: dict[str, Any] = {"subprotocols": ("chat",), "headers": {"X-Test": "abc"}, "deflate": {}}
    meeting = meet(*openings(peer_kind, certificates, **settings))
    info = net.native_ws_client_info(meeting.id)
    assert (info["subprotocol"], bool(info["compression"])) == ("chat", True)
    assert meeting.other.headers["x-test"] == "abc"
    meeting.exchange("the same " * 10_000, "the same " * 10_000)


@peers_that("tls")
def test_nothing_is_lost_by_a_close(meet: Meet, peer_kind: Kind, certificates: Certificates) -> None:
    meeting = meet(*openings(peer_kind, certificates))
    messages = [f"{number}: " + "x" * 10_000 for number in range(100)]
    meeting.send(*messages)
    net.native_ws_close(meeting.id)
    assert meeting.other.receive(100) == messages
    assert meeting.other.closed() == (1000, "")


@peers_that("tls", role="server")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_store_of_the_environment(
    serve: Serve, certificates: Certificates, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Opening(tls=certificates.server))
    monkeypatch.setenv("SSL_CERT_FILE", certificates.authority)
    identifier = call(f"wss://{host}:{server.port}/", NOTHING)
    conversation = server.accept()
    conversation.send("verified")
    assert net.native_ws_recv_blocking(identifier, int(SOON * 1000)) == "verified"
    net.native_ws_close(identifier)
    conversation.closed()


@peers_that(role="server")
@pytest.mark.parametrize(("certificate", "words"), UNTRUSTED)
def test_a_certificate_that_is_no_good(serve: Serve, certificates: Certificates, certificate: str, words: str) -> None:
    server = serve(Opening(tls=getattr(certificates, certificate)))
    identifier = net.native_ws_connect(f"wss://localhost:{server.port}/")
    net.native_ws_set_tls(identifier, {"ca_file": certificates.authority})
    error = refusal(net.native_ws_send, identifier, "secret")
    assert error.code == "E5006"
    assert words in str(error)
    net.native_ws_close(identifier)


@peers_that(role="server")
def test_an_unknown_authority(serve: Serve, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(Opening(tls=certificates.server))
    monkeypatch.setenv("SSL_CERT_FILE", certificates.other_authority)
    identifier = net.native_ws_connect(f"wss://localhost:{server.port}/")
    error = refusal(net.native_ws_send, identifier, "secret")
    assert error.code == "E5006"
    assert "certificate" in str(error)
    net.native_ws_close(identifier)


@peers_that("tls", role="server")
def test_not_verified_at_the_script_s_own_risk(serve: Serve, certificates: Certificates) -> None:
    server = serve(Opening(tls=certificates.self_signed))
    identifier = net.native_ws_connect(f"wss://127.0.0.1:{server.port}/")
    net.native_ws_set_tls(identifier, {"verify": False})
    net.native_ws_send(identifier, "not verified")
    conversation = server.accept()
    assert conversation.receive(1) == ["not verified"]
    net.native_ws_close(identifier)
    conversation.closed()


# tornado waits for the end of a request head.
@pytest.mark.parametrize("peer_kind", SERVERS_THAT_ANSWER, indirect=True, ids=str)
def test_a_server_that_does_not_speak_tls(serve: Serve) -> None:
    server = serve(NOTHING)
    identifier = net.native_ws_connect(f"wss://localhost:{server.port}/")
    error = refusal(net.native_ws_send, identifier, "secret")
    assert error.code == "E5006"
    assert "TLS" in str(error)
    net.native_ws_close(identifier)


@pytest.mark.parametrize("peer_kind", CLIENTS_THAT_VERIFY, indirect=True, ids=str)
def test_a_client_that_does_not_trust_our_server(peer: Peer, certificates: Certificates) -> None:
    """Its alert, or its hanging up, disturbs nobody else."""
    server = listen(Opening(tls=certificates.server))
    url = f"wss://localhost:{port_of(server)}/"
    with pytest.raises(Exception, match=r"(?i)certificate|SSL|error"):
        peer.connect(url, Opening(tls=certificates.other_authority))
    connecting = Running(peer.connect, url, Opening(tls=certificates.authority))
    accepted = accept_of(server)
    conversation = connecting.result()
    assert net.native_ws_accept(server) is None
    net.native_ws_close(accepted)
    conversation.closed()


# libcurl takes what comes instead of a response for one of HTTP/0.9.
@pytest.mark.parametrize(
    "peer_kind", [each for each in CLIENTS_THAT_VERIFY if each.peer != "libcurl"], indirect=True, ids=str
)
def test_a_client_without_tls_at_our_server_with_it(peer: Peer, certificates: Certificates) -> None:
    server = listen(Opening(tls=certificates.server))
    with pytest.raises(Exception, match=r"(?i)connect|closed|hang up|response|error|http"):
        peer.connect(f"ws://127.0.0.1:{port_of(server)}/", NOTHING)
    assert net.native_ws_accept(server) is None
