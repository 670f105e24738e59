"""Certificates for the tests of TLS, and sessions between a client and a server in memory."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from dryad_net import tls
from dryad_net.errors import NetworkError
from dryad_net.tls import Tls, TlsOptions

HOST = "server.example.com"

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)
FOLDER = Path(_folder.name)


class Files(NamedTuple):
    """An authority, its certificate, and one it has issued, in files."""

    authority: trustme.CA
    ca: str
    cert: str
    key: str


def issue(*names: str, authority: trustme.CA | None = None, **how: Any) -> Files:
    """A certificate for these names, of an authority of its own if none is given."""
    authority = authority or trustme.CA()
    made = authority.issue_cert(*names, **how)
    base = FOLDER / str(len(list(FOLDER.iterdir())))
    authority.cert_pem.write_to_path(f"{base}-ca.pem")
    made.private_key_pem.write_to_path(f"{base}-key.pem")
    for blob in made.cert_chain_pems:
        blob.write_to_path(f"{base}-cert.pem", append=True)
    return Files(authority, f"{base}-ca.pem", f"{base}-cert.pem", f"{base}-key.pem")


FILES = issue(HOST, "*.wild.example.com", "127.0.0.1", "::1")


def pair(files: Files, host: str = HOST, **options: Any) -> tuple[Tls, Tls]:
    """A client that trusts the authority, and a server that shows the certificate."""
    options = {"ca_file": files.ca, **options}
    client = Tls(tls.client_context(TlsOptions(**options)), host)
    return client, Tls(tls.server_context(files.cert, files.key), None)


def exchange(client: Tls, server: Tls, step: int = 1 << 20) -> None:
    """Go on until nobody has anything to send, handing over so many bytes at a time."""
    client.step()
    while True:
        to_server, to_client = client.due(), server.due()
        if not to_server and not to_client:
            return
        for data, receiver in ((to_server, server), (to_client, client)):
            for start in range(0, len(data), step):
                assert receiver.decrypt(data[start : start + step]) == b""


def connected(files: Files, host: str = HOST, **options: Any) -> tuple[Tls, Tls]:
    client, server = pair(files, host, **options)
    exchange(client, server)
    assert client.established
    assert server.established
    return client, server


def trouble(client: Tls, server: Tls) -> str:
    """What goes wrong in the handshake."""
    with pytest.raises(NetworkError) as caught:
        exchange(client, server)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)
