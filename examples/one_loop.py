"""A notice board with three doors, in one loop: python one_loop.py [TCP_PORT [UDP_PORT [WS_PORT]]]

A line over TCP, a datagram over UDP or a text message over WebSocket goes to everybody who is
connected by TCP or WebSocket. Shows native_net_wait with IDs of all kinds together.
"""

from __future__ import annotations

import sys

import dryad_net as net

LONGEST = 10_000  # nobody may fill our memory with a line that has no end, or everybody's with a message


class Board:
    """The three doors, and who has come in: by TCP, with the line each has begun, and by WebSocket."""

    def __init__(self, tcp_port: int, udp_port: int, ws_port: int) -> None:
        self.tcp = net.native_tcp_listen(tcp_port)
        self.udp = net.native_udp_socket()
        net.native_udp_bind(self.udp, udp_port)
        self.ws = net.native_ws_listen(ws_port)
        net.native_ws_set_max_message_size(self.ws, LONGEST)
        self.begun: dict[int, str] = {}
        self.readers: set[int] = set()

    def serve(self) -> None:
        """One round: wait until somebody has something, and take it."""
        for ready in net.native_net_wait([self.tcp, self.udp, self.ws, *self.begun, *self.readers], -1):
            if ready == self.tcp:
                while (client := net.native_tcp_accept(self.tcp)) is not None:
                    self.begun[client] = ""
            elif ready == self.ws:
                while (client := net.native_ws_accept(self.ws)) is not None:
                    self.readers.add(client)
            elif ready == self.udp:
                while (datagram := net.native_udp_recv(self.udp)) is not None:
                    self.post(datagram["data"])
            elif ready in self.begun:
                self.read_lines(ready)
            else:
                self.read_messages(ready)

    def post(self, text: str) -> None:
        """Tell everybody; a broadcast waits for nobody."""
        line = text.strip()
        net.native_tcp_broadcast(self.tcp, f"{line}\n")
        # A WebSocket's text is UTF-8; what TCP and UDP carry may be any bytes.
        net.native_ws_broadcast(self.ws, line.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))

    def read_lines(self, client: int) -> None:
        """What has come over TCP."""
        try:
            text = net.native_tcp_recv_all(client)
            here = net.native_tcp_is_connected(client)
        except net.NetworkError:  # the connection broke, which is said once
            text, here = "", False
        *lines, self.begun[client] = (self.begun[client] + text).split("\n")
        for line in lines:
            self.post(line)
        if not here or len(self.begun[client]) > LONGEST:
            del self.begun[client]
            net.native_tcp_close(client)

    def read_messages(self, client: int) -> None:
        """What has come over WebSocket."""
        try:
            while (text := net.native_ws_recv(client)) is not None:
                self.post(text)
            if net.native_ws_is_connected(client) and net.native_ws_recv_binary(client) is None:
                return
        except net.NetworkError:
            pass
        # It has gone, broke the rules, or sent what is no text.
        self.readers.remove(client)
        net.native_ws_close_with(client, 1003, "text only")

    def close(self) -> None:
        """Close all three doors."""
        net.native_tcp_stop_server(self.tcp)
        net.native_udp_close(self.udp)
        net.native_ws_stop_server(self.ws)


def main(ports: list[int]) -> None:
    """Serve until Ctrl-C."""
    board = Board(*ports)
    tcp, ws = net.native_tcp_get_local_addr(board.tcp), net.native_ws_get_local_addr(board.ws)
    udp = net.native_udp_get_local_addr(board.udp)
    print(f"tcp port {tcp['port']}, udp port {udp['port']}, ws port {ws['port']}", flush=True)
    try:
        while True:
            board.serve()
    except KeyboardInterrupt:
        board.close()


if __name__ == "__main__":
    main([int(argument) for argument in [*sys.argv[1:4], "0", "0", "0"][:3]])
