"""UDP: the 26 native functions, in the specification's order, and one extension."""

from __future__ import annotations

from ..addresses import as_ip_port
from ..checks import (
    ADDRESS,
    BOOLEAN,
    DATA,
    HOST,
    KERNEL_SIZE,
    LISTEN_PORT,
    MULTICAST_ADDRESS,
    PORT,
    SIZE,
    TIMEOUT,
    TTL,
    Id,
    IdOrClosed,
)
from ..datagram import DatagramSocket, open_socket
from ..options import BROADCAST, RECV_BUFFER, REUSEADDR, REUSEPORT, SEND_BUFFER
from ..registry import native

SOCKET = Id("a UDP socket", DatagramSocket)
SOCKET_OR_CLOSED = IdOrClosed("a UDP socket", DatagramSocket)

# A datagram as scripts see it: {"data", "ip", "port"}.
Received = dict[str, "str | int"]


@native("udp")
def native_udp_socket() -> int:
    """Open a UDP socket, for IPv4 and IPv6 peers.

    Returns the ID of the socket. It can send at once, and receives what is answered; to receive on a
        port of one's choice, bind it (native_udp_bind).
    Errors: E5006 (no descriptors left).
    See udp(7); RFC 768.
    """
    return open_socket().id


@native("udp", socket_id=SOCKET, port=LISTEN_PORT)
def native_udp_bind(udp: DatagramSocket, port: int) -> None:
    """Receive on a port, on every interface, from IPv4 and IPv6 peers.

    socket_id: the ID of a UDP socket.
    port: a number, up to 65535; 0 picks a free port, which native_udp_get_local_addr tells.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed), E5006 (the port is in
        use, or not allowed; the socket is bound already).
    See bind(2).
    """
    udp.bind_to("", port)


@native("udp", socket_id=SOCKET, ip=ADDRESS, port=LISTEN_PORT)
def native_udp_bind_addr(udp: DatagramSocket, ip: str, port: int) -> None:
    """Receive on a port of one address of this machine.

    socket_id: the ID of a UDP socket.
    ip: an IPv4 or IPv6 address, no name.
    port: a number, up to 65535; 0 picks a free port, which native_udp_get_local_addr tells.
    Returns null.
    Errors: E3006 (wrong type, no IP address, or out of range), E3029 (no such socket, or closed), E5006
        (the port is in use, or not allowed; the address is not this machine's; the socket is bound
        already).
    See bind(2).
    """
    udp.bind_to(ip, port)


@native("udp", method=DatagramSocket.send_to, socket_id=SOCKET, data=DATA, host=HOST, port=PORT)
def native_udp_send(udp: DatagramSocket, data: str | bytes, host: str, port: int) -> int:
    """Send a datagram to a host.

    socket_id: the ID of a UDP socket.
    data: a string, sent as UTF-8, or an array of bytes, perhaps empty.
    host: a name or an IP address. A name is looked up again after 30 s.
    port: a number, 1 to 65535.
    Returns how many bytes were sent: all.
    Errors: E3006 (wrong type or out of range; a lone surrogate that is no escaped byte), E3029 (no such
        socket, or closed), E5006 (too long, no such name, unreachable), E5007 (no room, or the name not
        known, in time).
    Limits: 65,507 bytes; native_udp_set_timeout bounds the wait.
    See sendto(2); RFC 768.
    """


@native("udp", method=DatagramSocket.recv, socket_id=SOCKET)
def native_udp_recv(udp: DatagramSocket) -> Received | None:
    """Receive a datagram, without waiting.

    socket_id: the ID of a UDP socket.
    Returns an object: data (text, as native_tcp_recv gives it), ip and port of the sender; or null if
        nothing is there. An empty datagram is data, not null.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed), E5006 (with native_udp_connect:
        nobody listens there; said once).
    See recvfrom(2).
    """


@native("udp", method=DatagramSocket.recv_blocking, socket_id=SOCKET, timeout_ms=TIMEOUT)
def native_udp_recv_blocking(udp: DatagramSocket, timeout_ms: int) -> Received | None:
    """Receive a datagram, waiting for it.

    socket_id: the ID of a UDP socket.
    timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns an object, as native_udp_recv; null when the time is up, or when another thread closes the
        socket.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed before), E5006 (with
        native_udp_connect: nobody listens there; said once).
    See recvfrom(2); poll(2).
    """


@native("udp", method=DatagramSocket.recv_from, socket_id=SOCKET, max_size=SIZE)
def native_udp_recv_from(udp: DatagramSocket, max_size: int) -> Received | None:
    """Receive a datagram, waiting for it, and cut it if it is longer than asked for.

    socket_id: the ID of a UDP socket.
    max_size: the most bytes to take, a number of at least 1. What is cut off is lost, and counted
        (native_udp_get_stats); a character cut in two comes out escaped.
    Returns an object, as native_udp_recv; null when the time is up, or when another thread closes the
        socket.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed before), E5006 (with
        native_udp_connect: nobody listens there; said once).
    Limits: native_udp_set_timeout bounds the wait.
    See recvfrom(2); poll(2).
    """


@native("udp", socket_id=SOCKET_OR_CLOSED)
def native_udp_close(udp: DatagramSocket | None) -> None:
    """Close a UDP socket.

    socket_id: the ID of a UDP socket; nothing happens if it is closed.
    Returns null. Who waits for a datagram in another thread gets null.
    Errors: E3006 (wrong type), E3029 (never given out, or of another kind).
    See close(2).
    """
    if udp is not None:
        udp.close()


@native("udp", socket_id=SOCKET, host=HOST, port=PORT)
def native_udp_connect(udp: DatagramSocket, host: str, port: int) -> None:
    """Choose one peer: native_udp_send_connected sends to it, and only its datagrams are received.

    socket_id: the ID of a UDP socket.
    host: a name or an IP address.
    port: a number, 1 to 65535.
    Returns null; nothing is sent. Another call chooses another peer, and the socket keeps its port.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed), E5006 (no such name,
        unreachable), E5007 (the name is not known in time).
    Limits: native_udp_set_timeout bounds the look-up of the name.
    See connect(2); udp(7).
    """
    udp.connect_to(host, port)


@native("udp", method=DatagramSocket.send, socket_id=SOCKET, data=DATA)
def native_udp_send_connected(udp: DatagramSocket, data: str | bytes) -> int:
    """Send a datagram to the peer chosen by native_udp_connect.

    socket_id: the ID of a UDP socket.
    data: a string, sent as UTF-8, or an array of bytes, perhaps empty.
    Returns how many bytes were sent: all.
    Errors: E3006 (wrong type; a lone surrogate that is no escaped byte), E3029 (no such socket, or
        closed), E5006 (no peer was chosen; too long; nobody listens there, said once), E5007 (no room
        in time).
    Limits: 65,507 bytes; native_udp_set_timeout bounds the wait.
    See send(2); RFC 768.
    """


# ---- broadcast and multicast


@native("udp", socket_id=SOCKET, data=DATA, port=PORT)
def native_udp_broadcast(udp: DatagramSocket, data: str | bytes, port: int) -> int:
    """Send a datagram to every host of the local network (255.255.255.255, IPv4 only).

    socket_id: the ID of a UDP socket.
    data: a string, sent as UTF-8, or an array of bytes, perhaps empty.
    port: a number, 1 to 65535.
    Returns how many bytes were sent: all.
    Errors: E3006 (wrong type or out of range; a lone surrogate that is no escaped byte), E3029 (no such
        socket, or closed), E5006 (broadcast was switched off, no network, too long), E5007 (no room in
        time).
    Limits: 65,507 bytes; native_udp_set_timeout bounds the wait.
    See socket(7), SO_BROADCAST; RFC 919, 7.
    """
    return udp.broadcast(data, port)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_broadcast(udp: DatagramSocket, enable: bool) -> None:
    """Allow sending to broadcast addresses, or forbid it; allowed at first.

    socket_id: the ID of a UDP socket.
    enable: a boolean; true allows it.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed), E5006 (the system refuses it).
    See socket(7), SO_BROADCAST.
    """
    udp.set_option(*BROADCAST, enable)


@native("udp", socket_id=SOCKET, group_ip=MULTICAST_ADDRESS)
def native_udp_join_multicast(udp: DatagramSocket, group_ip: str) -> None:
    """Receive what is sent to a multicast group.

    socket_id: the ID of a UDP socket, bound to the port of the group.
    group_ip: an address in 224.0.0.0/4 or ff00::/8. For IPv6 an interface can be named behind a percent
        sign ("ff02::1%eth0").
    Returns null.
    Errors: E3006 (wrong type, no multicast address, no such interface), E3029 (no such socket, or
        closed), E5006 (joined already; too many groups).
    See ip(7), IP_ADD_MEMBERSHIP; RFC 3493, 5.2.
    """
    udp.join(group_ip)


@native("udp", socket_id=SOCKET, group_ip=MULTICAST_ADDRESS)
def native_udp_leave_multicast(udp: DatagramSocket, group_ip: str) -> None:
    """Receive what is sent to a multicast group no longer.

    socket_id: the ID of a UDP socket.
    group_ip: the address, as it was joined.
    Returns null.
    Errors: E3006 (wrong type, no multicast address, no such interface), E3029 (no such socket, or
        closed), E5006 (not joined).
    See ip(7), IP_DROP_MEMBERSHIP; RFC 3493, 5.2.
    """
    udp.leave(group_ip)


@native("udp", socket_id=SOCKET, data=DATA, group_ip=MULTICAST_ADDRESS, port=PORT)
def native_udp_multicast_send(udp: DatagramSocket, data: str | bytes, group_ip: str, port: int) -> int:
    """Send a datagram to a multicast group.

    socket_id: the ID of a UDP socket; it need not have joined.
    data: a string, sent as UTF-8, or an array of bytes, perhaps empty.
    group_ip: an address in 224.0.0.0/4 or ff00::/8.
    port: a number, 1 to 65535.
    Returns how many bytes were sent: all.
    Errors: E3006 (wrong type, no multicast address, or out of range; a lone surrogate that is no
        escaped byte), E3029 (no such socket, or closed), E5006 (too long, unreachable), E5007 (no room
        in time).
    Limits: 65,507 bytes; native_udp_set_timeout bounds the wait.
    See sendto(2); ip(7); RFC 1112, 6.
    """
    return udp.multicast(data, group_ip, port)


@native("udp", socket_id=SOCKET, ttl=TTL)
def native_udp_set_multicast_ttl(udp: DatagramSocket, ttl: int) -> None:
    """Set how many routers a multicast datagram may pass.

    socket_id: the ID of a UDP socket.
    ttl: hops, a number from 0 (this machine only) to 255; 1 at first, the local network.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed), E5006 (the system
        refuses it).
    See ip(7), IP_MULTICAST_TTL; RFC 3493, 5.2.
    """
    udp.set_multicast_ttl(ttl)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_multicast_loop(udp: DatagramSocket, enable: bool) -> None:
    """Deliver what is sent to a group to members on this machine too, or not; it is at first.

    socket_id: the ID of a UDP socket, the one that sends.
    enable: a boolean; true delivers it.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed), E5006 (the system refuses it).
    See ip(7), IP_MULTICAST_LOOP; RFC 3493, 5.2.
    """
    udp.set_multicast_loop(enable)


# ---- settings


@native("udp", socket_id=SOCKET, ms=TIMEOUT)
def native_udp_set_timeout(udp: DatagramSocket, ms: int) -> None:
    """Bound the calls that may wait and have no timeout argument: native_udp_recv_from and the sends.

    socket_id: the ID of a UDP socket.
    ms: milliseconds, 30,000 at first; 0 does not wait, -1 or null waits without limit.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed).
    """
    udp.set_timeout(ms)


@native("udp", socket_id=SOCKET, size=KERNEL_SIZE)
def native_udp_set_recv_buffer_size(udp: DatagramSocket, size: int) -> None:
    """Set the size of the system's receive buffer.

    socket_id: the ID of a UDP socket.
    size: bytes, a number of at least 1; the system may round it, and Linux doubles it.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed), E5006 (the system
        refuses it).
    See socket(7), SO_RCVBUF.
    """
    udp.set_option(*RECV_BUFFER, size)


@native("udp", socket_id=SOCKET, size=KERNEL_SIZE)
def native_udp_set_send_buffer_size(udp: DatagramSocket, size: int) -> None:
    """Set the size of the system's send buffer.

    socket_id: the ID of a UDP socket.
    size: bytes, a number of at least 1; the system may round it, and Linux doubles it.
    Returns null.
    Errors: E3006 (wrong type or out of range), E3029 (no such socket, or closed), E5006 (the system
        refuses it).
    See socket(7), SO_SNDBUF.
    """
    udp.set_option(*SEND_BUFFER, size)


@native("udp", socket_id=SOCKET)
def native_udp_get_recv_buffer_size(udp: DatagramSocket) -> int:
    """Get the size of the system's receive buffer.

    socket_id: the ID of a UDP socket.
    Returns bytes, as the system says.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed).
    See socket(7), SO_RCVBUF.
    """
    return udp.get_option(*RECV_BUFFER)


@native("udp", socket_id=SOCKET)
def native_udp_get_send_buffer_size(udp: DatagramSocket) -> int:
    """Get the size of the system's send buffer.

    socket_id: the ID of a UDP socket.
    Returns bytes, as the system says.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed).
    See socket(7), SO_SNDBUF.
    """
    return udp.get_option(*SEND_BUFFER)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_reuseaddr(udp: DatagramSocket, enable: bool) -> None:
    """Let several sockets that all ask for it be bound to one port (for multicast); before the bind; off at first.

    socket_id: the ID of a UDP socket.
    enable: a boolean.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed), E5006 (the system refuses it).
    See socket(7), SO_REUSEADDR.
    """
    udp.set_option(*REUSEADDR, enable)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_reuseport(udp: DatagramSocket, enable: bool) -> None:
    """Let several sockets that all ask for it share a port, and the datagrams to it; before the bind; off at first.

    socket_id: the ID of a UDP socket.
    enable: a boolean.
    Returns null.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed), E5006 (a system without it).
    See socket(7), SO_REUSEPORT.
    """
    udp.set_option(*REUSEPORT, enable)


@native("udp", socket_id=SOCKET)
def native_udp_get_local_addr(udp: DatagramSocket) -> dict[str, str | int]:
    """Get the socket's own address.

    socket_id: the ID of a UDP socket.
    Returns an object: ip ("::" for every interface of both families) and port (0 until it is bound or
        has sent).
    Errors: E3006 (wrong type), E3029 (no such socket, or closed).
    See getsockname(2).
    """
    return as_ip_port(udp.local_address())


@native("udp", socket_id=SOCKET)
def native_udp_get_stats(udp: DatagramSocket) -> dict[str, int]:
    """Get what has gone through the socket so far.

    socket_id: the ID of a UDP socket.
    Returns an object of numbers: bytes_sent, bytes_received, packets_sent, packets_received,
        packets_lost (dropped by the system for want of room in the receive buffer; 0 where it does not
        count them), packets_truncated (by native_udp_recv_from), send_errors.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed).
    See socket(7), SO_MEMINFO.
    """
    return udp.stats()


# ---- extension


@native("udp", method=DatagramSocket.recv_bytes, extension=True, socket_id=SOCKET)
def native_udp_recv_bytes(udp: DatagramSocket) -> dict[str, bytes | int | str] | None:
    """Receive a datagram, without waiting, with its data as bytes.

    socket_id: the ID of a UDP socket.
    Returns an object: data (an array of bytes, exactly those that came), ip and port of the sender; or
        null if nothing is there.
    Errors: E3006 (wrong type), E3029 (no such socket, or closed), E5006 (with native_udp_connect:
        nobody listens there; said once).
    See recvfrom(2).
    """
