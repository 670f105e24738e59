"""Any text is a URL, whose request a server of ours understands, or an ArgumentError that shows no password."""

from __future__ import annotations

from handshake_support import message
from source import Source, as_text

from dryad_net import handshake
from dryad_net.errors import ArgumentError
from dryad_net.handshake import Settings
from dryad_net.url import Url, origin, parse

WORDS = (
    *(b"ws://", b"wss://", b"[::1]", b"[fe80::1%25eth0]", b"[::ffff:127.0.0.1]", b"user:password@", b":65535", b":0"),
    *(b"%2f", b"%00", b"%ff", b"xn--", "ü.example".encode(), b"#", b"?q=", b"http://", b"https://", b"\\"),
)
SECRET = "geheim17"


def one(data: bytes) -> None:
    """A URL, an origin, and a URL with a password in it."""
    source = Source(data)
    any_surrogate = source.boolean()
    text = as_text(source.rest(), any_surrogate)
    for whole in (text, f"ws://{text}"):
        _check(whole)
        found = origin(whole)
        assert found is None or origin(found) == found
    try:
        parse(f"ws://user:{SECRET}@{text}")
    except ArgumentError as error:
        assert SECRET not in str(error)


def _check(text: str) -> None:
    try:
        url = parse(text)
    except ArgumentError as error:
        assert len(str(error)) < 400
        assert error.code == "E3006"
        return
    assert 1 <= url.port <= 65535
    assert url.host
    assert url.secure is text.lower().startswith("wss")
    _check_request(url)
    # Written down again, it is the same.
    again = parse(f"{'wss' if url.secure else 'ws'}://{url.authority}{url.target}")
    assert again._replace(host=url.host, authorization=url.authorization) == url


def _check_request(url: Url) -> None:
    """One line for the target, one Host, and no other header can be smuggled in."""
    request = handshake.ClientHandshake(url, Settings()).request
    head = message(request)
    assert head.start == f"GET {url.target} HTTP/1.1"
    assert head.fields["host"] == url.authority
    assert ("authorization" in head.fields) == (url.authorization is not None)
    assert len(head.fields) == 6 + (url.authorization is not None)
    answer = handshake.answer(request, Settings())
    assert answer.agreement is not None, answer.reason
