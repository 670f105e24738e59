"""What the client asks, and what it takes for an answer (RFC 6455, 4.1; RFC 9112; RFC 9110)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from handshake_support import client, head, message, request, response

from dryad_net import handshake
from dryad_net.errors import NetworkError
from dryad_net.handshake import HEAD_LIMIT, Agreement

# ---- the request


def test_the_request() -> None:
    """RFC 6455, 4.1: GET, HTTP/1.1, Host, Upgrade, Connection, a key, version 13, and little else."""
    sent = message(client().request)
    assert sent.start == "GET /chat HTTP/1.1"
    assert sent.body == b""
    assert sent.fields.pop("host") == "server.example.com"
    assert sent.fields.pop("upgrade").lower() == "websocket"
    assert sent.fields.pop("connection") == "Upgrade"
    assert len(base64.b64decode(sent.fields.pop("sec-websocket-key"), validate=True)) == 16
    assert sent.fields.pop("sec-websocket-version") == "13"
    assert set(sent.fields) == {"user-agent"}


def test_each_request_has_a_key_of_its_own() -> None:
    """RFC 6455, 4.1, item 7."""
    assert len({message(client().request).fields["sec-websocket-key"] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("ws://a", "a", "/"),
        ("ws://a:80/b?c", "a", "/b?c"),
        ("ws://a:81", "a:81", "/"),
        ("wss://a:443", "a", "/"),
        ("wss://a:80", "a:80", "/"),
        ("ws://[::1]:9/ü", "[::1]:9", "/%C3%BC"),
        ("ws://[fe80::1%eth0]/", "[fe80::1]", "/"),
        ("ws://bücher.example/", "xn--bcher-kva.example", "/"),
        ("ws://" + "a" * 63 + ":8080", "a" * 63 + ":8080", "/"),
        ("ws://a.b./", "a.b.", "/"),
    ],
)
def test_host_and_target(url: str, host: str, target: str) -> None:
    """RFC 6455, 4.1, items 2 and 4."""
    sent = message(client(url).request)
    assert sent.fields["host"] == host
    assert sent.start == f"GET {target} HTTP/1.1"


def test_subprotocols_are_offered_in_order() -> None:
    """RFC 6455, 4.1, item 10."""
    sent = message(client(subprotocols=("b", "a", "c")).request)
    assert sent.fields["sec-websocket-protocol"] == "b, a, c"


def test_compression_is_offered() -> None:
    """RFC 6455, 4.1, item 11, and RFC 7692, 7.1.2.2."""
    sent = message(client(compression=True).request)
    assert sent.fields["sec-websocket-extensions"] == "permessage-deflate; client_max_window_bits"


def test_user_and_password_are_basic_authorization() -> None:
    """RFC 7617."""
    sent = message(client("ws://Aladdin:open%20sesame@server.example.com/").request)
    assert sent.fields["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert sent.fields["host"] == "server.example.com"


def test_headers_of_the_script_come_first() -> None:
    """Over those of the URL, whatever their case."""
    mine = {
        "AUTHORIZATION": "Bearer x",
        "hOST": "a..b:c",
        "origin": "https://ü",
        "Cookie": "a=1; b=2",
        "user-AGENT": "me",
    }
    sent = message(client("ws://u:p@server.example.com/", headers=mine).request)
    assert sent.fields["authorization"] == "Bearer x"
    assert sent.fields["host"] == "a..b:c"
    assert sent.fields["origin"] == "https://ü"
    assert sent.fields["cookie"] == "a=1; b=2"
    assert sent.fields["user-agent"] == "me"


def test_the_longest_request_is_within_the_limit() -> None:
    """Whatever is allowed for itself is allowed together, and our own server takes it."""
    url = "ws://" + ".".join(["a" * 60] * 4) + ":65535/"
    url += "p" * (6 * 1024 - len(url) + len("ws:///") - 1)
    headers = handshake.check_headers({"X": "y" * (8 * 1024 - len("X: \r\n"))}, "headers")
    subprotocols = handshake.check_subprotocols(",".join(f"{i:03}" for i in range(256)), "protocol")
    to = client(url, headers=headers, subprotocols=subprotocols, compression=True)
    assert len(to.request) < HEAD_LIMIT
    assert handshake.answer(to.request, handshake.Settings()).agreement is not None


# ---- the answer


def test_the_answer_is_accepted() -> None:
    to = client()
    assert to.accept(response(to)) == Agreement(None, None)


GOOD: list[Any] = [
    pytest.param({"Upgrade": "WebSocket"}, id="6455 4.1 item 2: Upgrade in any case"),
    pytest.param({"Connection": "upgrade"}, id="6455 4.1 item 3: Connection in any case"),
    pytest.param({"Connection": "keep-alive, Upgrade"}, id="6455 4.1 item 3: Connection is a list"),
    pytest.param({"X": "y", "Set-Cookie": "a=b", "Server": "z"}, id="other fields"),
    pytest.param({"X": b"\xff\x80"}, id="9110 5.5: obs-text"),
    pytest.param({"Content-Length": "0"}, id="9112 6.3: a 101 ends with its head, whatever it says"),
    pytest.param({"Transfer-Encoding": "chunked"}, id="9112 6.3: the same"),
    pytest.param({"start": "HTTP/1.1 101 "}, id="9112 4: no reason"),
    pytest.param({"start": "HTTP/1.1 101"}, id="9112 4: no reason, and no space before it"),
    pytest.param({"start": "HTTP/1.1 101 Gewiß doch"}, id="9112 4: any reason"),
    pytest.param({"start": "HTTP/1.2 101 OK"}, id="9110 2.5: a higher minor version"),
]


@pytest.mark.parametrize("changes", GOOD)
def test_what_is_accepted(changes: dict[str, str]) -> None:
    to = client()
    assert to.accept(response(to, **changes)) == Agreement(None, None)


def test_headers_in_any_form() -> None:
    """RFC 9110, 5.1 and 5.3; RFC 9112, 5.1 and 5.2: a user agent takes folded lines."""
    to = client()
    plain = response(to)
    assert to.accept(plain.replace(b"Upgrade: websocket", b"UPGRADE:\twebsocket \t")) == Agreement(None, None)
    for old, new in [
        (b": websocket", b":\r\n websocket"),
        (b": websocket", b": websocket \r\n\t "),
        (b"Connection: Upgrade", b"Connection: x\r\nConnection: Upgrade"),
        (b"Connection: Upgrade", b"Connection: Upgrade\r\nConnection: x"),
    ]:
        to = client()
        assert to.accept(response(to).replace(old, new)) == Agreement(None, None)


BAD: list[Any] = [
    pytest.param({"Upgrade": None}, "Upgrade", id="6455 4.1 item 2: no Upgrade"),
    pytest.param({"Upgrade": "h2c"}, "Upgrade", id="6455 4.1 item 2: another Upgrade"),
    pytest.param({"Upgrade": "websocket, h2c"}, "Upgrade", id="6455 4.1 item 2: two of them"),
    pytest.param({"Connection": None}, "Connection", id="6455 4.1 item 3: no Connection"),
    pytest.param({"Connection": "close"}, "Connection", id="6455 4.1 item 3: another Connection"),
    pytest.param({"Connection": b"\xff"}, "handshake failed", id="6455 4.1 item 3: not ASCII"),
    pytest.param({"Sec-WebSocket-Accept": None}, "accept", id="6455 4.1 item 4: no proof"),
    pytest.param({"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "accept", id="6455 4.1 item 4: a wrong one"),
    pytest.param({"Sec-WebSocket-Accept": ""}, "accept", id="6455 4.1 item 4: an empty one"),
    pytest.param({"Sec-WebSocket-Extensions": "permessage-deflate"}, "extension", id="6455 4.1 item 5: not offered"),
    pytest.param({"Sec-WebSocket-Extensions": ""}, "extension", id="6455 9.1: empty"),
    pytest.param({"Sec-WebSocket-Extensions": b"\xff"}, "handshake failed", id="6455 9.1: not ASCII"),
    pytest.param({"Sec-WebSocket-Protocol": "chat"}, "subprotocol", id="6455 4.1 item 6: not offered"),
    pytest.param({"Sec-WebSocket-Protocol": ""}, "subprotocol", id="6455 4.1 item 6: empty"),
    pytest.param({"Sec-WebSocket-Protocol": b"\xff"}, "handshake failed", id="6455 4.1 item 6: not ASCII"),
    pytest.param({"start": "HTTP/1.0 101 OK"}, "HTTP/1.0", id="9110 15.2: HTTP/1.0 has no 101"),
    pytest.param({"start": "HTTP/1.1 200 OK"}, "200", id="6455 4.1 item 1: another status"),
    pytest.param({"start": "HTTP/1.1 1O1 OK"}, "HTTP", id="9112 4: no status"),
    pytest.param({"start": "HTTP/1.1 1010 OK"}, "HTTP", id="9112 4: four digits"),
    pytest.param({"start": "HTTP/1.1  101 OK"}, "HTTP", id="9112 4: two spaces"),
    pytest.param({"start": "http/1.1 101 OK"}, "HTTP", id="9112 2.3: in lower case"),
    pytest.param({"start": "SSH-2.0-OpenSSH_9.2"}, "SSH", id="no HTTP at all"),
    pytest.param({"start": ""}, "HTTP", id="an empty line first"),
    pytest.param({"X": "a\x00b"}, "malformed", id="9110 5.5: NUL"),
    pytest.param({"X": "a\nb"}, "malformed", id="9112 2.2: a line that ends with LF"),
    pytest.param({"X": "a\rb"}, "malformed", id="9112 2.2: a CR by itself"),
    pytest.param({"X ": "a"}, "malformed", id="9112 5.1: white space before a colon"),
    pytest.param({"X\xff": "a"}, "malformed", id="9110 5.1: an illegal name"),
]


@pytest.mark.parametrize(("changes", "said"), BAD)
def test_what_is_not_accepted(changes: dict[str, str], said: str) -> None:
    to = client()
    with pytest.raises(NetworkError, match=f"(?i){said}") as caught:
        to.accept(response(to, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"])
def test_what_may_be_there_once(name: str) -> None:
    """RFC 6455, 11.3.2 to 11.3.4."""
    to = client(subprotocols=("chat",), compression=True)
    sent = response(to, Sec_WebSocket_Protocol="chat", Sec_WebSocket_Extensions="permessage-deflate")
    value = message(sent).fields[name.lower()]
    with pytest.raises(NetworkError, match="more than once"):
        to.accept(sent.replace(b"\r\n\r\n", f"\r\n{name}: {value}\r\n\r\n".encode()))


@pytest.mark.parametrize(("answered", "agreed"), [("chat", "chat"), ("x", "x"), (None, None)])
def test_the_subprotocol_is_one_of_ours_or_none(answered: str | None, agreed: str | None) -> None:
    """RFC 6455, 4.1, item 6 of the answer."""
    to = client(subprotocols=("chat", "x"))
    assert to.accept(response(to, Sec_WebSocket_Protocol=answered)).subprotocol == agreed


@pytest.mark.parametrize("answered", ["Chat", "chat, x", "y"])
def test_another_subprotocol_is_not_accepted(answered: str) -> None:
    to = client(subprotocols=("chat", "x"))
    with pytest.raises(NetworkError, match="subprotocol"):
        to.accept(response(to, Sec_WebSocket_Protocol=answered))


@pytest.mark.parametrize("answered", ["permessage-deflate", 'permessage-deflate ; server_max_window_bits = "9"', None])
def test_compression_may_be_answered_or_not(answered: str | None) -> None:
    to = client(compression=True)
    compression = to.accept(response(to, Sec_WebSocket_Extensions=answered)).compression
    assert (compression is None) == (answered is None)
    assert compression is None or compression.server_max_window_bits == (9 if '"9"' in (answered or "") else 15)


@pytest.mark.parametrize(
    "answered",
    [
        *["foo", "permessage-deflate, foo", "permessage-deflate, permessage-deflate", "Permessage-Deflate"],
        *[
            "permessage-deflate; x",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate;",
            "permessage-deflate, ",
        ],
        *["permessage-deflate; client_max_window_bits", "permessage-deflate; client_no_context_takeover=1"],
        *["permessage-deflate; server_max_window_bits=16", 'permessage-deflate; server_max_window_bits="'],
    ],
)
def test_another_extension_is_not_accepted(answered: str) -> None:
    """RFC 6455, 4.1, item 5 of the answer, and RFC 7692, 7.1."""
    to = client(compression=True)
    with pytest.raises(NetworkError, match="handshake failed"):
        to.accept(response(to, Sec_WebSocket_Extensions=answered))


def test_client_and_server_agree() -> None:
    settings = handshake.Settings(None, ("chat",), True)
    for wanted in ((), ("chat",), ("x",)):
        for compression in (False, True):
            to = client(subprotocols=wanted, compression=compression)
            answer = handshake.answer(to.request, settings)
            assert to.accept(answer.response) == answer.agreement


# ---- another answer


def refused(
    start: str, *fields: tuple[str, str], body: bytes = b"", url: str = "ws://a/?token=s3cret", **more: Any
) -> str:
    """How the client puts a refusal."""
    data = head(f"HTTP/1.1 {start}", *fields)
    assert handshake.status_of(data) == int(start[:3])
    return client(url, **more).refused(data, body).detail


def test_a_refusal_is_said_with_status_and_body() -> None:
    assert refused("403 Forbidden", body=b"<h1>No\r\n\tway</h1>\x00\xff") == (
        "the server refused: 403 Forbidden: <h1>No way</h1> \N{REPLACEMENT CHARACTER}"
    )
    assert refused("403 ") == "the server refused: 403 Forbidden"
    assert refused("499 Gone fishing") == "the server refused: 499 Gone fishing"
    assert refused("599") == "the server refused: 599"
    assert refused("200 OK", body="ü 😀".encode()) == "the server refused: 200 OK: ü 😀"


def test_a_refusal_is_not_long() -> None:
    assert len(refused("400 " + "x" * 5000, body=b"y" * 100_000)) < 300


def test_a_body_in_chunks() -> None:
    """RFC 9112, 7.1."""
    chunked = ("Transfer-Encoding", "Chunked")
    body = b"4;x=y\r\nNo, \r\nA\r\nreally not\r\n0\r\n\r\n"
    assert refused("400 Bad", chunked, body=body).endswith(": No, really not")
    for size in range(len(body)):
        refused("400 Bad", chunked, body=body[:size])
    assert refused("400 Bad", chunked, body=b"no chunks").endswith("400 Bad")


def test_a_body_that_is_compressed_is_not_shown() -> None:
    assert refused("400 Bad", ("Content-Encoding", "gzip"), body=b"\x1f\x8bxxxx") == "the server refused: 400 Bad"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://b.example:8443/x?token=s3cret", ": it points to https://b.example:8443"),
        ("https://user:s3cret@b.example/", ": it points to https://b.example"),
        ("//b.example/s3cret", ""),
        ("/x?token=s3cret", ""),
        ("http://[::1/s3cret", ""),
        ("\x80s3cret", ""),
        ("", ""),
    ],
)
def test_a_redirection_says_where_to_without_secrets(location: str, said: str) -> None:
    """RFC 6455, 4.1: redirections need not be followed."""
    text = refused("301 Moved Permanently", ("Location", location), body=b"see /?token=s3cret")
    assert text == f"the server refused: 301 Moved Permanently{said}"


def test_a_body_that_repeats_our_secrets() -> None:
    headers = {"Cookie": "sid=s3cret", "Authorization": "Bearer s3cret"}
    body = b"GET /?token=s3cret with Bearer s3cret and sid=s3cret"
    assert "s3cret" not in refused("404 Not Found", body=body, headers=headers)


@pytest.mark.parametrize(
    ("start", "fields", "size"),
    [
        ("400 Bad", {"Content-Length": "5"}, 5),
        ("400 Bad", {"Content-Length": "0"}, 0),
        ("400 Bad", {"Content-Length": "5, 5"}, 5),
        ("400 Bad", {"Content-Length": "5, 6"}, None),
        ("400 Bad", {"Content-Length": "-5"}, None),
        ("400 Bad", {"Content-Length": "9" * 5000}, None),
        ("400 Bad", {}, None),
        ("400 Bad", {"Content-Length": "5", "Transfer-Encoding": "chunked"}, None),
        ("204 No Content", {}, 0),
        ("304 Not Modified", {"Content-Length": "5"}, 0),
        ("100 Continue", {}, 0),
    ],
)
def test_how_much_body_there_is(start: str, fields: dict[str, str], size: int | None) -> None:
    """RFC 9112, 6.3."""
    assert client().body_size(head(f"HTTP/1.1 {start}", *fields.items())) == size


def test_answers_before_the_answer_have_their_status() -> None:
    """RFC 9110, 15.2: 100 and 103 may come before any other."""
    assert [handshake.status_of(head(f"HTTP/1.1 {status} x")) for status in (100, 103, 101)] == [100, 103, 101]


@pytest.mark.parametrize(
    ("received", "said"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 101 Sw", "closed the connection"),
        (b"HT", "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP, but says 'SSH-2.0-OpenSSH'"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "wss://"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * HEAD_LIMIT, "16384 bytes"),
    ],
)
def test_no_answer_at_all(received: bytes, said: str) -> None:
    assert said in str(handshake.no_answer(received))


def test_a_server_that_speaks_tls_is_named() -> None:
    with pytest.raises(NetworkError, match="wss://"):
        handshake.status_of(b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n")


def test_our_own_server_refuses_what_is_no_request() -> None:
    answer = handshake.answer(request(Upgrade=None), handshake.Settings())
    before, empty_line, body = answer.response.partition(b"\r\n\r\n")
    said = client().refused(before + empty_line, body).detail
    assert said.startswith("the server refused: 426 Upgrade Required: only WebSocket is spoken here")
