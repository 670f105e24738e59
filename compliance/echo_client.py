"""The client under test: echo_client.py URL AGENT runs every case that the fuzzing server at URL has."""

from __future__ import annotations

import sys

from echo import prepare, send_back

import dryad_net as net

# Longer than any case waits for its peer.
WAIT_MS = 150_000


def run_case(url: str) -> None:
    """Connect, and send everything back until the server has had enough."""
    connection = net.native_ws_connect(url)
    prepare(connection)
    while net.native_net_wait([connection], WAIT_MS) and send_back(connection):
        pass
    net.native_ws_close(connection)


def main() -> None:
    url, agent = sys.argv[1:]
    connection = net.native_ws_connect(f"{url}/getCaseCount")
    count = net.native_ws_recv_blocking(connection, WAIT_MS)
    net.native_ws_close(connection)
    if count is None:
        raise SystemExit("the fuzzing server does not say how many cases it has")
    for number in range(1, int(count) + 1):
        run_case(f"{url}/runCase?case={number}&agent={agent}")
    run_case(f"{url}/updateReports?agent={agent}")


if __name__ == "__main__":
    main()
