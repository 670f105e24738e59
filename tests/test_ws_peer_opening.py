"""The opening handshake with other implementations: paths, headers, subprotocols, refusals, origins."""

from __future__ import annotations

import pytest
from peer_support import KINDS, NOTHING, Kind, Meet, Serve, peers_that, port_of
from peers.conversation import Opening, Peer
from peers.remote_peer import Chromium
from support import Running
from ws_support import accept_of

import dryad_net as net

pytest_plugins = ["peer_fixtures"]

# Clients that close when the server takes none of the subprotocols they asked for (WHATWG WebSockets, section 2.2).
INSIST = {"ws", "chromium"}


@peers_that()
def test_path_and_query(meet: Meet) -> None:
    path = "/a%20b/c.d;e=f?g=h&i=%C3%A1"
    meeting = meet(path=path)
    assert net.native_ws_client_info(meeting.id)["path"] == path
    assert meeting.other.path in (None, path)


@peers_that("headers", role="client")
def test_headers_of_a_client(meet: Meet) -> None:
    headers = {"X-Token": "abc, def", "Cookie": "a=1; b=2", "Authorization": "Bearer 123", "X-Long": "x" * 8000}
    told = net.native_ws_client_info(meet(theirs=Opening(headers=headers)).id)["headers"]
    assert {name: told[name.lower()] for name in headers} == headers


@peers_that("their headers", role="client")
def test_headers_of_our_server(meet: Meet) -> None:
    meeting = meet(ours=Opening(headers={"X-Server": "dryad", "X-Long": "x" * 2000}))
    assert (meeting.other.headers["x-server"], meeting.other.headers["x-long"]) == ("dryad", "x" * 2000)


@peers_that(role="server")
def test_headers_of_our_client(meet: Meet) -> None:
    headers = {"X-Token": "abc, def", "Cookie": "a=1; b=2", "Authorization": "Bearer 123", "X-Long": "x" * 2000}
    meeting = meet(Opening(headers=headers), Opening(headers={"X-Server": "theirs"}))
    assert {name: meeting.other.headers[name.lower()] for name in headers} == headers
    meeting.exchange("hello")


@peers_that(role="server")
def test_user_and_password_in_the_url(serve: Serve) -> None:
    server = serve(NOTHING)
    identifier = net.native_ws_connect(f"ws://user:p%40ss@127.0.0.1:{server.port}/")
    assert net.native_ws_is_connected(identifier)
    conversation = server.accept()
    assert conversation.headers["authorization"] == "Basic dXNlcjpwQHNz"
    net.native_ws_close(identifier)
    conversation.closed()


@peers_that()
@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        pytest.param(("chat",), ("chat",), {"chat"}, id="one"),
        pytest.param(("a", "chat", "b"), ("x", "chat", "y"), {"chat"}, id="one of several"),
        pytest.param(("a", "b"), ("b", "a"), {"a", "b"}, id="several"),
    ],
)
def test_subprotocol(
    meet: Meet, peer_kind: Kind, ours: tuple[str, ...], theirs: tuple[str, ...], agreed: set[str]
) -> None:
    meeting = meet(Opening(subprotocols=ours), Opening(subprotocols=theirs))
    chosen = net.native_ws_client_info(meeting.id)["subprotocol"]
    assert chosen in agreed
    assert meeting.other.subprotocol == (None if peer_kind.peer == "libcurl" else chosen)
    meeting.exchange("hello")


# undici refuses too, but leaves the connection as it is.
@pytest.mark.parametrize(
    "peer_kind", [each for each in KINDS if each.role == "client" and each.peer != "undici"], indirect=True, ids=str
)
def test_no_subprotocol_in_common(peer: Peer, peer_kind: Kind) -> None:
    """Our server answers without one (RFC 6455, section 4.2.2); whether to go on is the client's to judge."""
    server = net.native_ws_bind("127.0.0.1", 0)
    net.native_ws_set_subprotocol(server, "chat")
    connecting = Running(peer.connect, f"ws://127.0.0.1:{port_of(server)}/", Opening(subprotocols=("other",)))
    if peer_kind.peer in INSIST:
        with pytest.raises(ConnectionError):
            connecting.result()
    else:
        accepted = accept_of(server)
        assert net.native_ws_client_info(accepted)["subprotocol"] is None
        conversation = connecting.result()
        assert conversation.subprotocol is None
        net.native_ws_close(accepted)
        conversation.closed()


@peers_that("headers", role="client")
def test_a_foreign_origin_is_refused(peer: Peer) -> None:
    server = net.native_ws_bind("127.0.0.1", 0)
    net.native_ws_set_origins(server, ["https://example.org"])
    url = f"ws://127.0.0.1:{port_of(server)}/"
    connecting = Running(peer.connect, url, Opening(headers={"Origin": "https://example.com"}))
    with pytest.raises(Exception, match=r"403|handshake|error|Refused|WebSocket"):
        connecting.result()
    for opening in (NOTHING, Opening(headers={"Origin": "https://example.org"})):
        connecting = Running(peer.connect, url, opening)
        accepted = accept_of(server)
        conversation = connecting.result()
        net.native_ws_close(accepted)
        conversation.closed()
    assert net.native_ws_accept(server) is None


@pytest.mark.parametrize("peer_kind", [Kind("chromium", "client")], indirect=True, ids=str)
def test_the_origin_of_a_page(peer: Chromium) -> None:
    server = net.native_ws_bind("127.0.0.1", 0)
    url = f"ws://127.0.0.1:{port_of(server)}/"
    # Another port, host or scheme is another origin (RFC 6454, section 4).
    net.native_ws_set_origins(server, ["http://127.0.0.1", "http://localhost", peer.origin.replace("http:", "https:")])
    with pytest.raises(ConnectionError):
        peer.connect(url, NOTHING)
    assert net.native_ws_accept(server) is None
    net.native_ws_set_origins(server, ["https://example.org", peer.origin])
    connecting = Running(peer.connect, url, NOTHING)
    accepted = accept_of(server)
    assert net.native_ws_client_info(accepted)["headers"]["origin"] == peer.origin
    conversation = connecting.result()
    net.native_ws_close(accepted)
    conversation.closed()
