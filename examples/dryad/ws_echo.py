"""The twin of ws_echo.dryad."""

import dryad_net as net

PORT = 7080
server = net.native_ws_listen(PORT)
address = net.native_ws_get_local_addr(server)
print(f"echo on port {address['port']}", flush=True)

clients = []
while True:
    for ready in net.native_net_wait([server, *clients], -1):
        if ready == server:
            newcomer = net.native_ws_accept(server)
            if newcomer is not None:
                clients.append(newcomer)
        else:
            text = data = None
            here = True
            try:
                # None: no message of that kind.
                text = net.native_ws_recv(ready)
                if text is not None:
                    net.native_ws_send(ready, text)
                data = net.native_ws_recv_binary(ready)
                if data is not None:
                    net.native_ws_send_binary(ready, data)
                here = net.native_ws_is_connected(ready)
            except net.DryadNetError as error:
                # It broke off, or broke the protocol.
                print(error, flush=True)
                here = False
            if not here and text is None and data is None:
                net.native_ws_close(ready)
                clients = [client for client in clients if client != ready]
