"""What the server answers to a request (RFC 6455, 4.2; RFC 9112; RFC 9110), whatever that is."""

from __future__ import annotations

import pytest
from handshake_support import ACCEPT, KEY, REQUEST, Message, head, message, request

from dryad_net import handshake
from dryad_net.handshake import HEAD_LIMIT, Agreement, Settings

PLAIN = Settings()
ALL = Settings({"X-Server": "yes"}, ("chat", "superchat"), True, frozenset({"https://example.org"}))


def accepted(data: bytes, settings: Settings = PLAIN) -> Message:
    """The response to a request that is accepted."""
    answer = handshake.answer(data, settings)
    assert answer.agreement is not None, answer.reason
    assert answer.reason == ""
    answered = message(answer.response)
    # RFC 9112, 4: the reason may be empty, as the older wsproto has it.
    assert answered.start in ("HTTP/1.1 101 Switching Protocols", "HTTP/1.1 101 ")
    assert answered.body == b""
    return answered


def agreed(data: bytes, settings: Settings) -> Agreement:
    """What is agreed on with a client."""
    agreement = handshake.answer(data, settings).agreement
    assert agreement is not None
    return agreement


def refused(data: bytes, status: int, settings: Settings = PLAIN) -> Message:
    """The response to a request that is refused, complete as RFC 9112 wants it."""
    answer = handshake.answer(data, settings)
    assert answer.agreement is None
    assert answer.reason
    answered = message(answer.response)
    assert answered.status == status, answer.reason
    assert "close" in answered.fields["connection"]
    if data.startswith(b"HEAD "):
        assert answered.body == b""
    else:
        assert answered.body.decode() == answer.reason + "\n"
        assert int(answered.fields["content-length"]) == len(answered.body)
    assert answered.fields["content-type"].startswith("text/plain")
    assert "sec-websocket-accept" not in answered.fields
    return answered


# ---- what is accepted


def test_the_example() -> None:
    """RFC 6455, 1.3 and 4.2.2, item 5."""
    fields = accepted(request()).fields
    assert fields.pop("upgrade").lower() == "websocket"
    assert fields == {"connection": "Upgrade", "sec-websocket-accept": ACCEPT}


GOOD = [
    pytest.param(request(start="GET / HTTP/1.1"), id="6455 4.2.1.1: a path"),
    pytest.param(request(start="GET /chat?a=b&c=%20 HTTP/1.1"), id="6455 4.2.1.1: a path and a query"),
    pytest.param(request(start="GET http://server.example.com/chat HTTP/1.1"), id="9112 3.2.2: an absolute URL"),
    pytest.param(request(start="GET ws://server.example.com/ HTTP/1.1"), id="9112 3.2.2: an absolute ws URL"),
    pytest.param(request(start="GET HTTPS://server.example.com?q HTTP/1.1"), id="9112 3.2.2: an absolute URL, no path"),
    pytest.param(request(start='GET /|^{}"<> HTTP/1.1'), id="9112 3.2: what browsers do not encode"),
    pytest.param(request(start="GET /chat HTTP/1.2"), id="6455 4.2.1.1: HTTP/1.1 or higher"),
    pytest.param(b"\r\n" + request(), id="9112 2.2: an empty line before the request"),
    pytest.param(request(Host="server.example.com:8080"), id="6455 4.2.1.2: a Host with a port"),
    pytest.param(request(Host="[::1]:8080"), id="9110 7.2: an IPv6 Host"),
    pytest.param(request(Host="a" * 63 + ":8080"), id="9110 7.2: the longest label, and a port"),
    pytest.param(request(Host="a..b"), id="9110 7.2: a Host that is no DNS name"),
    pytest.param(request(Host="my_host"), id="9110 7.2: a Host with an underscore"),
    pytest.param(request(Upgrade="WebSocket"), id="6455 4.2.1.3: Upgrade in any case"),
    pytest.param(request(Upgrade="h2c, websocket"), id="9110 7.8: Upgrade is a list"),
    pytest.param(request(("Upgrade", "h2c")), id="9110 5.3: Upgrade in two lines"),
    pytest.param(request(Connection="keep-alive, Upgrade"), id="6455 4.2.1.4: Connection is a list"),
    pytest.param(request(Connection="upgrade"), id="6455 4.2.1.4: Connection in any case"),
    pytest.param(request(Connection=",Upgrade ,\t,"), id="9110 5.6.1: empty elements"),
    pytest.param(request(("Connection", "keep-alive")), id="9110 5.3: Connection in two lines"),
    pytest.param(request(("Connection", "Upgrade"), Connection="x"), id="9110 5.3: the last of two Connection lines"),
    pytest.param(request(("Cookie", b"\xff\xfe\x80")), id="9110 5.5: obs-text is opaque"),
    pytest.param(request(("X-Empty", "")), id="9110 5.5: an empty value"),
    pytest.param(request(("!#$%&'*+-.^_`|~9z", "x")), id="9110 5.1: every character of a name"),
    pytest.param(request(("X", "a\tb\x80")), id="9110 5.5: a tab"),
    pytest.param(request().replace(b"Upgrade: websocket", b"upgrade:websocket"), id="9110 5.1: names in any case"),
    pytest.param(request().replace(b": ", b":"), id="9112 5: no white space after the colon"),
    pytest.param(request().replace(b": ", b": \t ").replace(b"13\r\n", b"13 \t\r\n"), id="9112 5.1: more, and after"),
    pytest.param(request(Content_Length="0"), id="9110 8.6: a body of nothing"),
    pytest.param(request(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA=="), id="6455 4.2.1.5: another key"),
    pytest.param(request(Origin="null"), id="6455 4.2.1.7: an Origin"),
    pytest.param(request(Origin="http://anywhere.example"), id="6455 4.2.2.4: no rule for origins"),
    pytest.param(request(Sec_WebSocket_Protocol="a, b"), id="6455 4.2.1.8: subprotocols that we do not have"),
    pytest.param(request(Sec_WebSocket_Extensions='x; y=z; q="a", foo'), id="6455 4.2.1.9: extensions we have not"),
    pytest.param(request(Sec_WebSocket_Extensions="permessage-deflate"), id="6455 4.2.1.9: one that is switched off"),
    pytest.param(request(Expect="100-continue", Cookie="a=b", Via="1.1 x"), id="6455 4.2.1.10: other fields"),
    pytest.param(head("GET / HTTP/1.1", *reversed(list(REQUEST.items()))), id="9110 5.3: in any order"),
    pytest.param(request(X="y" * (HEAD_LIMIT - len(request(X="")))), id="a head of just the limit"),
]


@pytest.mark.parametrize("data", GOOD)
def test_what_is_accepted(data: bytes) -> None:
    answered = accepted(data)
    assert answered.fields["sec-websocket-accept"]
    assert "sec-websocket-protocol" not in answered.fields
    assert "sec-websocket-extensions" not in answered.fields


# ---- what is refused

BAD = [
    (400, b"\r\n\r\n", "9112 3: nothing"),
    (400, b"\r\n\r\n\r\n", "9112 2.2: two empty lines"),
    (400, b"hello\r\n\r\n", "9112 3: no request line"),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "TLS"),
    (400, request(start="GET /chat"), "9112 3: HTTP/0.9"),
    (400, request(start="GET  /chat HTTP/1.1"), "9112 3: two spaces"),
    (400, request(start="GET /chat HTTP/1.1 "), "9112 3: a space at the end"),
    (400, request(start=" GET /chat HTTP/1.1"), "9112 3: a space at the beginning"),
    (400, request(start="GET\t/chat\tHTTP/1.1"), "9112 3: tabs"),
    (400, request(start="GET /a b HTTP/1.1"), "9112 3.2: a space in the target"),
    (400, request(start="GET /chat\xfc HTTP/1.1"), "9112 3.2: a target that is not ASCII"),
    (400, request(start="GET /chat#x HTTP/1.1"), "9112 3.2: a fragment"),
    (400, request(start="GET chat HTTP/1.1"), "9112 3.2: neither a path nor a URL"),
    (400, request(start="GET * HTTP/1.1"), "9112 3.2.4: asterisk-form"),
    (400, request(start="GET server:80 HTTP/1.1"), "9112 3.2.3: authority-form"),
    (400, request(start="GET ftp://server/ HTTP/1.1"), "6455 4.2.1.1: a URL of another scheme"),
    (400, request(start="GET http:///chat HTTP/1.1"), "9112 3.2.2: a URL without a host"),
    (400, request(start="GET /chat http/1.1"), "9112 2.3: the version in lower case"),
    (400, request(start="GET /chat HTTP/1"), "9112 2.3: half a version"),
    (400, request(start="GET /chat HTTP/11.1"), "9112 2.3: too much of a version"),
    (400, request(start="GET /chat HTTP/1.0"), "6455 4.2.1.1: HTTP/1.0"),
    (505, request(start="GET /chat HTTP/2.0"), "9110 15.6.6: another major version"),
    (505, request(start="GET /chat HTTP/0.9"), "9110 15.6.6: an older one"),
    (505, b"PRI * HTTP/2.0\r\n\r\n", "9113 3.4: HTTP/2 without asking"),
    (405, request(start="POST /chat HTTP/1.1"), "6455 4.2.1.1: POST"),
    (405, request(start="HEAD /chat HTTP/1.1"), "6455 4.2.1.1: HEAD"),
    (405, request(start="CONNECT server:80 HTTP/1.1"), "6455 4.2.1.1: CONNECT"),
    (405, request(start="get /chat HTTP/1.1"), "9110 9.1: methods are case-sensitive"),
    (400, request(Host=None), "6455 4.2.1.2: no Host"),
    (400, request(Host=""), "6455 4.2.1.2: an empty Host"),
    (400, request(("Host", "server.example.com")), "9112 3.2: two Hosts"),
    (400, request(Host="a b"), "9112 3.2: a Host that is none"),
    (400, request(Host="a/b"), "9112 3.2: a Host with a path"),
    (400, request(Host="user@a"), "9112 3.2: a Host with a user"),
    (400, request(Host="a:b"), "9112 3.2: a Host with a port that is none"),
    (400, request(Host="a, b"), "9112 3.2: two Hosts in one"),
    (400, request(Host="ü.example"), "9112 3.2: a Host that is not ASCII"),
    (400, request(Host=b"\xff"), "9112 3.2: a Host that is not even UTF-8"),
    (426, request(Upgrade=None), "6455 4.2.1.3: no Upgrade"),
    (426, request(Upgrade=""), "6455 4.2.1.3: an empty Upgrade"),
    (426, request(Upgrade="h2c"), "6455 4.2.1.3: another Upgrade"),
    (426, request(Upgrade="websockets"), "6455 4.2.1.3: not quite"),
    (426, request(Upgrade=b"websocket\xff"), "6455 4.2.1.3: an Upgrade that is not ASCII"),
    (426, request(Connection=None), "6455 4.2.1.4: no Connection"),
    (426, request(Connection="keep-alive"), "6455 4.2.1.4: another Connection"),
    (426, request(Connection="no-upgrade"), "6455 4.2.1.4: not quite"),
    (426, request(Connection=b"\xff"), "6455 4.2.1.4: a Connection that is not ASCII"),
    (426, head("GET / HTTP/1.1", ("Host", "a")), "6455 4.2.1: an ordinary request"),
    (400, request(Sec_WebSocket_Key=None), "6455 4.2.1.5: no key"),
    (400, request(Sec_WebSocket_Key=""), "6455 4.2.1.5: an empty key"),
    (400, request(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAA"), "6455 4.2.1.5: 15 bytes"),
    (400, request(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAAA="), "6455 4.2.1.5: 17 bytes"),
    (400, request(Sec_WebSocket_Key=KEY[:-2]), "6455 4.2.1.5: no padding"),
    (400, request(Sec_WebSocket_Key=KEY.replace("d", "-")), "6455 4.2.1.5: no base64"),
    (400, request(Sec_WebSocket_Key=KEY + ", " + KEY), "6455 4.2.1.5: two keys in one"),
    (400, request(Sec_WebSocket_Key=b"\xff" * 24), "6455 4.2.1.5: a key that is not ASCII"),
    (400, request(("Sec-WebSocket-Key", KEY)), "6455 11.3.1: two keys"),
    (400, request(Sec_WebSocket_Version=None), "6455 4.2.1.6: no version"),
    (426, request(Sec_WebSocket_Version="8"), "6455 4.2.1.6 and 4.4: another version"),
    (426, request(Sec_WebSocket_Version="14"), "6455 4.4: a version to come"),
    (426, request(Sec_WebSocket_Version="13, 8"), "6455 4.4: several versions"),
    (426, request(Sec_WebSocket_Version="013"), "6455 4.4: a zero too many"),
    (426, request(Sec_WebSocket_Version=""), "6455 4.4: an empty version"),
    (400, request(("Sec-WebSocket-Version", "13")), "6455 11.3.5: two versions"),
    (400, request(("Origin", "a"), ("Origin", "a")), "6454 7.3: two origins"),
    (400, request(Sec_WebSocket_Protocol=""), "6455 4.2.1.8: no element"),
    (400, request(Sec_WebSocket_Protocol=" , ,"), "6455 4.2.1.8: empty elements only"),
    (400, request(Sec_WebSocket_Protocol="a b"), "6455 4.2.1.8: no tokens"),
    (400, request(Sec_WebSocket_Protocol="ü"), "6455 4.2.1.8: no ASCII"),
    (400, request(Sec_WebSocket_Extensions=""), "6455 9.1: no element"),
    (400, request(Sec_WebSocket_Extensions="a b"), "6455 9.1: no token"),
    (400, request(Sec_WebSocket_Extensions="a;"), "6455 9.1: a semicolon and nothing"),
    (400, request(Sec_WebSocket_Extensions="a; b="), "6455 9.1: an equals sign and nothing"),
    (400, request(Sec_WebSocket_Extensions='a; b="c d"'), "6455 9.1: a quoted value that is no token"),
    (400, request(Sec_WebSocket_Extensions='a; b="c'), "6455 9.1: a quote that is not closed"),
    (400, request(Sec_WebSocket_Extensions='a; b=""'), "6455 9.1: an empty quoted value"),
    (400, request(Sec_WebSocket_Extensions='a; b="c,d"'), "6455 9.1: a comma within quotes"),
    (400, request(Sec_WebSocket_Extensions=b"\xff"), "6455 9.1: no ASCII"),
    (400, request(Content_Length="1"), "9110 9.3.1: a body"),
    (400, request(Content_Length="-1"), "9110 8.6: a size that is none"),
    (400, request(Content_Length="0, 0"), "9110 8.6: two sizes"),
    (400, request(("Content-Length", "0"), ("Content-Length", "5")), "9112 6.3: two different sizes"),
    (400, request(Transfer_Encoding="chunked"), "9112 6.1: a body in chunks"),
    (400, request(Transfer_Encoding="identity"), "9112 6.1: another coding"),
    (400, request(("Transfer-Encoding", "chunked"), Content_Length="0"), "9112 6.3: both"),
    (400, request().replace(b"Host:", b"Host :"), "9112 5.1: white space before a colon"),
    (400, request().replace(b"Upgrade: w", b"Upgrade:\r\n w"), "9112 5.2: a header that goes on in the next line"),
    (400, request().replace(b"Upgrade: w", b"Upgrade:\r\n\tw"), "9112 5.2: the same with a tab"),
    (400, request().replace(b"Host", b" Host"), "9112 2.2: white space before the first header"),
    (400, request().replace(b"Upgrade: websocket", b"Upgrade"), "9112 5: no colon"),
    (400, request().replace(b"Upgrade: websocket", b": websocket"), "9112 5: no name"),
    (400, request(("X@Y", "z")), "9110 5.1: an illegal name"),
    (400, request(("\xdcX", "z")), "9110 5.1: a name that is not ASCII"),
    (400, request(("X", "a\x00b")), "9110 5.5: NUL"),
    (400, request(("X", "a\x01b")), "9110 5.5: a control character"),
    (400, request(("X", "a\x7fb")), "9110 5.5: DEL"),
    (400, request(("X", "a\nY: b")), "9112 2.2: a line that ends with LF"),
    (400, request(("X", "a\rb")), "9112 2.2: a CR by itself"),
    (400, request(("X", "a\r")), "9112 2.2: a CR too many"),
    (400, request().replace(b"\r\n", b"\n"), "9112 2.2: lines that end with LF"),
    (400, request()[:-2], "9112 2.1: no empty line"),
    (400, request() + b"rest", "9112 2.1: bytes after the empty line"),
    (400, b"", "nothing at all"),
    (431, request(X="y" * HEAD_LIMIT), "6585 5: too long"),
]


@pytest.mark.parametrize(("status", "data"), [pytest.param(each[0], each[1], id=each[2]) for each in BAD])
def test_what_is_refused(status: int, data: bytes) -> None:
    for settings_ in (PLAIN, ALL):
        refused(data, status, settings_)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"Host", b" Host", "white space before the first header"),
        (b": websocket", b":\r\n websocket", "goes on in the next line"),
        (b"Upgrade: websocket", b"Upgrade", "without a colon"),
        (b"Host:", b"Host :", "white space before the colon"),
        (b"Host:", b"H@st:", "an illegal header name"),
        (b"websocket", b"websocket\n", "does not end with CRLF"),
        (b"websocket", b"websocket\x00", "a control character"),
        (b"\r\n\r\n", b"\r\n", "no empty line"),
    ],
)
def test_the_reason_says_what_is_malformed(old: bytes, new: bytes, said: str) -> None:
    assert said in handshake.answer(request().replace(old, new, 1), PLAIN).reason


def test_another_version_is_told_ours() -> None:
    """RFC 6455, 4.2.2 and 4.4; RFC 9110, 15.5.22 and 7.8: 426 says what to upgrade to."""
    answered = refused(request(Sec_WebSocket_Version="8"), 426)
    assert answered.fields["sec-websocket-version"] == "13"
    assert answered.fields["upgrade"] == "websocket"
    assert "Upgrade" in answered.fields["connection"]
    assert answered.start == "HTTP/1.1 426 Upgrade Required"


def test_another_method_is_told_ours() -> None:
    """RFC 9110, 15.5.6: 405 has an Allow."""
    assert refused(request(start="PUT / HTTP/1.1"), 405).fields["allow"] == "GET"


def test_a_reason_never_repeats_what_may_be_secret() -> None:
    secret = "s3cret"
    for _status, data, _name in BAD:
        data = data.replace(b"/chat", b"/chat?" + secret.encode()).replace(b"\r\n\r\n", b"\r\nCookie: s3cret\r\n\r\n")
        answer = handshake.answer(data, ALL)
        assert secret not in answer.reason
        assert secret.encode() not in answer.response


# ---- origins


@pytest.mark.parametrize("value", ["https://example.org", "HTTPS://EXAMPLE.ORG", "https://example.org:443", None])
def test_pages_of_the_right_origin_may_connect(value: str | None) -> None:
    """RFC 6455, 4.2.2, item 4, and 10.2; what is no browser sends none."""
    accepted(request(Origin=value), ALL)


@pytest.mark.parametrize(
    "value",
    [
        *["http://example.org", "https://example.org:8443", "https://example.org.evil.example", "https://evil.example"],
        *["null", "", "*", "https://example.org/", "https://example.org https://evil.example", b"\xff", "x" * 5000],
    ],
)
def test_pages_of_another_origin_may_not(value: str | bytes) -> None:
    """RFC 6455, 4.2.2, item 4: 403."""
    refused(request(Origin=value), 403, ALL)


def test_no_origin_at_all_may_be_allowed() -> None:
    nobody = Settings(origins=frozenset())
    accepted(request(), nobody)
    refused(request(Origin="https://example.org"), 403, nobody)
    accepted(request(Origin="null"), Settings(origins=frozenset({"null"})))


# ---- what is agreed on


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        *[("chat", "chat"), ("superchat", "superchat"), ("superchat, chat", "chat"), ("x, superchat", "superchat")],
        *[("x", None), ("Chat", None), (None, None), (",chat,,", "chat")],
    ],
)
def test_the_first_of_our_subprotocols_that_the_client_offers(offered: str | None, chosen: str | None) -> None:
    """RFC 6455, 4.2.2, item 5: /subprotocol/."""
    data = request(Sec_WebSocket_Protocol=offered)
    assert accepted(data, ALL).fields.get("sec-websocket-protocol") == chosen
    assert agreed(data, ALL).subprotocol == chosen


def test_subprotocols_in_several_lines() -> None:
    """RFC 6455, 11.3.4."""
    data = request(("Sec-WebSocket-Protocol", "x"), ("Sec-WebSocket-Protocol", "chat"))
    assert agreed(data, ALL).subprotocol == "chat"


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("permessage-deflate", "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=12"),
        ('foo, permessage-deflate; server_max_window_bits="9"', "permessage-deflate; server_max_window_bits=9"),
        ("permessage-deflate; x, permessage-deflate", "permessage-deflate"),
        ("permessage-deflate, permessage-deflate; server_no_context_takeover", "permessage-deflate"),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("foo", None),
        (None, None),
    ],
)
def test_compression_is_answered(offered: str | None, answered: str | None) -> None:
    """RFC 6455, 4.2.2, item 5: /extensions/, and 9.1; RFC 7692, 7.1."""
    data = request(Sec_WebSocket_Extensions=offered)
    assert accepted(data, ALL).fields.get("sec-websocket-extensions") == answered
    assert (agreed(data, ALL).compression is not None) == (answered is not None)


def test_extensions_in_several_lines() -> None:
    """RFC 6455, 9.1 and 11.3.2."""
    lines = [("Sec-WebSocket-Extensions", "foo"), ("Sec-WebSocket-Extensions", "permessage-deflate")]
    assert agreed(request(*lines), ALL).compression is not None


def test_the_headers_of_the_script_are_in_the_response() -> None:
    extra = handshake.check_headers({"Set-Cookie": "a=ü", "x-lower": " b\t", "X-Empty": ""}, "headers")
    fields = accepted(request(), Settings(extra)).fields
    assert (fields["set-cookie"], fields["x-lower"], fields["x-empty"]) == ("a=ü", "b", "")


# ---- what is told about a request


def test_a_request_is_described() -> None:
    data = request(("Cookie", "a=1"), ("X", "1"), ("cookie", "b=2"), ("x", "ü"), start="GET /a?b=%20 HTTP/1.1")
    target, headers = handshake.describe(data)
    assert target == "/a?b=%20"
    assert headers["cookie"] == "a=1; b=2"
    assert headers["x"] == "1, ü"
    assert headers["host"] == "server.example.com"
    assert headers["sec-websocket-key"] == KEY
    assert handshake.describe(b"\r\n" + data) == (target, headers)


def test_bytes_that_are_not_utf8_are_escaped() -> None:
    """As text is everywhere in the library."""
    assert handshake.describe(request(X=b"\xff\xfc"))[1]["x"] == "\udcff\udcfc"


@pytest.mark.parametrize("data", GOOD)
def test_what_was_accepted_can_be_described(data: bytes) -> None:
    target, headers = handshake.describe(data)
    assert target
    assert {name.lower() for name in REQUEST} <= set(headers)


@pytest.mark.parametrize("status", [400, 403, 405, 408, 426, 431, 500, 503, 505])
def test_any_refusal_is_a_whole_response(status: int) -> None:
    answered = message(handshake.refusal(status, "so it is, ü"))
    assert answered.status == status
    assert int(answered.fields["content-length"]) == len(answered.body)
    assert answered.body.decode() == "so it is, ü\n"
