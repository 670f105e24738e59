"""TLS without I/O: the standard library's ssl between two memory buffers."""

from __future__ import annotations

import contextlib
import os
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ArgumentError, NetworkError, from_os_error, let_through, show

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_PROTOCOLS = ["http/1.1"]  # RFC 7301, 6: WebSocket begins in it
# What one read of ssl's may give: no record holds more (RFC 8446, 5.1).
_RECORD = 16 * 1024
_HANDSHAKE = 0x16
_ALERT = 0x15


class TlsOptions(NamedTuple):
    """What a client goes by.

    ``ca_file``: whose certificates are trusted instead of the system's; ``cert_file``,
    ``key_file``: its own certificate; ``verify``: whether the server's is verified at all.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True


def check_options(value: Any, parameter: str) -> TlsOptions:
    """The options in an object of a script's; null is as good as leaving one out. Errors: ArgumentError."""
    if not isinstance(value, dict):
        raise ArgumentError(f"{parameter}: must be an object, not {show(value)}")
    value = dict(value)  # another thread may change it meanwhile
    for name, item in value.items():
        if name not in TlsOptions._fields:
            known = ", ".join(TlsOptions._fields)
            raise ArgumentError(f"{parameter}: there is no option {show(name)}, only {known}")
        if item is None:
            continue
        if name == "verify":
            if item is not True and item is not False:
                raise ArgumentError(f"{parameter}[{show(name)}]: must be a boolean, not {show(item)}")
        elif not isinstance(item, str) or not item or "\0" in item:
            raise ArgumentError(f"{parameter}[{show(name)}]: must be the name of a file, not {show(item)}")
    options = TlsOptions(**{name: item for name, item in value.items() if item is not None})
    if options.key_file is not None and options.cert_file is None:
        raise ArgumentError(f"{parameter}: a key_file without a cert_file")
    return options


# The context for no options at all, and the store it was made from: loading that takes a while.
_default: tuple[object, ssl.SSLContext] | None = None


def client_context(options: TlsOptions) -> ssl.SSLContext:
    """What sessions of a client are made with. Errors: NetworkError, naming the file that is to blame."""
    if options == TlsOptions():
        return _default_context()
    if not options.verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file is not None:
        # With a file given, create_default_context does not load the system's store.
        _check_readable(options.ca_file, "ca_file")
        try:
            context = ssl.create_default_context(cafile=options.ca_file)
        except (ssl.SSLError, OSError, ValueError):
            raise NetworkError(f"ca_file: {show(options.ca_file)}: no certificates in PEM format") from None
    else:
        context = _system_context()
    context.set_alpn_protocols(_PROTOCOLS)
    if options.cert_file is not None:
        _load_own(context, options.cert_file, options.key_file)
    return context


def _default_context() -> ssl.SSLContext:
    global _default
    file = os.environ.get("SSL_CERT_FILE")
    try:
        status = os.stat(file) if file else None
    except (OSError, ValueError) as error:
        let_through(error)
        status = None
    changed = None if status is None else (status.st_ino, status.st_mtime_ns, status.st_size)
    store = (file, changed, os.environ.get("SSL_CERT_DIR"))
    known = _default
    if known is not None and known[0] == store:
        return known[1]
    context = _system_context()
    context.set_alpn_protocols(_PROTOCOLS)
    _default = (store, context)
    return context


def _system_context() -> ssl.SSLContext:
    """A context that trusts whom the system trusts, or SSL_CERT_FILE and SSL_CERT_DIR."""
    context = ssl.create_default_context()
    file = os.environ.get("SSL_CERT_FILE")
    if file:
        # OpenSSL reads it too, but keeps to itself that it cannot.
        _check_readable(file, "SSL_CERT_FILE")
        try:
            context.load_verify_locations(file)
        except (ssl.SSLError, OSError, ValueError):
            raise NetworkError(f"SSL_CERT_FILE: {show(file)}: no certificates in PEM format") from None
    return context


def server_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """What sessions of a server are made with. Errors: NetworkError, naming the file that is to blame."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Before OpenSSL 3.0, clients could ask for handshake after handshake (ssl: OP_NO_RENEGOTIATION).
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_PROTOCOLS)
    _load_own(context, cert_file, key_file)
    return context


class _EncryptedKeyError(Exception):
    """The key is encrypted, and there is nobody to ask for the password."""


def _load_own(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    """Have the context show this certificate. Errors: NetworkError."""

    def no_password() -> str:  # without it, OpenSSL asks on the terminal
        raise _EncryptedKeyError

    _check_readable(cert_file, "cert_file")
    if key_file is not None:
        _check_readable(key_file, "key_file")
    key = f"key_file: {show(key_file)}" if key_file is not None else f"cert_file: {show(cert_file)}"
    try:
        context.load_cert_chain(cert_file, key_file, no_password)
    except _EncryptedKeyError:
        raise NetworkError(f"{key}: the key is encrypted") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise NetworkError(f"{key}: the key does not belong to the certificate in {show(cert_file)}") from None
        if not _has_certificate(cert_file):
            raise NetworkError(f"cert_file: {show(cert_file)}: no certificate in PEM format") from None
        raise NetworkError(f"{key}: no key in PEM format") from None
    except (OSError, ValueError) as error:
        let_through(error)
        raise NetworkError(f"{key}: {error}") from None


def _has_certificate(file: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ValueError) as error:
        let_through(error)
        return False
    return True


def _check_readable(file: str, what: str) -> None:
    """OpenSSL says of a file that something went wrong, but not with which, and not always what."""
    try:
        with open(file, "rb"):
            pass
    except OSError as error:
        raise NetworkError(f"{what}: {show(file)}: {from_os_error(error).detail}", errno=error.errno) from None
    except ValueError:  # a NUL in the name, or a lone surrogate
        raise NetworkError(f"{what}: {show(file)}: no name of a file") from None


class Tls:
    """One session. Owns both buffers of ciphertext.

    ``established``: the TLS handshake is over; ``ended``: the peer has said that it sends no more;
    ``trouble``: what broke the session after what the last ``decrypt`` returned, or None.
    """

    __slots__ = (
        "_encrypting", "_first", "_host", "_incoming", "_outgoing", "_peer", "_session", "_unencrypted", "ended",
        "established", "trouble",
    )  # fmt: skip

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unencrypted: list[ReadableBuffer] = []
        self._encrypting = False
        self._first = True
        self._peer = "client" if server_hostname is None else "server"
        # No certificate has a zone (RFC 6874, 4), or the dot at the end (RFC 6066, 3).
        self._host = None if server_hostname is None else server_hostname.partition("%")[0].removesuffix(".")
        self.established = False
        self.ended = False
        self.trouble: NetworkError | None = None
        try:
            self._session = context.wrap_bio(
                self._incoming, self._outgoing, server_side=self._host is None, server_hostname=self._host
            )
        except (ValueError, ssl.SSLError):  # a name that IDNA does not have
            raise NetworkError(f"TLS: {show(server_hostname)} is no host name") from None

    def step(self) -> bool:
        """Go on with the TLS handshake. Returns whether it is over. Errors: NetworkError."""
        if self.trouble is not None:
            raise self.trouble
        if not self.established:
            try:
                self._session.do_handshake()
                self.established = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.trouble = self._explain(error)
                raise self.trouble from None
        return self.established

    def feed(self, ciphertext: ReadableBuffer) -> None:
        """Take what was received. Errors: NetworkError, if it is no TLS at all."""
        if self._first and memoryview(ciphertext).nbytes:
            self._first = False
            # RFC 8446, 5.1: every session begins with a record of this type. OpenSSL would call
            # anything else by one of many names.
            if memoryview(ciphertext)[0] not in (_HANDSHAKE, _ALERT):
                self.trouble = NetworkError(f"the {self._peer} does not speak TLS")
                raise self.trouble
        self._incoming.write(ciphertext)

    def decrypt(self, ciphertext: ReadableBuffer) -> bytes:
        """Take what was received, going on with the handshake if it is not over.

        Returns everything that is readable now; what broke the session after that is in ``trouble``.
        Errors: NetworkError, if there is nothing readable before what broke it.
        """
        if self.trouble is not None:
            raise self.trouble
        self.feed(ciphertext)
        if not self.step():
            return b""
        pieces = []
        try:
            while (self._incoming.pending or self._session.pending()) and not self.ended:
                piece = self._session.read(_RECORD)
                if piece:
                    pieces.append(piece)
                else:
                    self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            self.trouble = self._explain(error)
            if not pieces:
                raise self.trouble from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, plaintext: ReadableBuffer) -> bytes:
        """The ciphertext of all of it, after whatever else is due. Errors: NetworkError.

        What a signal's handler sends in the middle of something else goes out behind it, with it: then this
        is b"".
        """
        self._unencrypted.append(plaintext)
        if self._encrypting:
            return b""
        ciphertext = b""
        self._encrypting = True
        try:
            while self._unencrypted:
                self._write(self._unencrypted.pop(0))
                ciphertext += self._outgoing.read()
        except ssl.SSLError as error:
            raise self._explain(error) from None
        finally:
            self._encrypting = False
        return ciphertext

    def _write(self, plaintext: ReadableBuffer) -> None:
        rest = memoryview(plaintext).cast("B") if plaintext else memoryview(b"")
        while rest.nbytes:  # one record at a time
            rest = rest[self._session.write(rest) :]

    def due(self) -> bytes:
        """Ciphertext that has to be sent: of the handshake, an alert, a new key; b"" if there is none."""
        return self._outgoing.read() if self._outgoing.pending and not self._encrypting else b""

    def end(self) -> bytes:
        """Ciphertext that says we send no more (RFC 8446, 6.1), after whatever else is due."""
        # Where the peer has not said so yet, or the session never began, it is all the same to us.
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._session.unwrap()
        return self._outgoing.read()

    def cut_off(self) -> NetworkError:
        """The error for a stream that ends while the session has not."""
        if not self.established:
            return NetworkError(f"the {self._peer} closed the connection during the TLS handshake")
        return NetworkError(f"the {self._peer} closed the connection without ending TLS")

    def _explain(self, error: ssl.SSLError) -> NetworkError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return NetworkError(f"the {self._peer}'s certificate {self._blame(error)}")
        reason = error.reason or ""
        if reason in _NOTHING_IN_COMMON:
            return NetworkError(f"TLS: {_NOTHING_IN_COMMON[reason]} in common with the {self._peer}")
        _, alert, words = reason.partition("_ALERT_")
        if alert:
            what = "ended" if self.established else "refused"
            return NetworkError(f"the {self._peer} {what} TLS: {_words(words)}")
        return NetworkError(f"TLS: {_words(reason) or 'failed'}")

    def _blame(self, error: ssl.SSLCertVerificationError) -> str:
        """What is wrong with the peer's certificate."""
        code = error.verify_code
        shown = self._shown_certificate()
        if code in (_HOST_MISMATCH, _IP_MISMATCH):
            names = [name for kind, name in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
            return f"is for {_listed(names)}, not for {self._host}" if names else f"is not for {self._host}"
        if code == _EXPIRED:
            until = shown.get("notAfter")
            if until is not None and ssl.cert_time_to_seconds(until) >= time.time():
                return "is issued by one that has expired"
            return "has expired" + (f" ({until})" if until else "")
        if code == _NOT_YET_VALID:
            return f"is not valid before {shown['notBefore']}" if "notBefore" in shown else "is not valid yet"
        return _BLAME.get(code) or f"is not valid: {error.verify_message}"

    def _shown_certificate(self) -> dict[str, Any]:
        """The peer's certificate, which was not accepted; {} where it cannot be had.

        getpeercert() has none that was refused. Of the chain, which has, there is only
        ssl's own form before Python 3.13; it serves the error's message and nothing else.
        """
        try:
            chain = self._session._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
            return dict(chain[0].get_info())
        except Exception:  # PyPy has none; nor has a session whose peer showed none
            return {}


# openssl-verification-options(1) names these; their numbers are in x509_vfy.h.
_NOT_YET_VALID = 9
_EXPIRED = 10
_HOST_MISMATCH = 62
_IP_MISMATCH = 64
_BLAME = {
    2: "is issued by somebody unknown",
    18: "is self-signed, and not trusted",
    19: "is issued by an authority that is not trusted",
    20: "is issued by somebody unknown",
    21: "is issued by somebody unknown",
    23: "has been revoked",
    26: "is not meant for this",
}
_NOTHING_IN_COMMON = {
    "UNSUPPORTED_PROTOCOL": "no version",
    "WRONG_SSL_VERSION": "no version",
    "NO_PROTOCOLS_AVAILABLE": "no version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no version",
    "NO_SHARED_CIPHER": "no cipher",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "nothing",
}


def _words(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
