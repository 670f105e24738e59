"""Our extensions: TLS on both sides, origins, and what the other tests do not cover of the rest."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import SOON, Running, code_of, refusal, wait_until
from ws_support import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Peer,
    Upgrade,
    WsLink,
    accept_of,
    becomes,
    opened,
    received,
    received_binary,
    request,
    said_once,
    status_of,
    ws_port,
)

import dryad_net as net
from dryad_net.table import table

MIB = 1 << 20
Knock = Callable[..., Peer]


class Certificate(dict[str, str]):
    """The files of a certificate for localhost and 127.0.0.1, signed by itself."""

    @property
    def context(self) -> ssl.SSLContext:
        """A client's context that trusts it."""
        return ssl.create_default_context(cafile=self["cert_file"])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    if shutil.which("openssl") is None:
        pytest.skip("peer openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    made = Certificate(cert_file=str(folder / "cert.pem"), key_file=str(folder / "key.pem"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", made["key_file"], "-out", made["cert_file"]),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return made


@pytest.fixture
def tls_server(certificate: Certificate) -> int:
    """A wss:// server of ours."""
    return net.native_ws_listen_tls(0, certificate["cert_file"], certificate["key_file"])


@pytest.fixture
def tls_pair(tls_server: int, certificate: Certificate) -> tuple[int, int]:
    """Both ends in the library, encrypted."""
    own = net.native_ws_connect(f"wss://localhost:{ws_port(tls_server)}/path")
    net.native_ws_set_tls(own, {"ca_file": certificate["cert_file"]})
    net.native_ws_recv(own)
    accepted = accept_of(tls_server)
    return opened(own), accepted


@pytest.fixture
def tls_peer(tls_server: int, certificate: Certificate, ws_knock: Knock) -> Iterator[WsLink]:
    """A client of Python's ssl at our server."""
    plain = ws_knock(tls_server).raw
    with certificate.context.wrap_socket(plain, server_hostname="localhost") as raw:
        peer = Peer(raw, client=True)
        peer.say(request(path="/tls"))
        accepted = accept_of(tls_server)
        assert status_of(peer.head()) == 101
        yield WsLink(accepted, peer)


# ---- TLS


def test_messages_over_tls(tls_pair: tuple[int, int]) -> None:
    own, accepted = tls_pair
    for size in (0, 1, 126, 65536, 5 * MIB):
        sender = Running(net.native_ws_send_binary, own, bytes(size))
        assert received_binary(accepted) == bytes(size)
        sender.result()
        sender = Running(net.native_ws_send, accepted, "é" * size)
        assert received(own) == "é" * size
        sender.result()
    assert net.native_ws_client_info(accepted)["path"] == "/path"


def test_a_client_of_another_make(tls_peer: WsLink) -> None:
    net.native_ws_send(tls_peer.id, "hello")
    assert tls_peer.peer.message() == "hello"
    tls_peer.peer.text("and back")
    assert received(tls_peer.id) == "and back"
    tls_peer.peer.send(PING, b"in the background")
    assert tls_peer.peer.expect(PONG) == b"in the background"


def test_messages_that_came_in_one_record(tls_peer: WsLink) -> None:
    """What is decrypted and not yet read is as readable as what the system holds."""
    peer = tls_peer.peer
    peer.say(peer.frame(TEXT, b"one") + peer.frame(BINARY, b"two") + peer.frame(TEXT, b"three"))
    assert received(tls_peer.id) == "one"
    assert net.native_net_wait([tls_peer.id], 0) == [tls_peer.id]
    assert net.native_ws_recv(tls_peer.id) == "three"
    assert net.native_ws_recv_binary(tls_peer.id) == b"two"
    assert net.native_net_wait([tls_peer.id], 0) == []


def test_slow_clients_over_tls(tls_server: int, tls_peer: WsLink) -> None:
    assert net.native_ws_broadcast_binary(tls_server, b"q" * (8 * MIB)) == 1
    assert tls_peer.peer.message() == b"q" * (8 * MIB)


def test_closing_over_tls(tls_pair: tuple[int, int]) -> None:
    own, accepted = tls_pair
    net.native_ws_send(own, "last words")
    net.native_ws_close_with(own, 4000, "bye")
    assert received(accepted) == "last words"
    assert net.native_ws_recv_blocking(accepted, -1) is None
    info = net.native_ws_client_info(accepted)
    assert (info["close_code"], info["close_reason"]) == (4000, "bye")
    becomes(own, "closed")


def test_a_reset_over_tls(tls_peer: WsLink) -> None:
    tls_peer.peer.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    tls_peer.peer.raw.close()
    said_once(tls_peer.id)


def test_a_peer_that_closes_and_is_gone(tls_peer: WsLink) -> None:
    """That the end of TLS finds nobody any more is no trouble: the peer has said all it wanted."""
    tls_peer.peer.text("before")
    tls_peer.peer.close(4000, "bye")
    tls_peer.peer.hang_up()
    wait_until(lambda: table.objects[tls_peer.id].fileno() < 0, what="the background to end it")
    assert received(tls_peer.id) == "before"
    assert net.native_ws_recv_blocking(tls_peer.id, -1) is None
    assert net.native_ws_client_info(tls_peer.id)["close_code"] == 4000


@pytest.mark.parametrize("options", [{}, {"verify": True}])
def test_an_unknown_issuer_is_refused(tls_server: int, options: dict[str, object]) -> None:
    own = net.native_ws_connect(f"wss://localhost:{ws_port(tls_server)}/")
    net.native_ws_set_tls(own, options)
    error = refusal(net.native_ws_send, own, "x")
    assert error.code == "E5006"
    assert "certificate" in str(error)
    becomes(own, "closed")
    assert net.native_ws_recv(own) is None


def test_verified_without_any_setting(tls_server: int) -> None:
    own = net.native_ws_connect(f"wss://localhost:{ws_port(tls_server)}/")
    assert "certificate" in str(refusal(net.native_ws_send, own, "x"))


def test_another_name_is_refused(tls_server: int, certificate: Certificate) -> None:
    own = net.native_ws_connect(f"wss://127.0.0.2:{ws_port(tls_server)}/")
    net.native_ws_set_tls(own, {"ca_file": certificate["cert_file"]})
    assert "127.0.0.2" in str(refusal(net.native_ws_send, own, "x"))


def test_not_verified_where_the_script_says_so(tls_server: int) -> None:
    own = net.native_ws_connect(f"wss://127.0.0.2:{ws_port(tls_server)}/")
    net.native_ws_set_tls(own, {"verify": False})
    net.native_ws_send(own, "trusting")
    assert received(accept_of(tls_server)) == "trusting"


def test_plain_http_at_a_tls_server(tls_server: int, ws_knock: Knock, certificate: Certificate) -> None:
    """It is dropped, and disturbs nobody."""
    plain = ws_knock(tls_server)
    plain.say(request())
    silent = ws_knock(tls_server)
    own = net.native_ws_connect(f"wss://localhost:{ws_port(tls_server)}/")
    net.native_ws_set_tls(own, {"ca_file": certificate["cert_file"]})
    net.native_ws_send(own, "hello")
    assert received(accept_of(tls_server)) == "hello"
    plain.body()
    silent.hang_up()


def test_ws_to_a_tls_server(tls_server: int) -> None:
    own = net.native_ws_connect(f"ws://localhost:{ws_port(tls_server)}/")
    assert refusal(net.native_ws_send, own, "x").code == "E5006"


@pytest.mark.parametrize("missing", ["cert_file", "key_file", "ca_file"])
def test_files_that_cannot_be_read(certificate: Certificate, tls_server: int, missing: str, tmp_path: Path) -> None:
    (tmp_path / "garbage.pem").write_text("this is no certificate")
    for name in (str(tmp_path / "missing.pem"), str(tmp_path / "garbage.pem")):
        if missing == "ca_file":
            own = net.native_ws_connect(f"wss://localhost:{ws_port(tls_server)}/")

            def use(own: int = own, name: str = name) -> None:
                net.native_ws_set_tls(own, {"ca_file": name})
                net.native_ws_send(own, "x")

            with pytest.raises(net.DryadNetError) as caught:
                use()
            assert Path(name).name in str(caught.value)
        else:
            files = {**certificate, missing: name}
            error = refusal(net.native_ws_listen_tls, 0, files["cert_file"], files["key_file"])
            assert error.code == "E5006"
            assert Path(name).name in str(error)


def test_set_tls_is_for_our_own_connections(ws_client: WsLink, ws_server: int) -> None:
    assert code_of(net.native_ws_set_tls, ws_server, {}) == "E3029"
    assert code_of(net.native_ws_set_tls, ws_client.id, {}) in ("E3006", "E3029", "E5006")


# ---- origins


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        (["http://a.example"], "http://a.example", 101),
        (["http://a.example"], "HTTP://A.EXAMPLE", 101),
        (["http://a.example:80"], "http://a.example", 101),
        (["http://a.example"], "https://a.example", 403),
        (["http://a.example"], "http://a.example:81", 403),
        (["http://a.example"], "http://b.a.example", 403),
        (["http://a.example"], "http://a.example.evil.example", 403),
        (["http://a.example"], "null", 403),
        (["http://a.example", "https://b.example"], "https://b.example", 101),
        (["http://a.example"], None, 101),
        ([], "http://a.example", 403),
        ([], None, 101),
    ],
)
def test_origins(ws_server: int, ws_knock: Knock, allowed: list[str], origin: str | None, status: int) -> None:
    """RFC 6455, section 10.2; what sends no Origin is no browser."""
    net.native_ws_set_origins(ws_server, allowed)
    peer = ws_knock(ws_server)
    peer.say(request(*([f"Origin: {origin}"] if origin else [])))
    assert status_of(peer.head()) == status
    if status == 101:
        accept_of(ws_server)
    else:
        peer.body()
        assert net.native_ws_accept(ws_server) is None


def test_any_origin_by_default(ws_server: int, ws_dial: Upgrade) -> None:
    ws_dial(ws_server, "Origin: http://anybody.example")


def test_origins_are_a_servers(ws: WsLink) -> None:
    assert code_of(net.native_ws_set_origins, ws.id, []) == "E3029"


# ---- the rest


def test_local_addresses(ws_pair: tuple[int, int], ws_server: int) -> None:
    own, accepted = ws_pair
    info = net.native_ws_client_info(accepted)
    assert net.native_ws_get_local_addr(own) == {"ip": info["ip"], "port": info["port"]}
    assert net.native_ws_get_local_addr(accepted) == {"ip": "127.0.0.1", "port": ws_port(ws_server)}


def test_recv_binary_blocking(ws: WsLink) -> None:
    thread = Running(net.native_ws_recv_binary_blocking, ws.id, int(SOON * 1000)).wait_asleep()
    ws.peer.text("no binary")
    ws.peer.send(BINARY, b"\x00\xff")
    assert thread.result() == b"\x00\xff"
    assert net.native_ws_recv(ws.id) == "no binary"
    ws.peer.close()
    assert net.native_ws_recv_binary_blocking(ws.id, -1) is None
