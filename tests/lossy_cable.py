"""A cable between two network namespaces that loses, delays, reorders and repeats packets, as tc's netem does.

netem is a part of the kernel that many do not have ("Specified qdisc kind is unknown"); a TUN device on
either side and this process between them do the same to every packet, and need nothing but root.

    python tests/lossy_cable.py LEFT RIGHT LOSS REPEAT DELAY_MS JITTER_MS

LEFT and RIGHT are namespaces, which become 10.9.8.1 and 10.9.8.2; LOSS and REPEAT are parts of 1. Prints
"ready". The word "cut" on standard input lets nothing through from then on, "mend" everything again; at
the end of the input it ends, and prints how many packets it has carried, lost and repeated.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import selectors
import struct
import subprocess
import sys
import time

# linux/if_tun.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
LONGEST_PACKET = 65536


def open_end(name: str, namespace: str, number: int) -> int:
    """A TUN device in a namespace. Returns its descriptor here, where its packets come out and go in."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    for command in (
        ["ip", "link", "set", name, "netns", namespace],
        ["ip", "-n", namespace, "address", "add", f"10.9.8.{number}", "peer", f"10.9.8.{3 - number}", "dev", name],
        ["ip", "-n", namespace, "link", "set", name, "up"],
    ):
        subprocess.run(command, check=True)
    return fd


class Cable:
    """Both ends, and the packets on their way. Owns the descriptors."""

    def __init__(self, ends: list[int], loss: float, repeat: float, delay: float, jitter: float) -> None:
        self.ends = ends
        self.loss, self.repeat, self.delay, self.jitter = loss, repeat, delay, jitter
        self.random = random.Random(1)
        self.waiting: list[tuple[float, int, int, bytes]] = []
        self.order = itertools.count()
        self.whole = True
        self.carried = self.lost = self.repeated = 0

    def take(self, end: int) -> None:
        """What comes out of one end will go into the other, or not."""
        other = self.ends[1 - self.ends.index(end)]
        while True:
            try:
                packet = os.read(end, LONGEST_PACKET)
            except BlockingIOError:
                return
            if not self.whole or self.random.random() < self.loss:
                self.lost += 1
                continue
            copies = 1 + (self.random.random() < self.repeat)
            self.repeated += copies - 1
            for _ in range(copies):
                due = time.monotonic() + self.delay + self.random.uniform(-self.jitter, self.jitter)
                heapq.heappush(self.waiting, (due, next(self.order), other, packet))

    def deliver(self) -> float | None:
        """Put in what is due. Returns how many seconds there are until the next."""
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _due, _order, end, packet = heapq.heappop(self.waiting)
            self.carried += 1
            os.write(end, packet)
        return max(self.waiting[0][0] - time.monotonic(), 0.0) if self.waiting else None

    def run(self) -> None:
        selector = selectors.DefaultSelector()
        for each in (*self.ends, sys.stdin.fileno()):
            selector.register(each, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select(self.deliver()):
                if key.fd in self.ends:
                    self.take(key.fd)
                    continue
                word = os.read(key.fd, 100).strip()
                if not word:
                    return
                self.whole = word != b"cut"
                print(word.decode(), flush=True)


def main() -> None:
    left, right, *numbers = sys.argv[1:]
    loss, repeat, delay_ms, jitter_ms = map(float, numbers)
    ends = [open_end(f"dry{os.getpid()}l", left, 1), open_end(f"dry{os.getpid()}r", right, 2)]
    cable = Cable(ends, loss, repeat, delay_ms / 1000, jitter_ms / 1000)
    print("ready", flush=True)
    cable.run()
    print(cable.carried, cable.lost, cable.repeated, flush=True)


if __name__ == "__main__":
    main()
