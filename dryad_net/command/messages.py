"""WebSocket messages of either kind, where what was received is to be sent on as what it is."""

from __future__ import annotations

import dryad_net as net


def receive(connection: int) -> str | bytes | None:
    """The next message that is there now; None if there is none. Errors: NetworkError."""
    trouble = None
    for take in (net.native_ws_recv, net.native_ws_recv_binary):
        try:
            message: str | bytes | None = take(connection)
        except net.NetworkError as error:
            # Not the end yet: it may only say that much of the other kind is waiting to be read.
            trouble = error
            continue
        if message is not None:
            return message
    if trouble is not None:
        raise trouble
    return None


def send(connection: int, message: str | bytes) -> None:
    """Send a message, a string as text. Errors: as native_ws_send."""
    if isinstance(message, str):
        net.native_ws_send(connection, message)
    else:
        net.native_ws_send_binary(connection, message)


def closed_with(connection: int) -> str:
    """The code and the reason with which a connection was closed, as one shows them."""
    info = net.native_ws_client_info(connection)
    reason = f" {info['close_reason']}" if info["close_reason"] else ""
    return f"{info['close_code']}{reason}"
