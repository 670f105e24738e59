"""A chat server in one thread, by looking at everyone in turn: python tcp_chat.py [PORT]

Shows what a script can do without threads: accept and recv do not wait, so one loop serves all.
It sleeps while nobody says anything, longer and longer, up to 50 ms.
"""

from __future__ import annotations

import sys
import time

import dryad_net as net

SHORTEST, LONGEST = 0.001, 0.05


def look_around(server: int, unfinished: dict[int, str]) -> bool:
    """Serve whoever is there; was there anybody? unfinished: what each client has begun to write."""
    busy = False
    while (client := net.native_tcp_accept(server)) is not None:
        unfinished[client] = ""
        net.native_tcp_broadcast(server, f"{client} has come\n")
        busy = True
    for client in list(unfinished):
        try:
            text = net.native_tcp_recv_all(client)
            here = net.native_tcp_is_connected(client)
        except net.NetworkError:  # the connection broke, which is said once
            text, here = "", False
        *lines, unfinished[client] = (unfinished[client] + text).split("\n")
        for line in lines:
            net.native_tcp_broadcast(server, f"{client}: {line}\n")
        if not here:
            del unfinished[client]
            net.native_tcp_close(client)
            net.native_tcp_broadcast(server, f"{client} has gone\n")
        busy = busy or bool(text) or not here
    return busy


def main(port: int) -> None:
    """Serve until Ctrl-C."""
    server = net.native_tcp_listen(port)
    print("chat on port", net.native_tcp_get_local_addr(server)["port"], flush=True)
    unfinished: dict[int, str] = {}
    pause = SHORTEST
    try:
        while True:
            pause = SHORTEST if look_around(server, unfinished) else min(pause * 2, LONGEST)
            time.sleep(pause)
    except KeyboardInterrupt:
        net.native_tcp_stop_server(server)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
