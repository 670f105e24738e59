"""Whatever bytes come, the server answers, and the client has an answer or one of the library's own errors."""

from __future__ import annotations

import contextlib

from handshake_support import (
    ALL,
    REQUEST,
    accepted,
    check_answer,
    check_client,
    client,
    head,
    message,
    request,
    response,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from dryad_net import handshake
from dryad_net.errors import NetworkError
from dryad_net.url import origin

often = settings(max_examples=300)

CHANGES = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.integers(0, 6),
        st.binary(max_size=3) | st.sampled_from([b"\r\n", b" ", b":", b",", b";", b"=", b'"', b"\xff", b"xn--", b"."]),
    ),
    max_size=4,
)


def changed(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """The data with some of it replaced."""
    for start, size, new in changes:
        start %= len(data) + 1
        data = data[:start] + new + data[start + size :]
    return data


@often
@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: data + b"\r\n\r\n"))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    check_answer(data)


FULL = request(
    ("Origin", "https://example.org"),
    ("Sec-WebSocket-Protocol", "chat, x"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits; server_max_window_bits=10"),
)


@often
@given(CHANGES)
def test_a_request_changed_anywhere_gets_an_answer(changes: list[tuple[int, int, bytes]]) -> None:
    check_answer(changed(FULL, changes))


@often
@given(st.dictionaries(st.sampled_from([*REQUEST, "Origin", "Content-Length"]), st.text(max_size=80) | st.none()))
def test_any_values_get_an_answer(values: dict[str, str | None]) -> None:
    encoded = {
        name: None if value is None else value.encode("utf-8", "surrogatepass") for name, value in values.items()
    }
    check_answer(head("GET / HTTP/1.1", *{**REQUEST, **encoded}.items()))


@often
@given(st.text(max_size=40))
def test_an_origin_is_any_text(text: str) -> None:
    answered = handshake.answer(request(Origin=text.encode("utf-8", "surrogatepass")), ALL)
    if answered.agreement is not None:
        assert origin(text.strip(" \t")) == "https://example.org"


@often
@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: b"HTTP/1.1 101 \r\n" + data + b"\r\n\r\n"))
def test_any_bytes_are_an_answer_or_an_error(data: bytes) -> None:
    check_client(data)


@often
@given(CHANGES, st.booleans())
def test_a_response_changed_anywhere_is_accepted_or_an_error(
    changes: list[tuple[int, int, bytes]], everything: bool
) -> None:
    to = client(compression=True, subprotocols=("chat", "x"))
    good = response(
        to,
        Sec_WebSocket_Protocol="chat" if everything else None,
        Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=10" if everything else None,
    )
    data = changed(good, changes)
    agreement = accepted(to, data)
    assert agreement is None or agreement.subprotocol in (None, "chat", "x")
    assert agreement is None or message(good).fields["sec-websocket-accept"].encode() in data


@often
@given(st.text(max_size=300), st.sampled_from([200, 301, 404, 500]), st.binary(max_size=300))
def test_a_refusal_is_one_printable_line(reason: str, status: int, body: bytes) -> None:
    data = head(f"HTTP/1.1 {status} x", ("Location", reason.encode("utf-8", "surrogatepass")))
    with contextlib.suppress(NetworkError):
        assert str(client().refused(data, body)).isprintable()
