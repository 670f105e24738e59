"""Whatever a client sends as its request, our server answers with HTTP, and nothing else happens."""

from __future__ import annotations

from handshake_support import check_answer

WORDS = (
    *(b"GET ", b" HTTP/1.1\r\n", b"\r\n\r\n", b"Host: ", b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"),
    *(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Version: 13\r\n"),
    *(b"Sec-WebSocket-Protocol: chat\r\n", b"Sec-WebSocket-Extensions: permessage-deflate", b"Origin: "),
    *(b"; client_max_window_bits", b"; server_max_window_bits=", b"; server_no_context_takeover", b'"10"', b"xn--"),
    *(b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n", b"https://example.org", b"[::1]"),
)


def one(data: bytes) -> None:
    """The head is the case itself."""
    check_answer(data)
