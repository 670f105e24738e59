"""The suite through tests/hostile_proxy.py: pytest --through-proxy slice,delay tests/test_tcp_*.py tests/test_ws_*.py

Every TCP connection that a test makes in this process or in a script of its own goes through the
proxy then. What is left out, and why, is here; a name that fits no test any more is an error.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import hostile_proxy
import pytest

HERE = Path(__file__).parent
# What a proxy cannot carry, or changes by being what it is, and the tests that look at exactly that.
LEFT_OUT: dict[str, list[str]] = {
    "addresses: the peer is the proxy": [
        "test_tcp_connect::test_names_and_addresses",
        "test_tcp_connect::test_ipv6",
        "test_tcp_connect::test_the_next_address_is_tried_when_one_refuses",
        "test_tcp_server::test_listen_is_reached_over_ipv4",
        "test_tcp_server::test_listen_is_reached_over_ipv6",
        "test_tcp_server::test_addresses_of_our_own_connections",
        "test_tcp_server::test_clients_are_accepted_in_the_order_they_came",
        "test_ws_connect::test_names_and_addresses",
        "test_ws_extensions::test_local_addresses",
        "test_ws_info::test_of_a_fresh_connection",
        "test_ws_info::test_a_connection_of_our_own",
        "test_ws_server::test_listen_is_reached_over_both_families",
    ],
    "connecting to somebody who does not answer: the proxy does": [
        "test_tcp_connect::test_nobody_answers",
        "test_tcp_connect::test_the_next_address_is_tried_beside_one_that_is_silent",
        "test_tcp_connect::test_the_system_gives_up_first",
        "test_tcp_server::test_the_backlog_is_really_set",
        "test_tcp_signals::test_ctrl_c_while_connecting",
        "test_ws_server::test_at_most_1024_wait_to_be_accepted",
    ],
    "what the kernel holds for a peer who does not read: the proxy holds more": [
        "test_tcp_broadcast::test_over_the_limit_a_client_is_dropped",
        "test_tcp_close::test_a_reset_leaves_nothing_with_the_background",
        "test_tcp_idle::test_a_sender_that_waits_beside_a_queue",
        "test_ws_lazy::test_it_is_part_of_the_time_of_a_send",
        "test_ws_sending::test_e5007_means_that_nothing_was_sent",
        "test_ws_sending::test_receiving_goes_on_while_sending_waits",
        "test_ws_sending::test_the_kernel_takes_the_beginning_of_a_message",
        "test_ws_settings::test_a_servers_timeout_is_for_later_clients",
    ],
    "what is urgent: the proxy does not carry it": [
        "test_tcp_recv::test_urgent_data_stays_in_the_stream",
    ],
    "a reset: it takes with it what the proxy still holds, and does not come as soon": [
        "test_tcp_broadcast::test_a_client_that_goes_away_with_a_queue",
        "test_tcp_broken::test_connected_while_something_is_unread",
        "test_tcp_broken::test_what_came_before_the_reset_is_read_first",
        "test_ws_closed_by_peer::test_a_reset_found_by_sending",
        "test_ws_peer_tls::test_a_server_that_does_not_speak_tls",
    ],
    "how much one receive brings: the test sends a few bytes at once, and takes them to come together": [
        "test_tcp_arguments::test_floats_without_a_fraction_are_numbers",
        "test_tcp_arguments::test_very_large_sizes_are_fine",
        "test_tcp_exit::test_a_broadcast_then_exit_delivers_to_who_reads",
        "test_tcp_fork",
        "test_tcp_records::test_a_stream_that_ends_behind_what_was_read_ahead",
        "test_tcp_records::test_another_thread_gets_what_was_read_ahead",
        "test_tcp_records::test_what_was_read_ahead_is_there_for_every_other_recv",
        "test_tcp_recv::test_both_ends_in_the_library",
        "test_tcp_recv::test_calls_of_one_size_get_pieces_of_that_size",
        "test_tcp_recv::test_waiting_ends_with_the_first_bytes",
        "test_tcp_server::test_a_client_that_left_before_it_was_accepted",
        "test_tcp_server::test_accept_waits_for_a_client",
        "test_tcp_threads::test_a_reader_does_not_hold_a_sender_up",
        "test_ws_violations::test_what_came_before_it_can_still_be_answered",
    ],
    "a time within which it must have come": [
        "test_tcp_close::test_a_peer_that_sends_much_before_it_reads",
        "test_tcp_idle::test_waiting_calls",
        "test_tcp_records::test_the_time_limit_loses_nothing_of_a_large_record",
        "test_tcp_until::test_a_delimiter_split_over_packets_at_every_position",
        "test_ws_exit::test_quick_and_quiet[many connections]",
        "test_ws_info::test_latency_of_the_last_ping",
        "test_ws_keepalive::test_any_sign_of_life_will_do",
        "test_ws_keepalive::test_no_pings_while_there_is_traffic",
        "test_ws_messages::test_sending_is_prompt",
    ],
    "stunnel gives up when a hundred pieces in a row have not completed a TLS record": [
        "test_ws_peer_proxies::test_the_library_on_both_sides[stunnel tls]",
        "test_ws_peer_proxies::test_a_peer_in_front_of_our_server[websockets client-stunnel tls]",
        "test_ws_peer_proxies::test_our_client_in_front_of_a_peer[websockets server-stunnel tls]",
    ],
}


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--through-proxy",
        metavar="MANNERS",
        help=f"put a proxy between the ends of every TCP connection: {', '.join(hostile_proxy.MANNERS)}, or several",
    )


def configure(config: pytest.Config) -> None:
    """Start the proxy and have every connection go through it."""
    manners = config.getoption("--through-proxy")
    if manners:
        process, port = hostile_proxy.start(*manners.split(","))
        os.environ[hostile_proxy.VARIABLE] = str(port)
        hostile_proxy.install()
        config.add_cleanup(lambda: end(process))


def end(process: subprocess.Popen[bytes]) -> None:
    """End the proxy that configure() has started."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait(20)


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what cannot pass through a proxy."""
    if not config.getoption("--through-proxy"):
        return
    names = {name for listed in LEFT_OUT.values() for name in listed}
    left_out = [item for item in items if of_item(item) & names]
    files = {item.path.stem for item in items}
    unknown = {name for name in names if name.split("::")[0] in files} - set().union(*map(of_item, items), set())
    if unknown and not config.getoption("keyword") and not any("::" in each for each in config.args):
        raise pytest.UsageError(f"tests/through_proxy.py leaves out what there is not: {', '.join(sorted(unknown))}")
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def of_item(item: pytest.Item) -> set[str]:
    """The names that a test goes by in LEFT_OUT: its file, or that and its function, or with its parameters too."""
    function = item.name.partition("[")[0]
    return {item.path.stem, f"{item.path.stem}::{function}", f"{item.path.stem}::{item.name}"}


def preamble() -> str:
    """What a script begins with, so that its connections go through the proxy too; nothing without one."""
    if hostile_proxy.VARIABLE not in os.environ:
        return ""
    return f"import sys; sys.path.append({str(HERE)!r}); import hostile_proxy; hostile_proxy.install()\n"
