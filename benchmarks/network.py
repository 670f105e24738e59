"""The network that is measured on: loopback in a namespace of its own, where nothing is paced (network_namespaces(7)).

Many machines have BBR for congestion control. It spreads over time what it sends, by timers that it sets for one
connection and not for the next, as its estimate of the path has come out: round trips of 1 MiB take 155 µs of a C
client's time on one connection and 260 on the next. Reno sets none, and every Linux has it (tcp(7)).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CONGESTION_CONTROL = "reno"
CHOSEN = Path("/proc/sys/net/ipv4/tcp_congestion_control")
# sched.h, linux/sockios.h, net/if.h
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def enter() -> str:
    """Have this process, and those it starts, use a network of their own; what that is, in a few words.

    Where the system does not allow it, or is not Linux, it is the machine's network, and the words say so.
    """
    if not sys.platform.startswith("linux"):
        return "the machine's loopback"
    if not _leave():
        return f"the machine's loopback, {CHOSEN.read_text().strip()}"
    _start_loopback()
    with contextlib.suppress(OSError):  # where /proc/sys is read-only it stays what it is
        CHOSEN.write_text(CONGESTION_CONTROL)
    return f"loopback in a namespace of its own, {CHOSEN.read_text().strip()}"


def _leave() -> bool:
    """Leave the machine's network; who is not root needs to be in a user namespace for that (user_namespaces(7))."""
    libc = ctypes.CDLL(None)
    if libc.unshare(CLONE_NEWNET) == 0:
        return True
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def _start_loopback() -> None:
    """A new namespace's loopback is down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        name, flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", name, flags | IFF_UP))
