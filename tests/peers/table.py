"""Which peers there are and what each lets its user do; known without importing any of them."""

from __future__ import annotations

import sys
from typing import NamedTuple

from peers.conversation import Deflate

# One thread of it reads while another writes, which Python's ssl lets into one object of OpenSSL's at once before
# 3.13.4 (python/cpython#134698): then a request is lost now and then, or a record is malformed, whoever the other is.
TLS_BY_TWO_THREADS: frozenset[str] = frozenset({"tls"} if sys.version_info >= (3, 13, 4) else ())

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

    Its class; what it lets its user do: encrypt ("tls"), "ping", send "fragments", set "headers" of its own, see
    "their headers" (ours); the parameters of permessage-deflate that it can be told to offer, or to answer with;
    whether it has a server; its package, if that is npm's.
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
        frozenset({"tls", "ping", "fragments", "headers", "their headers"}),
        EVERY_OFFER,
        EVERY_ANSWER,
        serves=True,
    ),
    "websockets.sync": About(
        "websockets_peer.WebsocketsSync",
        frozenset({"ping", "fragments", "headers", "their headers"}) | TLS_BY_TWO_THREADS,
        EVERY_OFFER,
        EVERY_ANSWER,
        serves=True,
    ),
    # It offers client_max_window_bits always.
    "aiohttp": About(
        "aiohttp_peer.Aiohttp",
        frozenset({"tls", "ping", "headers", "their headers"}),
        ({}, {"server_max_window_bits": 9}, {"server_max_window_bits": 12}),
        ({},),
        serves=True,
    ),
    "tornado": About(
        "tornado_peer.Tornado", frozenset({"tls", "ping", "headers", "their headers"}), ({},), ({},), serves=True
    ),
    # It has no compression, does not show pongs and sends its own only with the next message.
    "libcurl": About("libcurl_peer.Libcurl", frozenset({"tls", "fragments", "headers"}), ()),
    "ws": About(
        "remote_peer.Ws",
        frozenset({"tls", "ping", "fragments", "headers", "their headers"}),
        EVERY_OFFER,
        EVERY_ANSWER,
        serves=True,
        package="ws",
    ),
    # These two offer compression always.
    "undici": About(
        "remote_peer.Undici", frozenset({"tls", "ping", "headers", "their headers"}), ({},), package="undici"
    ),
    "chromium": About("remote_peer.Chromium", frozenset({"tls"}), ({},), package="puppeteer-core"),
}
