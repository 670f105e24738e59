"""A WebSocket client that does not give up: python ws_client.py URL [MESSAGE]

Prints the messages that arrive. When the connection ends, for whatever reason, it connects again,
first at once and then with longer and longer pauses; each time it says MESSAGE, as one who wants to
hear about something has to. Shows keepalive, without which a peer that has gone without a word would
be waited for forever, and what tells a refusal that is final from trouble that passes.
"""

from __future__ import annotations

import contextlib
import random
import sys
import time

import dryad_net as net

SHORTEST, LONGEST = 0.25, 30.0
# The peer has said that it does not want us, or not like this (RFC 6455, section 7.4.1).
FINAL_CODES = {1002, 1003, 1007, 1008, 1009, 1010}


def listen_to(url: str, message: str | None) -> int | None:
    """One connection from its beginning to its end; returns the code it was closed with."""
    connection = net.native_ws_connect(url)
    try:
        net.native_ws_set_keepalive(connection, True)
        if not net.native_ws_is_connected(connection):  # waits for the handshake
            net.native_ws_ping(connection)  # is an error that says why it failed
        print("connected", flush=True)
        if message is not None:
            net.native_ws_send(connection, message)
        while (text := net.native_ws_recv_blocking(connection, -1)) is not None:
            print(text, flush=True)
    except (net.NetworkError, net.NetworkTimeoutError) as error:
        print(error, flush=True)
    finally:
        code: int | None = net.native_ws_client_info(connection)["close_code"]
        net.native_ws_close(connection)
    return code


def main(url: str, message: str | None = None) -> None:
    """Listen until Ctrl-C."""
    pause = SHORTEST
    while True:
        begun = time.monotonic()
        try:
            code = listen_to(url, message)
            print(f"closed ({code})", flush=True)
            if code in FINAL_CODES:
                sys.exit("the server does not want us")
        except (net.NetworkError, net.NetworkTimeoutError) as error:
            print(error, flush=True)
        if time.monotonic() - begun > LONGEST:
            pause = SHORTEST  # that one was good for a while
        # Not all clients of a server that has come back may knock at the same moment.
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, LONGEST)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with contextlib.suppress(KeyboardInterrupt):
        main(*sys.argv[1:])
