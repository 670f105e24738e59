"""The server under test: prints its port, then serves until it is ended."""

from __future__ import annotations

from echo import prepare, send_back

import dryad_net as net


def main() -> None:
    server = net.native_ws_bind("127.0.0.1", 0)
    prepare(server)
    print(net.native_ws_get_local_addr(server)["port"], flush=True)
    watched = [server]
    while True:
        for identifier in net.native_net_wait(watched, -1):
            if identifier == server:
                client = net.native_ws_accept(server)
                if client is not None:
                    watched.append(client)
            elif not send_back(identifier):
                net.native_ws_close(identifier)
                watched.remove(identifier)


if __name__ == "__main__":
    main()
