"""Broadcast and multicast across a real network: two network namespaces with a cable between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from udp_support import EXAMPLE, GROUPS, Caller, Namespace, member, namespaces, run

# As a member, but a plain socket, which says how many routers the datagram might still pass.
PLAIN_MEMBER = """
import socket, struct
raw = socket.socket(socket.AF_INET6 if ":" in args[0] else socket.AF_INET, socket.SOCK_DGRAM)
raw.settimeout(20)
if ":" in args[0]:
    raw.bind(("::", 5000))
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                   socket.inet_pton(socket.AF_INET6, args[0]) + struct.pack("=I", socket.if_nametoindex("eth0")))
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
else:
    raw.bind(("0.0.0.0", 5000))
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                   socket.inet_aton(args[0]) + socket.inet_aton("10.9.8.2"))
    raw.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL of Linux, which the module does not name
say("ready")
while True:
    data, extra, _flags, _sender = raw.recvmsg(100, 100)
    say(data.decode(), int.from_bytes(extra[0][2], sys.byteorder))
"""

both_families = pytest.mark.parametrize("group", GROUPS)


@pytest.fixture(scope="module")
def cable() -> Iterator[list[Namespace]]:
    """Two machines and a cable."""
    with namespaces("left", "right") as both:
        both[0].join(both[1])
        yield both


@pytest.fixture
def machines(cable: list[Namespace]) -> Iterator[list[Namespace]]:
    """The two machines, whose scripts end with the test."""
    yield cable
    for machine in cable:
        machine.end_scripts()


# ---- multicast


@both_families
def test_multicast_reaches_the_members(machines: list[Namespace], group: str) -> None:
    left, right = machines
    members = [member(machine, group) for machine in (left, right, right)]
    outsider = member(right)
    call = Caller(left)
    assert call("multicast_send", "hello", group, 5000) == "5"
    heard = [each.line().split() for each in members]
    assert all(data == "hello" for data, _sender in heard)
    assert all((sender == "10.9.8.1") if "." in group else (":" in sender) for _data, sender in heard)
    # A member of nothing gets nothing, though the machine's other sockets are members. Of several sockets
    # on a port the system gives to one what is sent to it alone: the last of them (the outsider).
    assert call("send", "direct", "10.9.8.2", 5000) == "6"
    assert outsider.line() == "direct 10.9.8.1"


@both_families
def test_leaving_and_joining_again(machines: list[Namespace], group: str) -> None:
    left, right = machines
    listening = member(right, group)
    call = Caller(left)
    for data, direct in (("one", False), (f"leave {group}", True), ("unheard", False), (f"join {group}", True)):
        if direct:
            call("send", data, "10.9.8.2", 5000)
        else:
            call("multicast_send", data, group, 5000)
        if data != "unheard":
            assert listening.line().startswith(f"{data} ")
    call("multicast_send", "two", group, 5000)
    assert listening.line().startswith("two ")


def test_members_get_what_they_have_joined(machines: list[Namespace]) -> None:
    left, right = machines
    groups = [*GROUPS, "239.1.2.4", "ff02::1:5001"]
    members = [member(right, group) for group in groups]
    everything = member(right, *groups)
    call = Caller(left)
    for group in groups:
        call("multicast_send", f"to-{group}", group, 5000)
    for script, group in zip(members, groups, strict=True):
        assert script.line().startswith(f"to-{group} ")
    assert [everything.line().split()[0] for _ in groups] == [f"to-{group}" for group in groups]


@both_families
def test_ttl(machines: list[Namespace], group: str) -> None:
    left, right = machines
    near = member(left, group)
    far = member(right, group, text=PLAIN_MEMBER)
    call = Caller(left)
    call("multicast_send", "first", group, 5000)
    assert far.line() == "first 1"
    assert call("set_multicast_ttl", 0) == "None"
    call("multicast_send", "stays", group, 5000)
    for ttl in (1, 2, 77, 255):
        call("set_multicast_ttl", ttl)
        call("multicast_send", f"goes{ttl}", group, 5000)
        assert far.line() == f"goes{ttl} {ttl}"
    expected = ["first", "stays", "goes1", "goes2", "goes77", "goes255"]
    assert [near.line().split()[0] for _ in expected] == expected


@both_families
def test_loop(machines: list[Namespace], group: str) -> None:
    left, right = machines
    near, far = member(left, group), member(right, group)
    call = Caller(left)
    assert call("set_multicast_loop", False) == "None"
    call("multicast_send", "elsewhere", group, 5000)
    assert call("set_multicast_loop", True) == "None"
    call("multicast_send", "everywhere", group, 5000)
    assert near.line().split()[0] == "everywhere"
    assert [far.line().split()[0] for _ in range(2)] == ["elsewhere", "everywhere"]


@both_families
def test_joining_twice_and_leaving_twice(machines: list[Namespace], group: str) -> None:
    call = Caller(machines[0])
    assert call("leave_multicast", group).startswith("E5006")
    assert call("join_multicast", group) == "None"
    assert call("join_multicast", group).startswith("E5006")
    assert call("leave_multicast", group) == "None"
    assert call("leave_multicast", group).startswith("E5006")
    assert call("join_multicast", group) == "None"


def test_an_interface_can_be_named_and_answered(machines: list[Namespace]) -> None:
    """A link-local address means something on one interface only, and comes with its name."""
    left, right = machines
    listening = member(right, "ff02::77%eth0")
    call = Caller(left)
    assert call("multicast_send", "who", "ff02::77%eth0", 5000) == "3"
    data, sender = listening.line().split()
    assert data == "who"
    assert sender.startswith("fe80::")
    assert sender.endswith("%eth0")
    port = eval(call("get_local_addr"))["port"]
    answering = Caller(right)
    assert answering("send", "me", sender, port) == "2"
    assert eval(call("recv_blocking", 20000))["data"] == "me"


def test_a_long_datagram_arrives_whole_or_cut(machines: list[Namespace]) -> None:
    """Longer than the cable takes at once: the system sends it in pieces."""
    left, right = machines
    listening = Caller(right)
    listening("bind", 5000)
    call = Caller(left)
    for host in ("10.9.8.2", "fd09::2"):
        assert call("send", "y" * 65507, host, 5000) == "65507"
        assert len(eval(listening("recv_blocking", 20000))["data"]) == 65507
        call("send", "y" * 20000, host, 5000)
        assert len(eval(listening("recv_from", 10000))["data"]) == 10000
    assert eval(listening("get_stats"))["packets_truncated"] == 2


def test_loopback_first_and_then_the_network(machines: list[Namespace]) -> None:
    left, right = machines
    listening = Caller(right)
    listening("bind", 5000)
    call = Caller(left)
    for near, far in (("127.0.0.1", "10.9.8.2"), ("::1", "fd09::2")):
        assert call("connect", near, 5001) == "None"
        assert call("connect", far, 5000) == "None"
        assert call("send_connected", "hello") == "5"
        assert eval(listening("recv_blocking", 20000))["data"] == "hello"


# As the system has it, a socket that was bound to an IPv4 address, be it none in particular, and a port keeps
# the source address chosen for its first peer.
BOUND = """
for ip, port in (("0.0.0.0", 5000), ("127.0.0.1", 5001)):
    ours = net.native_udp_socket()
    net.native_udp_bind_addr(ours, ip, port)
    net.native_udp_connect(ours, "127.0.0.1", 5001)
    try:
        net.native_udp_connect(ours, "10.9.8.2", 5000)
    except net.NetworkError as error:
        say(error)
try:
    net.native_udp_send(ours, "hello", "10.9.8.2", 5000)
except net.NetworkError as error:
    say(error)
"""


def test_no_way_from_the_address_that_it_has(machines: list[Namespace]) -> None:
    """Nobody could answer what comes from 127.0.0.1."""
    script = run(machines[0], BOUND)
    for _ in range(2):
        reason = "no way there from 127.0.0.1, where this socket is bound (EINVAL)"
        assert script.line() == f"E5006 native_udp_connect: 10.9.8.2:5000: {reason}"
    assert script.line() == "E5006 native_udp_send: 10.9.8.2:5000: invalid argument (EINVAL)"


# ---- broadcast


def test_broadcast(machines: list[Namespace]) -> None:
    left, right = machines
    members = [member(right), member(right)]
    call = Caller(left)
    assert call("broadcast", "everybody", 5000) == "9"
    assert [each.line() for each in members] == ["everybody 10.9.8.1"] * 2
    assert call("set_broadcast", False) == "None"
    assert call("broadcast", "unheard", 5000) == "E5006 EACCES"
    assert call("send", "unheard", "10.9.8.255", 5000) == "E5006 EACCES"
    assert call("set_broadcast", True) == "None"
    assert call("send", "network", "10.9.8.255", 5000) == "7"
    assert call("broadcast", "again", 5000) == "5"
    for each in members:
        assert [each.line() for _ in range(2)] == ["network 10.9.8.1", "again 10.9.8.1"]


# ---- no room


# An address of the network that nobody has: what is sent to it waits in the system for an answer
# that does not come, and fills the send buffer.
FULL = """
import threading, time
ours = net.native_udp_socket()
net.native_udp_set_send_buffer_size(ours, 4096)
def fill(ms):
    net.native_udp_set_timeout(ours, ms)
    sent = 0
    begin = time.monotonic()
    while time.monotonic() < begin + 10:
        try:
            net.native_udp_send(ours, b"x" * 1000, "10.9.8.99", 5000)
            sent += 1
        except net.NetworkTimeoutError as error:
            return str(error), time.monotonic() - begin, sent
message, _seconds, sent = fill(0)
assert sent == net.native_udp_get_stats(ours)["packets_sent"] > 0
say(message)
message, seconds, _sent = fill(100)
assert seconds >= 0.09, seconds
say(message)
assert net.native_udp_get_stats(ours)["send_errors"] == 2
closer = threading.Timer(0.2, net.native_udp_close, [ours])
net.native_udp_set_timeout(ours, -1)
closer.start()
begin = time.monotonic()
try:
    while True:
        net.native_udp_send(ours, b"x" * 1000, "10.9.8.99", 5000)
except net.IdError as error:
    say(error)
assert time.monotonic() - begin < 5
closer.join()
"""


def test_no_room_to_send(machines: list[Namespace]) -> None:
    script = run(machines[0], FULL)
    lines = [script.line() for _ in range(3)]
    if not all(lines):
        pytest.fail(f"{lines}\n{script.process.communicate()[1]}")
    assert all(line.startswith("E5007 native_udp_send: ") for line in lines[:2])
    assert lines[2].startswith("E3029 native_udp_send: ")
    assert lines[2].endswith("closed")


# ---- the example


def test_the_discovery_example_between_machines(machines: list[Namespace]) -> None:
    left, right = machines
    for group in ("ff02::4646", "broadcast"):
        service = right.start(str(EXAMPLE), "serve", "gamma", group, "5005")
        assert service.line().startswith("gamma can be found")
        found = left.start(str(EXAMPLE), "find", group, "5005")
        assert found.line().startswith("gamma at 10.9.8.2" if group == "broadcast" else "gamma at fe80::")
        assert found.process.wait(20) == 0
        right.end_scripts()
