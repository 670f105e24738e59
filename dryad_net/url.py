"""WebSocket URLs, taken apart (RFC 6455, section 3; RFC 3986)."""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .errors import ArgumentError, show

_DEFAULT_PORTS = {"ws": 80, "wss": 443}
# What goes into the request's head has to leave room for the headers: servers seldom take more than
# 8 KiB in a line, and ours takes 16 KiB in all.
_LONGEST = 6 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# RFC 3986, appendix B, with the "//" and the authority required.
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*)(?P<fragment>#.*)?")
_HOST_PORT = re.compile(r"(?P<host>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?")
# RFC 3986, 3.2.2: unreserved and sub-delims; what else a name may be is for the resolver to say.
_NAME = re.compile(r"[a-z0-9._~!$&'()*+,;=-]+")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")
# What stays as it is in a request target: RFC 3986's reserved and unreserved characters, and "%",
# since the target is encoded already where it has to be. Letters and digits go without saying.
_KEPT = "%:/?[]@!$&'()*+,;=-._~"


class Url(NamedTuple):
    """What a URL says.

    ``secure``: wss; ``host``: what to connect to (an IPv6 address without brackets, perhaps with a
    zone); ``port``; ``authority``: the value of Host; ``target``: path and query, at least "/";
    ``authorization``: the value of Authorization, from user and password, or None.
    """

    secure: bool
    host: str
    port: int
    authority: str
    target: str
    authorization: str | None


def parse(text: str) -> Url:
    """Take a WebSocket URL apart.

    text: ws:// or wss://.
    Returns a Url. Errors: ArgumentError; its message never shows user and password.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"url: must be a string, not {type(text).__name__}")
    if _CONTROL.search(text):
        raise _refuse(text, "control characters are not allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _refuse(text, "a lone surrogate is not allowed") from None
    parts = _PARTS.fullmatch(text)
    scheme = parts["scheme"].lower() if parts else ""
    if parts is None or scheme not in _DEFAULT_PORTS:
        raise _refuse(text, "must begin with ws:// or wss://")
    if parts["fragment"] is not None:  # RFC 6455, section 3
        raise _refuse(text, "a fragment (#) is not allowed; as part of the path it is written %23")
    if "\\" in parts["authority"]:  # where browsers see a "/", and so another host
        raise _refuse(text, "a backslash is not allowed before the path")
    userinfo, at, host_port = parts["authority"].rpartition("@")
    host, name, port = _host_and_port(text, host_port)
    default = _DEFAULT_PORTS[scheme]
    url = Url(
        secure=scheme == "wss",
        host=host,
        port=default if port is None else port,
        authority=name if port in (None, default) else f"{name}:{port}",
        target=_target(parts["target"]),
        authorization=_authorization(text, userinfo) if at else None,
    )
    if len(url.authority) + len(url.target) + len(url.authorization or "") > _LONGEST:
        raise ArgumentError(f"url: must not be longer than {_LONGEST} bytes")
    return url


def _refuse(text: str, reason: str) -> ArgumentError:
    """The error for a URL. With an "@" in it, any part may belong to the password; a query may be one."""
    shown = "" if "@" in text else f", in {show(text.partition('?')[0])}"
    return ArgumentError(f"url: {reason}{shown}")


def _host_and_port(text: str, host_port: str) -> tuple[str, str, int | None]:
    """The host to connect to, the host as Host names it, and the port if there is one."""
    found = _HOST_PORT.fullmatch(host_port)
    if found is None:
        raise _refuse(text, "what stands between // and the path is no host (an IPv6 address is written in brackets)")
    host = found["host"]
    if not host:
        raise _refuse(text, "no host")
    if host.startswith("["):
        address, zone = _ipv6(text, host[1:-1])
        # The zone means something on this machine only and does not leave it (RFC 6874, section 4).
        return (f"{address}%{zone}" if zone else address), f"[{address}]", _port(text, found["port"])
    name = _name(text, host)
    return name, name, _port(text, found["port"])


def _port(text: str, port: str | None) -> int | None:
    if not port:  # RFC 3986, 3.2.3: an empty one is the scheme's
        return None
    digits = port.lstrip("0")
    if not port.isascii() or not port.isdigit() or not digits or len(digits) > 5 or int(digits) > 65535:
        raise _refuse(text, "the port must be a number from 1 to 65535")
    return int(digits)


def _ipv6(text: str, literal: str) -> tuple[str, str]:
    """The address in brackets, and its zone or ""."""
    address, percent, zone = literal.partition("%")
    # RFC 6874 writes the "%" before a zone as "%25"; most people write it plainly.
    if zone.startswith("25") and len(zone) > 2:
        zone = zone[2:]
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        raise _refuse(text, "what stands in brackets is no IPv6 address") from None
    if percent and not _ZONE.fullmatch(zone):
        raise _refuse(text, "the zone of the IPv6 address is no name of an interface")
    return str(parsed), zone


def _name(text: str, host: str) -> str:
    """A host name as DNS, Host and TLS have it: in ASCII and lower case."""
    name = host
    if "%" in host:
        try:
            name = unquote_to_bytes(host).decode()
        except UnicodeError:  # that of the text, or what the escapes in it stand for
            raise _refuse(text, "the host name is not UTF-8") from None
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise _refuse(text, "the host name is no internationalised domain name") from None
    name = name.lower()
    labels = name.removesuffix(".").split(".")
    # RFC 1035, 2.3.4
    if not _NAME.fullmatch(name) or len(name) > 254 or not all(0 < len(label) <= 63 for label in labels):
        raise _refuse(text, "the host is neither a name nor an IP address")
    return name


def _target(written: str) -> str:
    """Path and query as a request line can have them (RFC 6455, section 3: "/" where the path is empty)."""
    target = quote_from_bytes(written.encode(), safe=_KEPT)
    return target if target.startswith("/") else f"/{target}"


def _authorization(text: str, userinfo: str) -> str | None:
    """User and password as Basic authorization (RFC 7617, section 2), None where both are empty."""
    user, _, password = userinfo.partition(":")
    if not user and not password:
        return None
    decoded_user = unquote_to_bytes(user)
    decoded = decoded_user + b":" + unquote_to_bytes(password)
    if b":" in decoded_user:
        raise _refuse(text, "a user name must not contain a colon")
    if any(byte < 0x20 or byte == 0x7F for byte in decoded):
        raise _refuse(text, "control characters are not allowed in user and password")
    return "Basic " + base64.b64encode(decoded).decode()


_DEFAULT_ORIGIN_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_ORIGIN = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host_port>[^/?#@\\]+)")


def origin(text: str) -> str | None:
    """An origin (RFC 6454, 6.2), so that two that are the same are equal; None for what is none.

    text: "scheme://host", "scheme://host:port", or "null".
    """
    if text == "null":
        return text
    parts = _ORIGIN.fullmatch(text)
    if parts is None:
        return None
    scheme = parts["scheme"].lower()
    try:
        _host, name, port = _host_and_port(text, parts["host_port"])
    except ArgumentError:
        return None
    if port is None or str(port) == _DEFAULT_ORIGIN_PORTS.get(scheme):
        return f"{scheme}://{name}"
    return f"{scheme}://{name}:{port}"
