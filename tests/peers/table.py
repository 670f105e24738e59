"""Which peers there are and what each lets its user do; known without importing any of them."""

from __future__ import annotations

from typing import NamedTuple

from peers.conversation import Deflate

# For a peer that can ask for anything, and for one that can answer with anything.
EVERY_OFFER: tuple[Deflate, ...] = (
    {},
    {"client_max_window_bits": True},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_max_window_bits": 8},
    {"server_max_window_bits": 9},
    {"client_max_window_bits": 9},
    {"server_max_window_bits": 12, "client_max_window_bits": 10},
    {
        "server_no_context_takeover": True,
        "client_no_context_takeover": True,
        "server_max_window_bits": 10,
        "client_max_window_bits": 11,
    },
)
EVERY_ANSWER: tuple[Deflate, ...] = (
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_max_window_bits": 9},
    {"client_max_window_bits": 9},
    {
        "server_no_context_takeover": True,
        "client_no_context_takeover": True,
        "server_max_window_bits": 11,
        "client_max_window_bits": 10,
    },
)


class About(NamedTuple):
    """What is known of a peer.

    Its class; what it lets its user do: "ping", send "fragments", set "headers" of its own, see "their headers" (ours);
    the parameters of permessage-deflate that it can be told to offer, or to answer with; whether it has a server;
    its package, if that is npm's.
    """

    made_by: str
    can: frozenset[str]
    offers: tuple[Deflate, ...]
    answers: tuple[Deflate, ...] = ()
    serves: bool = False
    package: str = ""


PEERS = {
    "websockets": About(
        "websockets_peer.WebsocketsAsyncio",
        frozenset({"ping", "fragments", "headers", "their headers"}),
        EVERY_OFFER,
        EVERY_ANSWER,
        serves=True,
    ),
    "websockets.sync": About(
        "websockets_peer.WebsocketsSync",
        frozenset({"ping", "fragments", "headers", "their headers"}),
        EVERY_OFFER,
        EVERY_ANSWER,
        serves=True,
    ),
    # It offers client_max_window_bits always.
    "aiohttp": About(
        "aiohttp_peer.Aiohttp",
        frozenset({"ping", "headers", "their headers"}),
        ({}, {"server_max_window_bits": 9}, {"server_max_window_bits": 12}),
        ({},),
        serves=True,
    ),
    "tornado": About(
        "tornado_peer.Tornado", frozenset({"ping", "headers", "their headers"}), ({},), ({},), serves=True
    ),
    # It has no compression, does not show pongs and sends its own only with the next message.
    "libcurl": About("libcurl_peer.Libcurl", frozenset({"fragments", "headers"}), ()),
    "ws": About(
        "remote_peer.Ws",
        frozenset({"ping", "fragments", "headers", "their headers"}),
        EVERY_OFFER,
        EVERY_ANSWER,
        serves=True,
        package="ws",
    ),
    # These two offer compression always.
    "undici": About("remote_peer.Undici", frozenset({"ping", "headers", "their headers"}), ({},), package="undici"),
    "chromium": About("remote_peer.Chromium", frozenset(), ({},), package="puppeteer-core"),
}
