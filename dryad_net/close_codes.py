"""Why a WebSocket connection ends: codes, reasons, and the payload that carries them (RFC 6455, 5.5.1 and 7.4)."""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005  # never on the wire: the Close frame had no code
ABNORMAL: Final = 1006  # never on the wire: there was no Close frame
INVALID_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

# A control frame's payload has 125 bytes at most (RFC 6455, 5.5), two of which are the code.
LONGEST_REASON: Final = 123

# Those of the registry that may be sent: 1000-1003 and 1007-1011 are RFC 6455's, 1012-1014 were
# registered since. 1004 is reserved; 1005, 1006 and 1015 are never on the wire.
_SENDABLE = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


class Violation(Exception):  # noqa: N818 - not an error of ours
    """The peer broke the protocol. ``code``: what to close with; ``reason``: what it did."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def is_sendable(code: int) -> bool:
    """May a Close frame carry this code (RFC 6455, 7.4.1 and 7.4.2)?"""
    return code in _SENDABLE or 3000 <= code <= 4999


def parse(payload: bytes) -> tuple[int, str]:
    """The code and reason in a Close frame's payload. Errors: Violation."""
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise Violation(PROTOCOL_ERROR, "a Close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not is_sendable(code):
        raise Violation(PROTOCOL_ERROR, f"a Close frame with the code {code}")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(INVALID_DATA, "a Close frame whose reason is not UTF-8") from None


def build(code: int, reason: str = "") -> bytes:
    """A Close frame's payload; a reason that is too long is cut between two characters."""
    if code == NO_STATUS:
        return b""
    return code.to_bytes(2, "big") + reason.encode()[:LONGEST_REASON].decode(errors="ignore").encode()
