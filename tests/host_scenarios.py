"""Every native function once, with what it must answer, whatever stands between it and the caller.

A scenario takes ``call``: the function's name and its arguments to its value. Byte arrays are arrays
of numbers, as for every host that is not Python.
"""

from __future__ import annotations

from host_support import Call
from tls_support import FILES

BYTES = [0, 127, 128, 255]


def tcp(call: Call) -> None:
    server = call("native_tcp_listen", 0)
    other = call("native_tcp_bind", "127.0.0.1", 0)
    call("native_tcp_stop_server", other)
    call("native_tcp_set_backlog", server, 16)
    port = call("native_tcp_get_local_addr", server)["port"]
    assert call("native_tcp_accept", server) is None
    client = call("native_tcp_connect", "127.0.0.1", port)
    accepted = call("native_tcp_accept_blocking", server, 5000)
    assert call("native_tcp_get_clients", server) == [accepted]
    assert call("native_tcp_get_peer_addr", client) == {"ip": "127.0.0.1", "port": port}
    for name in ("nodelay", "keepalive", "reuseaddr", "reuseport"):
        assert call(f"native_tcp_set_{name}", client, True) is None
    call("native_tcp_set_timeout", accepted, 5000)
    call("native_tcp_set_linger", client, False, 0)
    for name in ("recv", "send"):
        call(f"native_tcp_set_{name}_buffer_size", client, 65536)
        assert call(f"native_tcp_get_{name}_buffer_size", client) >= 65536

    assert call("native_tcp_recv", accepted, 100) is None
    assert call("native_tcp_send", client, "who is there?\r\n") == 15
    assert call("native_tcp_recv_until", accepted, "\r\n") == "who is there?\r\n"
    assert call("native_tcp_send", client, BYTES) == 4
    assert call("native_tcp_recv_bytes_blocking", accepted, 10, 5000) == BYTES
    assert call("native_tcp_recv_bytes", accepted, 10) is None
    assert call("native_tcp_recv_all", accepted) == ""
    assert call("native_tcp_broadcast", server, "all") == 1
    assert call("native_tcp_recv_blocking", client, 100, 5000) == "all"
    assert call("native_tcp_is_connected", client) is True
    call("native_tcp_kick_client", accepted)
    assert call("native_tcp_recv_blocking", client, 100, -1) is None
    assert call("native_tcp_is_connected", client) is False
    assert call("native_tcp_close", client) is None
    assert call("native_tcp_stop_server", server) is None


def udp(call: Call) -> None:
    receiver, sender = call("native_udp_socket"), call("native_udp_socket")
    call("native_udp_set_reuseaddr", receiver, True)
    call("native_udp_set_reuseport", receiver, True)
    call("native_udp_set_timeout", receiver, 5000)
    call("native_udp_bind", receiver, 0)
    port = call("native_udp_get_local_addr", receiver)["port"]
    call("native_udp_bind_addr", sender, "127.0.0.1", 0)
    from_port = call("native_udp_get_local_addr", sender)["port"]
    assert call("native_udp_recv", receiver) is None
    assert call("native_udp_send", sender, "héllo", "127.0.0.1", port) == 6
    assert call("native_udp_recv_blocking", receiver, 5000) == {"data": "héllo", "ip": "127.0.0.1", "port": from_port}
    call("native_udp_connect", sender, "127.0.0.1", port)
    assert call("native_udp_send_connected", sender, BYTES) == 4
    assert call("native_net_wait", [receiver], -1) == [receiver]
    assert call("native_udp_recv_bytes", receiver)["data"] == BYTES
    call("native_udp_send_connected", sender, "too long")
    assert call("native_udp_recv_from", receiver, 3)["data"] == "too"
    for name in ("recv", "send"):
        call(f"native_udp_set_{name}_buffer_size", sender, 65536)
        assert call(f"native_udp_get_{name}_buffer_size", sender) >= 65536
    assert call("native_udp_get_stats", sender)["packets_sent"] == 3

    group = "239.255.71.72"
    call("native_udp_join_multicast", receiver, group)
    speaker = call("native_udp_socket")
    call("native_udp_set_multicast_ttl", speaker, 1)
    call("native_udp_set_multicast_loop", speaker, True)
    call("native_udp_multicast_send", speaker, "everybody", group, port)
    assert call("native_udp_recv_blocking", receiver, 5000)["data"] == "everybody"
    call("native_udp_leave_multicast", receiver, group)
    call("native_udp_set_broadcast", speaker, True)
    call("native_udp_broadcast", speaker, "everybody", port)
    for identifier in (receiver, sender, speaker):
        call("native_udp_close", identifier)


def websocket(call: Call) -> None:
    server = call("native_ws_listen", 0)
    for listening in (call("native_ws_bind", "127.0.0.1", 0), call("native_ws_listen_tls", 0, FILES.cert, FILES.key)):
        call("native_ws_stop_server", listening)
    port = call("native_ws_get_local_addr", server)["port"]
    call("native_ws_set_origins", server, ["https://example.org"])
    call("native_ws_set_subprotocol", server, "lines")
    call("native_ws_set_compression", server, True)
    assert call("native_ws_accept", server) is None
    client = call("native_ws_connect", f"ws://127.0.0.1:{int(port)}/path")
    call("native_ws_set_headers", client, {"X-Color": "blue"})
    call("native_ws_set_subprotocol", client, "lines")
    call("native_ws_set_compression", client, True)
    call("native_ws_set_tls", client, {"verify": False})
    call("native_ws_set_timeout", client, 10_000)
    call("native_ws_set_keepalive", client, True)
    call("native_ws_set_max_frame_size", client, 1 << 20)
    call("native_ws_set_max_message_size", client, 1 << 20)
    assert call("native_ws_is_connected", client) is True
    assert call("native_net_wait", [server], 5000) == [server]
    accepted = call("native_ws_accept", server)
    assert call("native_ws_get_clients", server) == [accepted]
    info = call("native_ws_client_info", accepted)
    assert (info["path"], info["headers"]["x-color"], info["subprotocol"]) == ("/path", "blue", "lines")
    assert call("native_ws_get_state", client) == "open"

    assert call("native_ws_send", client, "héllo") is None
    assert call("native_ws_recv_blocking", accepted, 5000) == "héllo"
    assert call("native_ws_recv", accepted) is None
    assert call("native_ws_send_binary", accepted, BYTES) is None
    assert call("native_ws_recv_binary_blocking", client, 5000) == BYTES
    assert call("native_ws_recv_binary", client) is None
    call("native_ws_ping", client)
    call("native_ws_pong", client)
    assert call("native_ws_broadcast", server, "all") == 1
    assert call("native_ws_broadcast_except", server, accepted, "nobody") == 0
    assert call("native_ws_broadcast_binary", server, BYTES) == 1
    assert call("native_ws_recv_blocking", client, -1) == "all"
    assert call("native_ws_recv_binary_blocking", client, -1) == BYTES
    call("native_ws_close_with", client, 1000, "enough")
    assert call("native_ws_recv_blocking", accepted, 5000) is None
    assert call("native_ws_client_info", accepted)["close_reason"] == "enough"
    call("native_ws_kick_client", accepted)
    call("native_ws_close", client)
    call("native_ws_stop_server", server)


SCENARIOS = {"tcp": tcp, "udp": udp, "websocket": websocket}
