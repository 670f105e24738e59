"""The WebSocket part of the demonstration."""

from __future__ import annotations

from .transcript import Transcript

# For what is certain to come; only a failure waits so long.
WAIT_MS = 10_000


def show(transcript: Transcript) -> None:
    """A server and its clients, both ends in this one thread. Errors: UnexpectedError."""
    call, title = transcript.call, transcript.title

    title("A server on a free port, and a client: what is set at once is for the handshake")
    server = transcript.call_for_id("native_ws_listen", 0)
    port = call("native_ws_get_local_addr", server)["port"]
    call("native_ws_set_subprotocol", server, "chat.v2, chat.v1", returns=None)
    call("native_ws_set_compression", server, True, returns=None)
    url = f"ws://127.0.0.1:{port}/room?name=7"
    client = transcript.call_for_id("native_ws_connect", url)
    call("native_ws_set_headers", client, {"Origin": "http://demo.example"}, returns=None)
    call("native_ws_set_subprotocol", client, "chat.v1", returns=None)
    call("native_ws_set_compression", client, True, returns=None)
    call("native_ws_set_timeout", client, WAIT_MS, returns=None)
    call("native_ws_accept", server, returns=None)
    call("native_ws_is_connected", client, returns=True)
    call("native_ws_get_state", client, returns="open")
    accepted = _accept(transcript, server)

    title("What both sides agreed on, and what the server knows of its client")
    info = call("native_ws_client_info", accepted)
    known = {"path": "/room?name=7", "subprotocol": "chat.v1", "compression": True, "state": "open"}
    transcript.check(known.items() <= info.items(), f"the server knows {known}")
    transcript.check(info["headers"]["origin"] == "http://demo.example", "the header has arrived")

    _messages(transcript, client, accepted)
    others = _broadcasts(transcript, server, url, client, accepted)
    _waiting(transcript, server, client, accepted)
    _limits(transcript, others)
    _errors(transcript, server, port, client)
    _ends(transcript, server, url, client, accepted, others)


def _accept(transcript: Transcript, server: int) -> int:
    """The next client, once its handshake is complete."""
    transcript.call("native_net_wait", [server], WAIT_MS, returns=[server])
    return transcript.call_for_id("native_ws_accept", server)


def _messages(transcript: Transcript, client: int, accepted: int) -> None:
    call, title = transcript.call, transcript.title

    title("Text and binary messages; null (None) while nothing is there")
    call("native_ws_recv", accepted, returns=None)
    call("native_ws_send", client, "grüß dich", returns=None)
    call("native_ws_recv_blocking", accepted, WAIT_MS, returns="grüß dich")
    call("native_ws_send_binary", accepted, bytes(range(256)), returns=None)
    call("native_ws_recv_binary_blocking", client, WAIT_MS, returns=bytes(range(256)))
    call("native_ws_recv_binary", client, returns=None)
    call("native_ws_send", client, "", returns=None)
    call("native_ws_recv_blocking", accepted, WAIT_MS, returns="")

    title("A ping, whose answer tells the latency; a pong is a sign of life")
    call("native_ws_ping", client, returns=None)
    call("native_ws_send", client, "after the ping", returns=None)
    call("native_ws_recv_blocking", accepted, WAIT_MS, returns="after the ping")
    call("native_ws_pong", accepted, returns=None)
    call("native_ws_send", accepted, "after its answer", returns=None)
    call("native_ws_recv_blocking", client, WAIT_MS, returns="after its answer")
    info = call("native_ws_client_info", client)
    transcript.check(info["latency_ms"] is not None, "the latency is known")
    counted = {"messages_sent": 3, "messages_received": 2, "bytes_sent": 25, "bytes_received": 272}
    transcript.check(counted.items() <= info.items(), f"the client counted {counted}")


def _broadcasts(transcript: Transcript, server: int, url: str, client: int, accepted: int) -> dict[int, int]:
    """Returns two more clients, each with what the server knows it by."""
    call = transcript.call

    transcript.title("Two more clients, neither of which speaks the subprotocol, and broadcasts")
    others = {}
    for _ in range(2):
        other = transcript.call_for_id("native_ws_connect", url)
        call("native_ws_is_connected", other, returns=True)
        others[other] = _accept(transcript, server)
    call("native_ws_get_clients", server, returns=[accepted, *others.values()])
    call("native_ws_broadcast", server, "news for all", returns=3)
    for each in (client, *others):
        call("native_ws_recv_blocking", each, WAIT_MS, returns="news for all")
    call("native_ws_broadcast_except", server, accepted, "news for the others", returns=2)
    call("native_ws_broadcast_binary", server, b"\x00\xff", returns=3)
    for each in others:
        call("native_ws_recv_blocking", each, WAIT_MS, returns="news for the others")
    for each in (client, *others):
        call("native_ws_recv_binary_blocking", each, WAIT_MS, returns=b"\x00\xff")
    call("native_ws_recv", client, returns=None)
    return others


def _waiting(transcript: Transcript, server: int, client: int, accepted: int) -> None:
    call, call_for_id = transcript.call, transcript.call_for_id

    transcript.title("One wait for many: WebSocket, TCP and UDP together")
    tcp = call_for_id("native_tcp_listen", 0)
    udp = call_for_id("native_udp_socket")
    call("native_udp_bind_addr", udp, "127.0.0.1", 0, returns=None)
    everybody = [server, accepted, tcp, udp]
    call("native_net_wait", everybody, 0, returns=[])
    here = call("native_udp_get_local_addr", udp)
    call("native_udp_send", udp, "to myself", "127.0.0.1", here["port"], returns=9)
    call("native_net_wait", everybody, WAIT_MS, returns=[udp])
    call("native_udp_recv", udp, returns={"data": "to myself", **here})
    call("native_ws_send", client, "to the server", returns=None)
    call("native_net_wait", everybody, WAIT_MS, returns=[accepted])
    call("native_ws_recv", accepted, returns="to the server")
    call("native_udp_close", udp, returns=None)
    call("native_tcp_stop_server", tcp, returns=None)


def _limits(transcript: Transcript, others: dict[int, int]) -> None:
    call = transcript.call

    transcript.title("A frame that is too large, and how both sides learn of it")
    client, accepted = others.popitem()
    call("native_ws_set_keepalive", accepted, True, returns=None)
    call("native_ws_set_max_frame_size", accepted, 1000, returns=None)
    call("native_ws_send_binary", client, bytes(1001), returns=None)
    call("native_net_wait", [accepted], WAIT_MS, returns=[accepted])
    transcript.call_in_vain("native_ws_recv", accepted, code="E5006")
    call("native_ws_recv", accepted, returns=None)
    call("native_ws_recv_blocking", client, WAIT_MS, returns=None)
    info = call("native_ws_client_info", client)
    transcript.check(info["close_code"] == 1009, "the client was told 1009 (too big)")
    call("native_ws_close", client, returns=None)
    call("native_ws_close", accepted, returns=None)


def _errors(transcript: Transcript, server: int, port: int, client: int) -> None:
    vain = transcript.call_in_vain

    transcript.title("Errors as a script sees them")
    vain("native_ws_listen", port, code="E5006")
    vain("native_ws_connect", "http://127.0.0.1/", code="E3006")
    vain("native_ws_send", client, "a lone surrogate \ud800", code="E3006")
    vain("native_ws_send_binary", client, [256], code="E3006")
    vain("native_ws_set_subprotocol", client, "chat.v1", code="E5006")
    vain("native_ws_kick_client", client, code="E3029")
    vain("native_ws_send", server, "a server is no connection", code="E3029")
    vain("native_ws_send", client, code="E3005")


def _ends(transcript: Transcript, server: int, url: str, client: int, accepted: int, others: dict[int, int]) -> None:
    call = transcript.call

    transcript.title("A close with a code and a reason; what came before it stays readable")
    call("native_ws_send", accepted, "last words", returns=None)
    call("native_ws_close_with", accepted, 4000, "enough for today", returns=None)
    call("native_ws_recv_blocking", client, WAIT_MS, returns="last words")
    call("native_ws_recv_blocking", client, WAIT_MS, returns=None)
    call("native_ws_get_state", client, returns="closed")
    info = call("native_ws_client_info", client)
    told = {"close_code": 4000, "close_reason": "enough for today"}
    transcript.check(told.items() <= info.items(), f"the client was told {told}")
    transcript.call_in_vain("native_ws_send", client, "too late", code="E5006")
    call("native_ws_close", client, returns=None)
    transcript.call_in_vain("native_ws_send", client, "too late", code="E3029")

    transcript.title("The server sends one client away (1008), then stops (1001)")
    kicked, known_as = others.popitem()
    last = transcript.call_for_id("native_ws_connect", url)
    call("native_ws_is_connected", last, returns=True)
    _accept(transcript, server)
    call("native_ws_kick_client", known_as, returns=None)
    _closed(transcript, kicked, 1008)
    call("native_ws_stop_server", server, returns=None)
    _closed(transcript, last, 1001)


def _closed(transcript: Transcript, client: int, code: int) -> None:
    """The server has closed this client with this code."""
    transcript.call("native_ws_recv_blocking", client, WAIT_MS, returns=None)
    info = transcript.call("native_ws_client_info", client)
    transcript.check(info["close_code"] == code, f"the client was told {code}")
    transcript.call("native_ws_close", client, returns=None)
