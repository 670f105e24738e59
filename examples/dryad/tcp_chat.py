"""The twin of tcp_chat.dryad."""

import dryad_net as net

PORT = 7070
server = net.native_tcp_listen(PORT)
address = net.native_tcp_get_local_addr(server)
print(f"chat on port {address['port']}", flush=True)

clients = []
while True:
    # -1 waits without limit.
    for ready in net.native_net_wait([server, *clients], -1):
        if ready == server:
            newcomer = net.native_tcp_accept(server)
            if newcomer is not None:
                # A line that somebody has begun holds up the others for so long at most.
                net.native_tcp_set_timeout(newcomer, 200)
                clients.append(newcomer)
                net.native_tcp_broadcast(server, f"{newcomer} has come\n")
        else:
            line = None
            here = True
            try:
                line = net.native_tcp_recv_until(ready, "\n")
                if line is None:
                    # Not finished in time, or at the end: taken as it is.
                    line = net.native_tcp_recv_all(ready)
                here = net.native_tcp_is_connected(ready)
            except net.DryadNetError as error:
                # The connection broke, which is said once.
                print(error, flush=True)
                here = False
            if line:
                net.native_tcp_broadcast(server, f"{ready}: {line}")
            if not here:
                net.native_tcp_close(ready)
                clients = [client for client in clients if client != ready]
                net.native_tcp_broadcast(server, f"{ready} has gone\n")
