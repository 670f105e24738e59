"""The TCP part of the demonstration."""

from __future__ import annotations

from .transcript import Transcript

# For what is certain to come; only a failure waits so long.
WAIT_MS = 10_000


def show(transcript: Transcript) -> None:
    """A server and its clients, both ends in this one thread. Errors: UnexpectedError."""
    call, call_for_id, title = transcript.call, transcript.call_for_id, transcript.title

    title("A server on a free port, and a client")
    server = call_for_id("native_tcp_listen", 0)
    port = call("native_tcp_get_local_addr", server)["port"]
    client = call_for_id("native_tcp_connect", "127.0.0.1", port)
    accepted = call_for_id("native_tcp_accept_blocking", server, WAIT_MS)
    call("native_tcp_accept", server, returns=None)
    call("native_tcp_get_peer_addr", client, returns={"ip": "127.0.0.1", "port": port})

    title("Text there and back; null (None) while nothing is there")
    call("native_tcp_recv", accepted, 1024, returns=None)
    call("native_tcp_send", client, "grüß dich", returns=11)
    call("native_tcp_recv_blocking", accepted, 1024, WAIT_MS, returns="grüß dich")
    call("native_tcp_send", accepted, "hello", returns=5)
    call("native_tcp_recv_blocking", client, 1024, WAIT_MS, returns="hello")

    title("Lines, one of them with its delimiter split over two packets")
    call("native_tcp_set_timeout", accepted, 100, returns=None)
    call("native_tcp_send", client, "first line\r", returns=11)
    call("native_tcp_recv_until", accepted, "\r\n", returns=None)
    call("native_tcp_send", client, "\nsecond line\r\nrest", returns=18)
    call("native_tcp_set_timeout", accepted, WAIT_MS, returns=None)
    call("native_tcp_recv_until", accepted, "\r\n", returns="first line\r\n")
    call("native_tcp_recv_until", accepted, "\r\n", returns="second line\r\n")
    call("native_tcp_recv_all", accepted, returns="rest")

    title("Bytes that are not UTF-8 become text, and the same bytes again")
    raw = b"caf\xe9 \xff\xfe"
    call("native_tcp_send", client, raw, returns=len(raw))
    text = call("native_tcp_recv_blocking", accepted, 1024, WAIT_MS, returns=raw.decode("utf-8", "surrogateescape"))
    call("native_tcp_send", accepted, text, returns=len(raw))
    call("native_tcp_recv_bytes_blocking", client, 1024, WAIT_MS, returns=raw)

    title("A broadcast to three clients")
    clients = [client]
    arrivals = [accepted]
    for _ in range(2):
        clients.append(call_for_id("native_tcp_connect", "127.0.0.1", port))
        arrivals.append(call_for_id("native_tcp_accept_blocking", server, WAIT_MS))
    call("native_tcp_get_clients", server, returns=arrivals)
    call("native_tcp_broadcast", server, "news for all\n", returns=3)
    for each in clients:
        call("native_tcp_recv_until", each, "\n", returns="news for all\n")

    title("Errors as a script sees them")
    transcript.call_in_vain("native_tcp_listen", port, code="E5006")
    transcript.call_in_vain("native_tcp_recv", client, 0, code="E3006")
    transcript.call_in_vain("native_tcp_send", server, "a server is no connection", code="E3029")
    transcript.call_in_vain("native_tcp_send", client, code="E3005")

    title("A close loses nothing: the end of the stream comes after what was sent")
    call("native_tcp_send", client, "last words", returns=10)
    call("native_tcp_close", client, returns=None)
    call("native_tcp_recv_blocking", accepted, 4, WAIT_MS, returns="last")
    call("native_tcp_is_connected", accepted, returns=True)
    call("native_tcp_recv_blocking", accepted, 1024, WAIT_MS, returns=" words")
    call("native_tcp_recv_blocking", accepted, 1024, WAIT_MS, returns=None)
    call("native_tcp_is_connected", accepted, returns=False)
    call("native_tcp_get_clients", server, returns=arrivals[1:])
    transcript.call_in_vain("native_tcp_recv", client, 1024, code="E3029")

    title("The server sends one client away, then stops")
    call("native_tcp_kick_client", arrivals[1], returns=None)
    call("native_tcp_recv_blocking", clients[1], 1024, WAIT_MS, returns=None)
    call("native_tcp_stop_server", server, returns=None)
    call("native_tcp_recv_blocking", clients[2], 1024, WAIT_MS, returns=None)
    for each in clients[1:]:
        call("native_tcp_close", each, returns=None)
