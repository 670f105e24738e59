"""What errors must not repeat, although a server may: the secrets of a handshake."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

# Shorter ones are no secrets, and would be found everywhere.
_SHORTEST = 4
# Headers whose values everybody may see.
_PUBLIC = frozenset({"host", "origin", "user-agent"})
_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})


class Redaction:
    """Takes the query and the headers' values of a request out of texts, as a whole and one by one.

    query: as it is in the request; headers: name and value of each.
    """

    def __init__(self, query: str = "", headers: Iterable[tuple[str, str]] = ()) -> None:
        found = {query, *_values(query, "&")}
        for name, value in headers:
            if name.lower() in _CREDENTIALS:
                found.update(_credentials(value))
            elif name.lower() not in _PUBLIC:
                found.update((value, *_values(value, ";")))
        self._secrets = sorted({form for text in found for form in _forms(text)}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def _values(text: str, separator: str) -> Iterator[str]:
    """The values of name=value, name=value."""
    for part in text.split(separator):
        yield part.partition("=")[2].strip()


def _credentials(value: str) -> Iterator[str]:
    """A value of Authorization, what it has after its scheme, and what that stands for (RFC 9110, 11.4; RFC 7617)."""
    yield value
    scheme, _, rest = value.partition(" ")
    yield from re.split(r"[\s,]+", rest)
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            decoded = base64.b64decode(rest).decode()
            yield from (decoded, decoded.partition(":")[2])


def _forms(text: str) -> Iterator[str]:
    """How a text may come back: as it is, without percent-encoding, and as bytes that are taken for Latin-1."""
    for form in (text, unquote(text)):
        if len(form) >= _SHORTEST:
            yield form
            yield form.encode("utf-8", "surrogateescape").decode("latin-1")


NOTHING = Redaction()
