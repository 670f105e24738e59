"""What single techniques bring, each beside the other ways of doing the same, all in C.

The first row of a table is what the library does; a ratio under 1 is what another way would come to.
"""

from __future__ import annotations

import harness

# Question, unit, and the ways: (name in the table, name in floor/techniques.c).
QUESTIONS = (
    (
        "A receive of 64 bytes that may wait up to 5 s and need not",
        "receive",
        (("C, recv with SO_RCVTIMEO", "recv_alone"), ("C, poll, then recv", "recv_after_poll")),
    ),
    (
        "The same receive in a process that has another thread",
        "receive",
        (("C, the only thread", "recv_alone"), ("C, beside a thread that sleeps", "recv_beside")),
    ),
    (
        "256 connections that have nothing, asked in turn",
        "connection",
        (("C, one epoll_wait(0), then flags", "ask_poller"), ("C, recv of each: EAGAIN", "ask_each")),
    ),
    (
        "Sending a header and 1 KiB of payload",
        "message",
        (
            ("C, copied behind the header, one send", "send_copied"),
            ("C, sendmsg of two parts", "send_gathered"),
            ("C, two sends", "send_twice"),
        ),
    ),
    (
        "The end of a line of 64 bytes that ends in CR LF",
        "line",
        (("C, memchr for the last byte, then a look back", "find_last_byte"), ("C, memmem", "find_whole")),
    ),
    (
        "Masking 1 KiB into the frame",
        "payload",
        (
            ("C, while it is copied", "mask_fused"),
            ("C, after it was copied", "mask_after_copy"),
            ("C, byte by byte", "mask_bytes"),
        ),
    ),
    (
        "Receiving 64 KiB into a buffer that begins somewhere in a page",
        "receive",
        (
            ("C, 64 bytes in", "recv_at_64"),
            ("C, 16 bytes in, as malloc() has it", "recv_at_16"),
            ("C, 6 bytes in", "recv_at_6"),
        ),
    ),
)


def main() -> None:
    options = harness.arguments(__doc__)
    cases = []
    with harness.floor_programs() as floor:
        for question, unit, ways in QUESTIONS:
            contenders = [harness.Contender(name, (floor("techniques"), way)) for name, way in ways]
            cases.append(harness.measure(question, unit, contenders, options))
    harness.save("techniques", cases, options, [])


if __name__ == "__main__":
    main()
