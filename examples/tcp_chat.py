"""A chat server in one thread: python tcp_chat.py [PORT]

Shows native_net_wait, which waits for the server and all its clients at once, and a broadcast, which
waits for none of them.
"""

from __future__ import annotations

import sys

import dryad_net as net

LONGEST_LINE = 10_000  # nobody may fill our memory with a line that has no end


def welcome(server: int, begun: dict[int, str]) -> None:
    """Let in whoever waits. begun: the line that each client has begun to write."""
    while (client := net.native_tcp_accept(server)) is not None:
        begun[client] = ""
        net.native_tcp_broadcast(server, f"{client} has come\n")


def listen_to(client: int, server: int, begun: dict[int, str]) -> None:
    """Pass on what a client has to say, or that it has gone."""
    try:
        text = net.native_tcp_recv_all(client)
        here = net.native_tcp_is_connected(client)
    except net.NetworkError:  # the connection broke, which is said once
        text, here = "", False
    *lines, begun[client] = (begun[client] + text).split("\n")
    for line in lines:
        net.native_tcp_broadcast(server, f"{client}: {line}\n")
    if not here or len(begun[client]) > LONGEST_LINE:
        del begun[client]
        net.native_tcp_close(client)
        net.native_tcp_broadcast(server, f"{client} has gone\n")


def main(port: int) -> None:
    """Serve until Ctrl-C."""
    server = net.native_tcp_listen(port)
    print("chat on port", net.native_tcp_get_local_addr(server)["port"], flush=True)
    begun: dict[int, str] = {}
    try:
        while True:
            for ready in net.native_net_wait([server, *begun], -1):
                if ready == server:
                    welcome(server, begun)
                else:
                    listen_to(ready, server, begun)
    except KeyboardInterrupt:
        net.native_tcp_stop_server(server)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
