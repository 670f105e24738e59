"""TLS between two memory buffers: our client and our server, however the bytes come, and whatever they are."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable

import pytest
from tls_support import FILES, HOST, connected, exchange, pair, trouble

from dryad_net import tls
from dryad_net.errors import NetworkError
from dryad_net.tls import Tls, TlsOptions

# ---- sessions


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_session_however_its_bytes_come(step: int) -> None:
    client, server = pair(FILES)
    assert not client.established
    assert client.step() is False
    exchange(client, server, step)
    assert client.established
    assert server.established
    assert client.step() is True
    for sender, receiver in ((client, server), (server, client)):
        for size in (0, 1, 16383, 16384, 16385, 100_000):
            message = random.Random(size).randbytes(size)
            data = sender.encrypt(message)
            got = b"".join(receiver.decrypt(data[start : start + step]) for start in range(0, len(data), step))
            assert got == message
    assert client.due() == server.due() == b""


def test_several_records_in_one_read() -> None:
    client, server = connected(FILES)
    data = b"".join(client.encrypt(bytes([number]) * 3) for number in range(100))
    assert server.decrypt(data) == b"".join(bytes([number]) * 3 for number in range(100))


def test_data_together_with_the_end_of_the_handshake() -> None:
    client, server = pair(FILES)
    client.step()
    server.decrypt(client.due())
    client.decrypt(server.due())
    assert client.established
    assert server.decrypt(client.due() + client.encrypt(b"early")) == b"early"


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_any_bytes_like_object(make: Callable[[bytes], bytes]) -> None:
    client, server = connected(FILES)
    assert server.decrypt(make(client.encrypt(make(b"abc")))) == b"abc"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions(version: ssl.TLSVersion) -> None:
    """RFC 8446 with its session tickets, which come after the handshake, and RFC 5246."""
    context = tls.server_context(FILES.cert, FILES.key)
    context.maximum_version = context.minimum_version = version
    client, server = Tls(tls.client_context(TlsOptions(FILES.ca)), HOST), Tls(context, None)
    exchange(client, server)
    assert client.decrypt(server.encrypt(b"a") + server.encrypt(b"b")) == b"ab"
    assert server.decrypt(client.encrypt(b"c")) == b"c"


def test_http_is_what_is_agreed_on() -> None:
    """RFC 7301: a server that speaks HTTP/2 as well has to know."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FILES.cert, FILES.key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    names: list[str | None] = []
    context.sni_callback = lambda _session, name, _context: names.append(name)
    for host in (HOST, HOST + ".", "127.0.0.1"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        client = Tls(tls.client_context(TlsOptions(FILES.ca)), host)
        client.step()
        incoming.write(client.due())
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        client.decrypt(outgoing.read())
        incoming.write(client.due())
        server.do_handshake()
        assert server.selected_alpn_protocol() == "http/1.1"
    # RFC 6066, 3: a name without the dot at its end, and no address.
    assert names == [HOST, HOST, None]


@pytest.mark.parametrize("protocols", [["http/1.1"], ["h2", "http/1.1"], ["h2"], []])
def test_our_server_takes_what_a_client_offers(protocols: list[str]) -> None:
    context = ssl.create_default_context(cafile=FILES.ca)
    if protocols:
        context.set_alpn_protocols(protocols)
    client, server = Tls(context, HOST), Tls(tls.server_context(FILES.cert, FILES.key), None)
    exchange(client, server)
    assert server.decrypt(client.encrypt(b"x")) == b"x"


# ---- the end


def test_each_side_ends_in_its_own_time() -> None:
    """RFC 8446, 6.1: after one side's close_notify, the other may still send."""
    client, server = connected(FILES)
    data = client.encrypt(b"last") + client.end()
    assert server.decrypt(data) == b"last"
    assert server.ended
    assert not client.ended
    assert client.decrypt(server.encrypt(b"late")) == b"late"
    assert client.decrypt(server.end()) == b""
    assert client.ended
    assert client.decrypt(b"") == b""


def test_both_end_at_once() -> None:
    client, server = connected(FILES)
    to_server, to_client = client.end(), server.end()
    assert to_server
    assert to_client
    assert server.decrypt(to_server) == client.decrypt(to_client) == b""
    assert client.ended
    assert server.ended
    assert client.end() == b""


def test_what_comes_after_the_end_is_not_read() -> None:
    client, server = connected(FILES)
    server.decrypt(client.end())
    assert server.decrypt(b"\x17\x03\x03\x00\x05hello") == b""
    assert server.ended


def test_ending_what_never_began() -> None:
    client, server = pair(FILES)
    assert client.end() == server.end() == b""
    client, server = pair(FILES)
    client.step()
    client.end()
    assert not client.ended


def test_a_stream_that_is_cut_off_is_said_so() -> None:
    client, server = pair(FILES)
    assert "closed the connection during the TLS handshake" in str(client.cut_off())
    exchange(client, server)
    assert "the client closed the connection without ending TLS" in str(server.cut_off())
    data = client.encrypt(b"whole") + client.encrypt(b"half")[:-3]
    assert server.decrypt(data) == b"whole"
    assert not server.ended


# ---- no TLS, or another


@pytest.mark.parametrize("received", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00", b"\xff" * 100])
def test_a_server_without_tls(received: bytes) -> None:
    client, _ = pair(FILES)
    client.step()
    with pytest.raises(NetworkError, match="the server does not speak TLS"):
        client.decrypt(received)
    with pytest.raises(NetworkError, match="the server does not speak TLS"):
        client.step()


def test_a_client_without_tls() -> None:
    _, server = pair(FILES)
    with pytest.raises(NetworkError, match="the client does not speak TLS"):
        server.decrypt(b"GET / HTTP/1.1\r\n\r\n")


def test_no_version_in_common() -> None:
    client, server = pair(FILES)
    context = tls.client_context(TlsOptions(FILES.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    newest = tls.server_context(FILES.cert, FILES.key)
    newest.minimum_version = ssl.TLSVersion.TLSv1_3
    client, server = Tls(context, HOST), Tls(newest, None)
    assert "TLS: no version in common with the client" in trouble(client, server)
    with pytest.raises(NetworkError, match="no version in common with the server"):
        client.decrypt(server.due())


def test_no_cipher_in_common() -> None:
    context = tls.client_context(TlsOptions(FILES.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    other = tls.server_context(FILES.cert, FILES.key)
    other.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    client, server = Tls(context, HOST), Tls(other, None)
    assert "TLS: no cipher in common with the client" in trouble(client, server)
    with pytest.raises(NetworkError, match="TLS: nothing in common with the server"):
        client.decrypt(server.due())


def test_rubbish_instead_of_the_handshake() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        client, server = pair(FILES)
        client.step()
        hello = bytearray(client.due())
        for _ in range(chance.randrange(1, 8)):
            hello[chance.randrange(len(hello))] = chance.randrange(256)
        with_error = False
        try:
            server.decrypt(hello)
            client.decrypt(server.due())
            server.decrypt(client.due())
        except NetworkError:
            with_error = True
        assert with_error or client.established or not server.established


def test_a_record_that_was_changed() -> None:
    """What came before it is readable, and then it is said, again and again."""
    client, server = connected(FILES)
    good, bad = client.encrypt(b"good"), bytearray(client.encrypt(b"bad"))
    bad[-1] ^= 1
    assert server.decrypt(good + bad) == b"good"
    assert isinstance(server.trouble, NetworkError)
    assert server.due()
    for _ in range(2):
        with pytest.raises(NetworkError, match="TLS: decryption failed or bad record mac"):
            server.decrypt(b"")
    client, server = connected(FILES)
    with pytest.raises(NetworkError, match="TLS: "):
        server.decrypt(b"\x17\x03\x03\x00\x05hello")
    with pytest.raises(NetworkError, match="the server ended TLS: bad record mac"):
        client.decrypt(server.due())
