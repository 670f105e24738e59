"""Machines with loopback and nothing else: multicast, the example, what cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from udp_support import EXAMPLE, GROUPS, Caller, Namespace, ip, member, namespaces, run


@pytest.fixture(scope="module")
def bare() -> Iterator[Namespace]:
    """A machine with a loopback interface and no network."""
    with namespaces("alone") as made:
        yield made[0]


@pytest.fixture
def alone(bare: Namespace) -> Iterator[Namespace]:
    """That machine, whose scripts end with the test."""
    yield bare
    bare.end_scripts()


@pytest.fixture(params=GROUPS)
def group_alone(request: pytest.FixtureRequest, alone: Namespace) -> str:
    """A group that can be sent to without a network; for IPv6 the system wants to be told so by a route."""
    group = str(request.param)
    if ":" in group:
        ip("-n", alone.name, "-6", "route", "replace", "local", "ff00::/8", "dev", "lo")
    return group


def test_multicast_over_loopback_alone(alone: Namespace, group_alone: str) -> None:
    members = [member(alone, group_alone) for _ in range(2)]
    call = Caller(alone)
    sender = "::1" if ":" in group_alone else "127.0.0.1"
    for text in ("one", "two"):
        assert call("multicast_send", text, group_alone, 5000) == "3"
        assert [each.line() for each in members] == [f"{text} {sender}"] * 2
    stats = eval(call("get_stats"))
    assert (stats["packets_sent"], stats["send_errors"]) == (2, 0)


def test_leaving_over_loopback_alone(alone: Namespace, group_alone: str) -> None:
    listening, call = Caller(alone), Caller(alone)
    listening("bind", 5000)
    for _ in range(2):
        assert listening("join_multicast", group_alone) == "None"
        assert call("multicast_send", "heard", group_alone, 5000) == "5"
        assert eval(listening("recv_blocking", 20000))["data"] == "heard"
        assert listening("leave_multicast", group_alone) == "None"
        call("multicast_send", "unheard", group_alone, 5000)
        call("send", "direct", "127.0.0.1", 5000)
        assert eval(listening("recv_blocking", 20000))["data"] == "direct"


def test_what_cannot_be_reached(alone: Namespace) -> None:
    call = Caller(alone)
    assert call("send", "x", "192.0.2.1", 5000) == "E5006 ENETUNREACH"
    assert call("send", "x", "2001:db8::1", 5000) in ("E5006 ENETUNREACH", "E5006 EADDRNOTAVAIL")
    assert call("connect", "192.0.2.1", 5000) == "E5006 ENETUNREACH"
    assert call("broadcast", "x", 5000) == "E5006 ENETUNREACH"
    assert call("send", "x", "127.0.0.1", 5000) == "1"
    assert eval(call("get_stats"))["send_errors"] == 3


TOLD = """
ours = net.native_udp_socket()
def told(name, *rest):
    try:
        say(getattr(net, "native_udp_" + name)(ours, *rest))
    except net.DryadNetError as error:
        say(error)
told("multicast_send", "x", "ff05::1", 5000)
told("broadcast", "x", 5000)
say(net.native_udp_get_stats(ours)["send_errors"])
"""


def test_what_cannot_be_reached_is_named() -> None:
    with namespaces("silent") as (silent,):  # without the route that lets IPv6 groups be sent to
        script = run(silent, TOLD)
        unreachable = "network is unreachable (ENETUNREACH)"
        group, everybody, errors = [script.line() for _ in range(3)]
        assert group.startswith("E5006 native_udp_multicast_send: [ff05::1]:5000: "), script.process.communicate()[1]
        assert everybody == f"E5006 native_udp_broadcast: 255.255.255.255:5000: {unreachable}"
        assert errors == "2"


def test_a_machine_without_ipv6() -> None:
    with namespaces("old") as (old,):
        script = run(
            old,
            """
with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w") as switch:
    switch.write("1")
ours = net.native_udp_socket()
net.native_udp_bind(ours, 5000)
other = net.native_udp_socket()
for host in ("127.0.0.1", "localhost"):
    net.native_udp_send(other, host, host, 5000)
    received = net.native_udp_recv_blocking(ours, 20000)
    say(received["data"], received["ip"])
say(refused(net.native_udp_send, other, "x", "::1", 5000).split()[0])
""",
        )
        lines = [script.line() for _ in range(3)]
        assert lines == ["127.0.0.1 127.0.0.1", "localhost 127.0.0.1", "E5006"], script.process.communicate()[1]


def test_the_discovery_example(alone: Namespace) -> None:
    services = []
    for name in ("alpha", "beta"):
        services.append(alone.start(str(EXAMPLE), "serve", name))
        line = services[-1].line()
        assert line.startswith(f"{name} can be found"), line or services[-1].process.communicate()[1]
    found = alone.start(str(EXAMPLE), "find")
    assert [found.line() for _ in range(3)] == ["alpha at 127.0.0.1", "beta at 127.0.0.1", ""]
    assert (found.process.wait(20), found.process.communicate()[1]) == (0, "")
    # Who was there first has heard the second announce itself; a service hears itself too.
    heard = {services[0].line() for _ in range(2)}
    assert heard == {"heard of alpha at 127.0.0.1", "heard of beta at 127.0.0.1"}
    other = alone.start(str(EXAMPLE), "find", "239.255.70.70", "47071")
    assert (other.line(), other.process.wait(20)) == ("", 0)
