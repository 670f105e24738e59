"""The twin of ws_broadcast.dryad."""

import dryad_net as net

PORT = 7090
server = net.native_ws_listen(PORT)
address = net.native_ws_get_local_addr(server)
print(f"broadcast on port {address['port']}", flush=True)

clients = []
while True:
    for ready in net.native_net_wait([server, *clients], -1):
        if ready == server:
            newcomer = net.native_ws_accept(server)
            if newcomer is not None:
                clients.append(newcomer)
                net.native_ws_broadcast(server, f"{newcomer} has come")
        else:
            message = None
            here = True
            try:
                message = net.native_ws_recv(ready)
                if message is None:
                    # Bytes are let go: what is left unread would be ready for ever.
                    net.native_ws_recv_binary(ready)
                here = net.native_ws_is_connected(ready)
            except net.DryadNetError as error:
                print(error, flush=True)
                here = False
            if message is not None:
                reached = net.native_ws_broadcast_except(server, ready, f"{ready}: {message}")
                print(f"{ready} reached {reached}", flush=True)
            elif not here:
                net.native_ws_close(ready)
                clients = [client for client in clients if client != ready]
                net.native_ws_broadcast(server, f"{ready} has gone")
