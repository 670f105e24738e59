"""The opening handshake, both sides of it, without I/O (RFC 6455, section 4).

wsproto makes the client's request, checks the server's answer to it, and makes that answer. It is
given nothing but the fields it looks at, in plain form: of HTTP itself (RFC 9112) it is
forgiving, and some of what it cannot decode it lets out as UnicodeError.
"""

from __future__ import annotations

from .handshake_client import ClientHandshake, no_answer, status_of
from .handshake_server import Answer, answer, describe, refusal
from .handshake_settings import (
    HEAD_LIMIT,
    Agreement,
    Settings,
    check_headers,
    check_origins,
    check_subprotocols,
)

__all__ = [
    "HEAD_LIMIT",
    "Agreement",
    "Answer",
    "ClientHandshake",
    "Settings",
    "answer",
    "check_headers",
    "check_origins",
    "check_subprotocols",
    "describe",
    "no_answer",
    "refusal",
    "status_of",
]
