"""Find the services of a local network: who is there tells his name to whoever asks.

    python discovery.py serve NAME [GROUP [PORT]]     be found, until Ctrl-C
    python discovery.py find [GROUP [PORT]]           ask, and list who answers

GROUP is a multicast group (239.255.70.70 if you do not say), or the word "broadcast".

The protocol is two kinds of datagram. Who looks for services sends the question to everybody; every
service answers the asker alone. Datagrams may get lost, so the question is asked more than once, and
an answer that comes twice counts once. A service also announces itself when it starts.
"""

import sys
import time

import dryad_net as net

QUESTION = "dryad-discovery 1: who is there?"
ANSWER = "dryad-discovery 1: here is "
SECONDS = 1.5  # how long to listen for answers
ASK_EVERY = 0.5


def send_to_all(udp, text, group, port):
    """Send to everybody in the group, or in the local network."""
    if group == "broadcast":
        net.native_udp_broadcast(udp, text, port)
    else:
        # With its first TTL of 1 a multicast stays in the local network, as a broadcast does.
        net.native_udp_multicast_send(udp, text, group, port)


def serve(name, group, port):
    """Answer every question with our name."""
    udp = net.native_udp_socket()
    # So that several services on one machine can listen on the same port.
    net.native_udp_set_reuseaddr(udp, True)
    net.native_udp_bind(udp, port)
    if group != "broadcast":
        net.native_udp_join_multicast(udp, group)
    send_to_all(udp, ANSWER + name, group, port)
    print(f"{name} can be found; Ctrl-C ends it", flush=True)
    try:
        while True:
            # -1 waits without limit. Whatever else comes to this port is not for us.
            received = net.native_udp_recv_blocking(udp, -1)
            if received["data"] == QUESTION:
                net.native_udp_send(udp, ANSWER + name, received["ip"], received["port"])
            elif received["data"].startswith(ANSWER):
                print(f"heard of {received['data'][len(ANSWER) :]} at {received['ip']}", flush=True)
    except KeyboardInterrupt:
        net.native_udp_close(udp)


def find(group, port):
    """Ask who is there; return the (name, address) pairs that answered."""
    # Not bound: sending gives the socket a port of its own, to which the answers come.
    udp = net.native_udp_socket()
    found = set()
    end = time.monotonic() + SECONDS
    ask_again = 0.0
    while time.monotonic() < end:
        if time.monotonic() >= ask_again:
            send_to_all(udp, QUESTION, group, port)
            ask_again = time.monotonic() + ASK_EVERY
        received = net.native_udp_recv_blocking(udp, 100)
        if received is not None and received["data"].startswith(ANSWER):
            found.add((received["data"][len(ANSWER) :], received["ip"]))
    net.native_udp_close(udp)
    return sorted(found)


def main(arguments):
    """What the command line asks for."""
    command, *rest = arguments or [""]
    name = rest.pop(0) if command == "serve" and rest else None
    group = rest.pop(0) if rest else "239.255.70.70"
    port = int(rest.pop(0)) if rest else 47070
    if command == "serve" and name and not rest:
        serve(name, group, port)
    elif command == "find" and not rest:
        for found, address in find(group, port):
            print(f"{found} at {address}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
