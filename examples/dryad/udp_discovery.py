"""The twin of udp_discovery.dryad."""

import dryad_net as net

NAME = "anna"
GROUP = "239.255.70.71"
PORT = 47071
SECONDS = 10

question = "dryad: who is there?"
answer = f"dryad: here is {NAME}"
udp = net.native_udp_socket()
# So that several can listen on one machine.
net.native_udp_set_reuseaddr(udp, True)
net.native_udp_bind(udp, PORT)
net.native_udp_join_multicast(udp, GROUP)
net.native_udp_multicast_send(udp, question, GROUP, PORT)
print(f"{NAME} is looking", flush=True)

heard = []
rounds = 0
while rounds < SECONDS * 10:
    received = net.native_udp_recv_blocking(udp, 100)
    if received is None:
        rounds += 1
    elif received["data"] == question:
        # To everybody: who asks and who answers may share a port.
        net.native_udp_multicast_send(udp, answer, GROUP, PORT)
    elif received["data"] not in [answer, *heard]:
        heard.append(received["data"])
        print(f"{received['data']}, at {received['ip']}", flush=True)
net.native_udp_close(udp)
