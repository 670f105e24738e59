"""WebSocket URLs (RFC 6455, section 3; RFC 3986): what is in them, and what is refused without telling the password."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dryad_net import url
from dryad_net.errors import ArgumentError
from dryad_net.url import Url

often = settings(max_examples=300)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


PLAIN = Url(False, "example.org", 80, "example.org", "/", None)
SECURE = PLAIN._replace(secure=True, port=443)
GOOD = [
    pytest.param("ws://example.org", PLAIN, id="no path is /: RFC 6455, 3"),
    pytest.param("wss://example.org/", SECURE, id="the default port of wss"),
    pytest.param("WS://EXAMPLE.org/", PLAIN, id="scheme and host in any case: RFC 3986, 3.1 and 3.2.2"),
    pytest.param("ws://example.org:80/", PLAIN, id="the default port is not in Host"),
    pytest.param("wss://example.org:443/", SECURE, id="nor is that of wss"),
    pytest.param("ws://example.org:/", PLAIN, id="an empty port is the default: RFC 3986, 3.2.3"),
    pytest.param("ws://example.org:443/", PLAIN._replace(port=443, authority="example.org:443"), id="another port is"),
    pytest.param("wss://example.org:80/", SECURE._replace(port=80, authority="example.org:80"), id="in both schemes"),
    pytest.param("ws://example.org:0080/", PLAIN, id="leading zeros"),
    pytest.param("ws://example.org:65535/", PLAIN._replace(port=65535, authority="example.org:65535"), id="65535"),
    pytest.param("ws://example.org?a=b", PLAIN._replace(target="/?a=b"), id="a query without a path"),
    pytest.param("ws://example.org/?", PLAIN._replace(target="/?"), id="an empty query is a query"),
    pytest.param("ws://example.org/a/b;c?d=e&f=/?", PLAIN._replace(target="/a/b;c?d=e&f=/?"), id="path and query"),
    pytest.param("ws://example.org//a", PLAIN._replace(target="//a"), id="an empty segment"),
    pytest.param("ws://example.org/%2f%C3%BC", PLAIN._replace(target="/%2f%C3%BC"), id="encoded already"),
    pytest.param("ws://example.org/ü 😀", PLAIN._replace(target="/%C3%BC%20%F0%9F%98%80"), id="to be encoded"),
    pytest.param("ws://example.org/?ü= ", PLAIN._replace(target="/?%C3%BC=%20"), id="the query too"),
    pytest.param(
        'ws://example.org/<"^`{|}\\', PLAIN._replace(target="/%3C%22%5E%60%7B%7C%7D%5C"), id="no URL characters"
    ),
    pytest.param("ws://example.org/a:b@c", PLAIN._replace(target="/a:b@c"), id="an @ in the path"),
    pytest.param("ws://127.0.0.1:9/", Url(False, "127.0.0.1", 9, "127.0.0.1:9", "/", None), id="IPv4"),
    pytest.param("ws://[::1]/", Url(False, "::1", 80, "[::1]", "/", None), id="IPv6"),
    pytest.param("ws://[::1]:9/", Url(False, "::1", 9, "[::1]:9", "/", None), id="IPv6 and a port"),
    pytest.param("ws://[2001:DB8::0]/", Url(False, "2001:db8::", 80, "[2001:db8::]", "/", None), id="IPv6, shortened"),
    pytest.param("ws://[fe80::1%25eth0]/", Url(False, "fe80::1%eth0", 80, "[fe80::1]", "/", None), id="RFC 6874"),
    pytest.param("ws://[fe80::1%eth0]:9/", Url(False, "fe80::1%eth0", 9, "[fe80::1]:9", "/", None), id="a plain zone"),
    pytest.param(
        "ws://bücher.example/",
        PLAIN._replace(host="xn--bcher-kva.example", authority="xn--bcher-kva.example"),
        id="IDNA",
    ),
    pytest.param(
        "ws://b%C3%BCcher.example:9/",
        Url(False, "xn--bcher-kva.example", 9, "xn--bcher-kva.example:9", "/", None),
        id="IDNA, percent-encoded: RFC 3986, 3.2.2",
    ),
    pytest.param(
        "ws://my_host.example./", PLAIN._replace(host="my_host.example.", authority="my_host.example."), id="_ ."
    ),
    pytest.param(
        "ws://user:password@example.org/", PLAIN._replace(authorization=basic("user:password")), id="RFC 7617"
    ),
    pytest.param("ws://user@example.org/", PLAIN._replace(authorization=basic("user:")), id="no password"),
    pytest.param("ws://:pw@example.org/", PLAIN._replace(authorization=basic(":pw")), id="no user"),
    pytest.param("ws://a:b:c@example.org/", PLAIN._replace(authorization=basic("a:b:c")), id="a colon in the password"),
    pytest.param(
        "ws://a%40b:%2F%C3%BC@example.org/", PLAIN._replace(authorization=basic("a@b:/ü")), id="percent-encoded"
    ),
    pytest.param("ws://ü:p@ss@example.org/", PLAIN._replace(authorization=basic("ü:p@ss")), id="not encoded"),
    pytest.param("ws://@example.org/", PLAIN, id="an empty user and password"),
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_a_url_is_taken_apart(text: str, expected: Url) -> None:
    assert url.parse(text) == expected


BAD = [
    *["", " ", "example.org", "//example.org/", "http://example.org/", "https://example.org/", "ftp://example.org/"],
    *["ws:example.org", "ws:/example.org", "wss", "ws://", "wss:///path", "ws://?q", "ws://:80/", "ws://user@/"],
    *[" ws://example.org/", "ws ://example.org/", "ws://exa mple.org/", "ws://example.org /"],
    *["ws://example.org/#f", "ws://example.org/#", "ws://example.org#f", "ws://example.org?q#f"],
    *["ws://example.org:0/", "ws://example.org:65536/", "ws://example.org:-1/", "ws://example.org:+1/"],
    *["ws://example.org:8O/", "ws://example.org:80:80/", "ws://example.org: 80/", "ws://example.org:٨٠/"],
    "ws://example.org:" + "9" * 5000 + "/",
    *[
        "ws://[::1/",
        "ws://::1/",
        "ws://::1]/",
        "ws://[]/",
        "ws://[1.2.3.4]/",
        "ws://[::g]/",
        "ws://[::1]x/",
        "ws://[::1]]",
    ],
    *["ws://[fe80::1%]/", "ws://[fe80::1%a b]/", "ws://[fe80::1%/]/", "ws://[v1.x]/"],
    *["ws://a..b/", "ws://.a/", "ws://a../", "ws://" + "a" * 64 + "/", "ws://" + "a." * 127 + "aa/"],
    *["ws://exam\\ple.org/", "ws://a\\@b/", "ws://<>/", "ws://a|b/", "ws://a^b/", "ws://%/", "ws://%FF/", "ws://%00/"],
    *["ws://a%2Fb/", "ws://a%20b/", "ws://ü..example/", "ws://" + "ü" * 64 + ".example/", "ws://a%0D%0Ab/"],
    *["ws://example.org/\r\nX: y", "ws://example.org/\n", "\nws://example.org/", "ws://example.org/\x00"],
    *["ws://example.org/\t", "ws://example.org/\x7f", "ws://example.org/\x85", "ws://exa\x1fmple.org/"],
    *["ws://example.org/\ud800", "ws://\udcffexample.org/", "ws://u:\ud800@example.org/"],
    *["ws://a%3Ab:c@example.org/", "ws://a%0Ab:c@example.org/", "ws://a:b%00@example.org/", "ws://a:%7F@example.org/"],
    "ws://example.org/" + "a" * 7000,
    "ws://example.org/" + "ü" * 2000,
    "ws://u:" + "p" * 7000 + "@example.org/",
    *[None, 5, True, b"ws://example.org/", ["ws://example.org/"], {}],
]


@pytest.mark.parametrize("text", BAD, ids=lambda text: repr(text)[:50])
def test_what_is_no_websocket_url_is_e3006(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"^E3006: url: "):
        url.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *["http://me:secret@example.org/", "ws://me:secret@example.org:x/", "ws://me:secret@/", "ws://me:secret@[::1/"],
        *[
            "ws://me:secret@example.org/#f",
            "ws://me:secret@example.org/\r\n",
            "ws://me:secret@a b/",
            "me:secret@example.org",
        ],
        # Characters that end the authority, which people forget to encode.
        *["ws://me:secret/x@example.org/", "ws://me:secret#x@example.org/", "ws://me:secret?x@example.org/"],
        *["ws://me:x/secret@example.org/", "ws://me:x#secret@example.org/", "ws://me:x@secret@[/"],
        *["ws://secret@/", "ws://secret%0a:x@example.org/", "ws://me:secret\ud800@example.org/"],
        *["ws://example.org:x/?token=secret", "ws://example.org/?token=secret#f", "ws://me:secret@a/" + "a" * 7000],
        b"ws://me:secret@a/",
    ],
)
def test_the_message_never_shows_what_may_be_secret(text: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        url.parse(text)
    assert "secret" not in str(caught.value)
    assert "me:" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_message_shows_what_is_wrong() -> None:
    with pytest.raises(ArgumentError, match=r"must begin with ws:// or wss://, in 'http://example\.org/'$"):
        url.parse("http://example.org/")
    with pytest.raises(ArgumentError, match=r"no host, in 'ws:///path'$"):
        url.parse("ws:///path")


@often
@given(st.text(max_size=60) | st.text("ws:/@[]%?#.0a\\ü ", max_size=40).map(lambda text: "ws://" + text))
def test_any_text_is_a_url_or_e3006(text: str) -> None:
    try:
        parsed = url.parse(text)
    except ArgumentError:
        return
    assert 1 <= parsed.port <= 65535
    assert parsed.host
    for part in (parsed.host, parsed.authority, parsed.target):
        assert part.isascii()
        assert part.isprintable()
        assert " " not in part
    assert parsed.target.startswith("/")
    assert "#" not in parsed.target
    assert not set("/?#@\\") & set(parsed.authority)


ORIGINS = [
    ("https://example.org", "https://example.org"),
    ("HTTPS://Example.ORG", "https://example.org"),
    ("https://example.org:443", "https://example.org"),
    ("http://example.org:80", "http://example.org"),
    ("http://example.org:443", "http://example.org:443"),
    ("http://[::1]:8080", "http://[::1]:8080"),
    ("http://[0:0::1]", "http://[::1]"),
    ("https://bücher.example", "https://xn--bcher-kva.example"),
    ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ("null", "null"),
]


@pytest.mark.parametrize(("text", "expected"), ORIGINS)
def test_an_origin_has_one_form(text: str, expected: str) -> None:
    """RFC 6454, sections 4 and 6.2."""
    assert url.origin(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *[
            "",
            "*",
            "NULL",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org/x",
            "https://*.org/",
        ],
        *[
            "https://u@example.org",
            "https://example.org?x",
            "https://example.org#x",
            "https://a https://b",
            "https://a:x",
        ],
        *["https://a\\b", "https://a:0", "https://[::1", "//a", "https:a"],
    ],
)
def test_what_is_no_origin(text: str) -> None:
    assert url.origin(text) is None
