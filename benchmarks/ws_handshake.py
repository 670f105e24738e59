"""A server's opening handshake: accepting, answering the request, and letting go of the connection.

A C program on the same CPU connects, asks for the upgrade, reads the answer and resets the
connection, one after the other; the CPU column is the server's processor time, all its threads.
"""

from __future__ import annotations

import harness
import load
import ws_server


def main() -> None:
    options = harness.arguments(__doc__)
    with harness.floor_programs() as floor:
        servers = [one for one in ws_server.contenders(floor("ws_server")) if not one.name.endswith("in turn")]
        case = harness.measure(
            "WebSocket server, opening handshake",
            "handshake",
            [load.UnderLoad(one, (floor("ws_handshakes"), "{port}")) for one in servers],
            options,
        )
        notes = ws_server.gate(case)
    harness.save("ws_handshake", [case], options, notes)


if __name__ == "__main__":
    main()
