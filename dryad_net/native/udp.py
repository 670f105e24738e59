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
from ..datagram import BROADCAST_ADDRESS, DatagramSocket, open_socket
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
    port of one's choice, native_udp_bind it.
    Errors: E5006 (no descriptors left). See udp(7).
    """
    return open_socket().id


@native("udp", socket_id=SOCKET, port=LISTEN_PORT)
def native_udp_bind(udp: DatagramSocket, port: int) -> None:
    """Receive on a port, on every interface, from IPv4 and IPv6 peers.

    socket_id: a UDP socket. port: 0 picks a free one, which native_udp_get_local_addr tells.
    Returns null. Errors: E5006 (the port is in use, the socket is bound already). See bind(2).
    """
    udp.bind_to("", port)


@native("udp", socket_id=SOCKET, ip=ADDRESS, port=LISTEN_PORT)
def native_udp_bind_addr(udp: DatagramSocket, ip: str, port: int) -> None:
    """Receive on a port of one address of this machine.

    socket_id: a UDP socket. ip: an IPv4 or IPv6 address. port: 0 picks a free one.
    Returns null. Errors: E5006 (the port is in use, the address is not this machine's). See bind(2).
    """
    udp.bind_to(ip, port)


@native("udp", method=DatagramSocket.send_to, socket_id=SOCKET, data=DATA, host=HOST, port=PORT)
def native_udp_send(udp: DatagramSocket, data: str | bytes, host: str, port: int) -> int:
    """Send a datagram to a host.

    socket_id: a UDP socket. data: a string, sent as UTF-8, or an array of bytes; 65,507 bytes at most.
    host: a name (looked up again after 30 s) or an IP address. port: 1 to 65535.
    Returns how many bytes were sent: all.
    Errors: E5006 (message too long, no such name, unreachable), E5007 (no room in time). See sendto(2).
    """


@native("udp", method=DatagramSocket.recv, socket_id=SOCKET)
def native_udp_recv(udp: DatagramSocket) -> Received | None:
    """Receive a datagram, without waiting.

    socket_id: a UDP socket.
    Returns an object with "data" (text as native_tcp_recv gives it), "ip" and "port" of the sender, or
    null if nothing is there. An empty datagram is data, not null.
    Errors: E5006 (on a connected socket: nobody listens there; said once). See recvfrom(2).
    """


@native("udp", method=DatagramSocket.recv_blocking, socket_id=SOCKET, timeout_ms=TIMEOUT)
def native_udp_recv_blocking(udp: DatagramSocket, timeout_ms: int) -> Received | None:
    """Receive a datagram, waiting for it.

    socket_id: a UDP socket. timeout_ms: milliseconds; 0 does not wait, -1 or null waits without limit.
    Returns an object as native_udp_recv, or null when the time is up or another thread closes the socket.
    Errors: E5006 (on a connected socket: nobody listens there; said once). See recvfrom(2).
    """


@native("udp", method=DatagramSocket.recv_from, socket_id=SOCKET, max_size=SIZE)
def native_udp_recv_from(udp: DatagramSocket, max_size: int) -> Received | None:
    """Receive a datagram, waiting for it (native_udp_set_timeout), and cut it if it is longer than asked for.

    socket_id: a UDP socket. max_size: bytes, at least 1; what is cut off is lost, and counted
    (native_udp_get_stats). A character cut in two comes out escaped.
    Returns an object as native_udp_recv, or null when the time is up or another thread closes the socket.
    Errors: E5006 (on a connected socket: nobody listens there; said once). See recvfrom(2).
    """


@native("udp", socket_id=SOCKET_OR_CLOSED)
def native_udp_close(udp: DatagramSocket | None) -> None:
    """Close a UDP socket.

    socket_id: a UDP socket; nothing happens if it is closed.
    Returns null.
    """
    if udp is not None:
        udp.close()


@native("udp", socket_id=SOCKET, host=HOST, port=PORT)
def native_udp_connect(udp: DatagramSocket, host: str, port: int) -> None:
    """Choose one peer: native_udp_send_connected sends to it, and only its datagrams are received.

    socket_id: a UDP socket. host: a name or an IP address. port: 1 to 65535.
    Returns null; nothing is sent. Errors: E5006 (no such name, unreachable). See connect(2).
    """
    udp.connect_to(host, port)


@native("udp", method=DatagramSocket.send, socket_id=SOCKET, data=DATA)
def native_udp_send_connected(udp: DatagramSocket, data: str | bytes) -> int:
    """Send a datagram to the peer chosen by native_udp_connect.

    socket_id: a UDP socket. data: a string, sent as UTF-8, or an array of bytes; 65,507 bytes at most.
    Returns how many bytes were sent: all.
    Errors: E5006 (no peer was chosen, message too long; nobody listens there: said once), E5007 (no
    room in time). See send(2).
    """


# ---- broadcast and multicast


@native("udp", socket_id=SOCKET, data=DATA, port=PORT)
def native_udp_broadcast(udp: DatagramSocket, data: str | bytes, port: int) -> int:
    """Send a datagram to every host of the local network (255.255.255.255, IPv4 only).

    socket_id: a UDP socket. data: a string, sent as UTF-8, or an array of bytes. port: 1 to 65535.
    Returns how many bytes were sent: all.
    Errors: E5006 (broadcast was switched off, no network). See SO_BROADCAST in socket(7).
    """
    return udp.send_to(data, BROADCAST_ADDRESS, port)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_broadcast(udp: DatagramSocket, enable: bool) -> None:
    """Allow (as it is at first) or forbid sending to broadcast addresses.

    socket_id: a UDP socket.
    Returns null. See SO_BROADCAST in socket(7).
    """
    udp.set_option(*BROADCAST, enable)


@native("udp", socket_id=SOCKET, group_ip=MULTICAST_ADDRESS)
def native_udp_join_multicast(udp: DatagramSocket, group_ip: str) -> None:
    """Receive what is sent to a multicast group.

    socket_id: a UDP socket, bound to the port of the group. group_ip: 224.0.0.0/4 or ff00::/8; an
    interface can be named behind a percent sign for IPv6 ("ff02::1%eth0").
    Returns null. Errors: E5006 (joined already). See IP_ADD_MEMBERSHIP in ip(7), RFC 3493, 5.2.
    """
    udp.join(group_ip)


@native("udp", socket_id=SOCKET, group_ip=MULTICAST_ADDRESS)
def native_udp_leave_multicast(udp: DatagramSocket, group_ip: str) -> None:
    """Receive what is sent to a multicast group no longer.

    socket_id: a UDP socket. group_ip: as it was joined.
    Returns null. Errors: E5006 (not joined). See IP_DROP_MEMBERSHIP in ip(7), RFC 3493, 5.2.
    """
    udp.leave(group_ip)


@native("udp", socket_id=SOCKET, data=DATA, group_ip=MULTICAST_ADDRESS, port=PORT)
def native_udp_multicast_send(udp: DatagramSocket, data: str | bytes, group_ip: str, port: int) -> int:
    """Send a datagram to a multicast group.

    socket_id: a UDP socket; it need not have joined. data: a string, sent as UTF-8, or an array of
    bytes. group_ip: 224.0.0.0/4 or ff00::/8. port: 1 to 65535.
    Returns how many bytes were sent: all. Errors: E5006, E5007 as native_udp_send. See ip(7).
    """
    return udp.multicast(data, group_ip, port)


@native("udp", socket_id=SOCKET, ttl=TTL)
def native_udp_set_multicast_ttl(udp: DatagramSocket, ttl: int) -> None:
    """Set how many routers a multicast datagram may pass.

    socket_id: a UDP socket. ttl: hops, 0 (this machine only) to 255; 1 at first, the local network.
    Returns null. See IP_MULTICAST_TTL in ip(7), RFC 3493, 5.2.
    """
    udp.set_multicast_ttl(ttl)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_multicast_loop(udp: DatagramSocket, enable: bool) -> None:
    """Deliver what is sent to a group to members on this machine too (as it is at first), or not.

    socket_id: a UDP socket, the one that sends.
    Returns null. See IP_MULTICAST_LOOP in ip(7), RFC 3493, 5.2.
    """
    udp.set_multicast_loop(enable)


# ---- settings


@native("udp", socket_id=SOCKET, ms=TIMEOUT)
def native_udp_set_timeout(udp: DatagramSocket, ms: int) -> None:
    """Bound the calls that may wait and have no timeout argument: native_udp_recv_from and the sends.

    socket_id: a UDP socket. ms: milliseconds, 30,000 at first; 0 does not wait, -1 or null waits
    without limit.
    Returns null.
    """
    udp.set_timeout(ms)


@native("udp", socket_id=SOCKET, size=KERNEL_SIZE)
def native_udp_set_recv_buffer_size(udp: DatagramSocket, size: int) -> None:
    """Set the size of the system's receive buffer.

    socket_id: a UDP socket. size: bytes; the system may round it, and Linux doubles it.
    Returns null. See SO_RCVBUF in socket(7).
    """
    udp.set_option(*RECV_BUFFER, size)


@native("udp", socket_id=SOCKET, size=KERNEL_SIZE)
def native_udp_set_send_buffer_size(udp: DatagramSocket, size: int) -> None:
    """Set the size of the system's send buffer.

    socket_id: a UDP socket. size: bytes; the system may round it, and Linux doubles it.
    Returns null. See SO_SNDBUF in socket(7).
    """
    udp.set_option(*SEND_BUFFER, size)


@native("udp", socket_id=SOCKET)
def native_udp_get_recv_buffer_size(udp: DatagramSocket) -> int:
    """Get the size of the system's receive buffer.

    socket_id: a UDP socket.
    Returns bytes, as the system says. See SO_RCVBUF in socket(7).
    """
    return udp.get_option(*RECV_BUFFER)


@native("udp", socket_id=SOCKET)
def native_udp_get_send_buffer_size(udp: DatagramSocket) -> int:
    """Get the size of the system's send buffer.

    socket_id: a UDP socket.
    Returns bytes, as the system says. See SO_SNDBUF in socket(7).
    """
    return udp.get_option(*SEND_BUFFER)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_reuseaddr(udp: DatagramSocket, enable: bool) -> None:
    """Let several sockets that all ask for it be bound to one port (for multicast); before the bind.

    socket_id: a UDP socket.
    Returns null. See SO_REUSEADDR in socket(7).
    """
    udp.set_option(*REUSEADDR, enable)


@native("udp", socket_id=SOCKET, enable=BOOLEAN)
def native_udp_set_reuseport(udp: DatagramSocket, enable: bool) -> None:
    """Let several sockets that all ask for it share a port, and the datagrams to it; before the bind.

    socket_id: a UDP socket.
    Returns null. Errors: E5006 (a system without it). See SO_REUSEPORT in socket(7).
    """
    udp.set_option(*REUSEPORT, enable)


@native("udp", socket_id=SOCKET)
def native_udp_get_local_addr(udp: DatagramSocket) -> dict[str, str | int]:
    """Get the socket's own address.

    socket_id: a UDP socket.
    Returns an object with "ip" ("::" for every interface of both families) and "port" (0 until it is
    bound or has sent). See getsockname(2).
    """
    return as_ip_port(udp.local_address())


@native("udp", socket_id=SOCKET)
def native_udp_get_stats(udp: DatagramSocket) -> dict[str, int]:
    """Get what has gone through the socket so far.

    socket_id: a UDP socket.
    Returns an object: bytes_sent, bytes_received, packets_sent, packets_received, packets_lost (dropped
    by the system for want of room in the receive buffer; 0 where it does not count them),
    packets_truncated (native_udp_recv_from), send_errors.
    """
    return udp.stats()


# ---- extension


@native("udp", method=DatagramSocket.recv_bytes, extension=True, socket_id=SOCKET)
def native_udp_recv_bytes(udp: DatagramSocket) -> dict[str, bytes | int | str] | None:
    """Receive a datagram, without waiting, with its data as bytes.

    As native_udp_recv, but "data" is exactly the bytes that came.
    """
