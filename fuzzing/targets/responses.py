"""Whatever a server answers, our client has an agreement or an error of the library's own."""

from __future__ import annotations

from handshake_support import accept_of, accepted, check_client, client, message

# Stands for the right Sec-WebSocket-Accept, which is another one each time.
ACCEPT = b"{accept}"
WORDS = (
    *(b"HTTP/1.1 101 Switching Protocols\r\n", b"HTTP/1.1 ", b"\r\n\r\n", b"\r\n ", b"Upgrade: websocket\r\n"),
    *(b"Connection: Upgrade\r\n", b"Sec-WebSocket-Accept: {accept}\r\n", b"Sec-WebSocket-Protocol: chat\r\n"),
    *(b"Sec-WebSocket-Extensions: permessage-deflate", b"; server_max_window_bits=10", b"; client_max_window_bits="),
    *(b"; server_no_context_takeover", b"Location: http://", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n"),
    *(b"Content-Encoding: gzip\r\n", b"301", b"404", b"\x15\x03", b"\x16\x03", b"@", b"xn--"),
)


def one(data: bytes) -> None:
    """The head, or all of the answer, is the case itself."""
    check_client(data)
    for protocols, compression in (((), False), (("chat", "x"), True)):
        to = client(compression=compression, subprotocols=protocols)
        right = accept_of(message(to.request).fields["sec-websocket-key"]).encode()
        agreement = accepted(to, data.replace(ACCEPT, right))
        if agreement is not None:
            assert ACCEPT in data
            assert agreement.subprotocol in (None, *protocols)
            assert agreement.compression is None or compression
