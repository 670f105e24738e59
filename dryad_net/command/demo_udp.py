"""The UDP part of the demonstration."""

from __future__ import annotations

from .transcript import Transcript

# For what is certain to come; only a failure waits so long.
WAIT_MS = 10_000


def show(transcript: Transcript) -> None:
    """Two sockets of this process that exchange datagrams. Errors: UnexpectedError."""
    call, call_for_id, title = transcript.call, transcript.call_for_id, transcript.title

    title("Two sockets, one of them on a known address")
    receiver = call_for_id("native_udp_socket")
    call("native_udp_bind_addr", receiver, "127.0.0.1", 0, returns=None)
    here = call("native_udp_get_local_addr", receiver)
    transcript.check(here["ip"] == "127.0.0.1" and here["port"] > 0, "the socket has the address it was bound to")
    sender = call_for_id("native_udp_socket")

    title("A datagram, and the answer to whoever sent it")
    call("native_udp_recv", receiver, returns=None)
    call("native_udp_send", sender, "ping", "127.0.0.1", here["port"], returns=4)
    ping = call("native_udp_recv_blocking", receiver, WAIT_MS)
    transcript.check(ping["data"] == "ping" and ping["ip"] == "127.0.0.1", "the datagram came, with its sender")
    call("native_udp_send", receiver, "pong", ping["ip"], ping["port"], returns=4)
    call("native_udp_recv_blocking", sender, WAIT_MS, returns={"data": "pong", **here})

    title("A connected socket, bytes that are not UTF-8, and an empty datagram, which is not null")
    there = {"ip": ping["ip"], "port": ping["port"]}
    call("native_udp_connect", sender, "127.0.0.1", here["port"], returns=None)
    call("native_udp_send_connected", sender, b"\xff\xfe", returns=2)
    call("native_udp_recv_blocking", receiver, WAIT_MS, returns={"data": "\udcff\udcfe", **there})
    call("native_udp_send_connected", sender, "", returns=0)
    call("native_udp_recv_blocking", receiver, WAIT_MS, returns={"data": "", **there})
    call("native_udp_recv", receiver, returns=None)

    title("What went over it")
    stats = call("native_udp_get_stats", receiver)
    counted = {"packets_received": 3, "bytes_received": 6, "packets_sent": 1, "bytes_sent": 4}
    transcript.check(counted.items() <= stats.items(), f"the receiver counted {counted}")

    title("Errors as a script sees them")
    transcript.call_in_vain("native_udp_send_connected", sender, bytes(65_508), code="E5006")
    call("native_udp_close", sender, returns=None)
    transcript.call_in_vain("native_udp_send_connected", sender, "too late", code="E3029")
    call("native_udp_close", receiver, returns=None)
