"""Sends back whatever a WebSocket connection brings: what the suite asks of both sides."""

from __future__ import annotations

import dryad_net as net

# The largest messages of the suite have 16 MiB, in one frame.
MAX_FRAME_SIZE = 32 * 1024 * 1024


def prepare(identifier: int) -> None:
    """What the suite asks of a client before the handshake, or of a server before its clients."""
    net.native_ws_set_compression(identifier, True)
    net.native_ws_set_max_frame_size(identifier, MAX_FRAME_SIZE)


def send_back(connection: int) -> bool:
    """Send back every message that is there. Returns whether more may come."""
    try:
        while (text := net.native_ws_recv(connection)) is not None:
            net.native_ws_send(connection, text)
        while (data := net.native_ws_recv_binary(connection)) is not None:
            net.native_ws_send_binary(connection, data)
        return net.native_ws_is_connected(connection)
    except net.DryadNetError:
        # What most of the suite's cases want to see: the peer broke the protocol.
        return False
