"""The configuration that docs/guides/nginx.md shows, in a real nginx."""

from __future__ import annotations

from pathlib import Path

import pytest
from docs_support import DOCS, blocks
from peer_support import program
from peers import proxies
from peers.certificates import Certificates
from ws_support import SOON_MS, accept_of, ws_port

import dryad_net as net

pytest_plugins = ["peer_fixtures"]


def configuration() -> str:
    """The guide's, on ports and with certificates of the test's, in the surroundings that it needs."""
    surroundings, _, _ = (proxies.TEMPLATES / "nginx.conf").read_text().partition("    # https://")
    (shown,) = blocks((DOCS / "guides" / "nginx.md").read_text(encoding="utf-8"), "nginx")
    for old, new in (
        ("listen 443 ssl;", "listen 127.0.0.1:@TLS@ ssl; listen 127.0.0.1:@OUT@;"),
        ("chat.example.org", "localhost"),
        ("fullchain.pem", "@CERTIFICATE@"),
        ("privkey.pem", "@CERTIFICATE@"),
        ("127.0.0.1:8080", "127.0.0.1:@BACKEND@"),
    ):
        assert shown.count(old) == 1
        shown = shown.replace(old, new)
    return f"{surroundings}{shown}}}\n"


def test_the_configuration_of_the_guide(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ws_server: int
) -> None:
    executable = program("nginx")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "nginx.conf").write_text(configuration())
    monkeypatch.setattr(proxies, "TEMPLATES", tmp_path / "templates")
    nginx = proxies.Proxy("nginx", executable, tmp_path, ws_port(ws_server), certificates)
    try:
        client = net.native_ws_connect(f"wss://localhost:{nginx.tls}/chat")
        net.native_ws_set_tls(client, {"ca_file": certificates.authority})
        net.native_ws_set_headers(client, {"X-Forwarded-For": "203.0.113.7", "Origin": "https://chat.example.org"})
        net.native_ws_send(client, "hello")
        accepted = accept_of(ws_server)
        assert net.native_ws_recv_blocking(accepted, SOON_MS) == "hello"
        headers = net.native_ws_client_info(accepted)["headers"]
        assert headers["x-forwarded-for"] == "127.0.0.1"  # and not what the client claims
        assert headers["host"] == f"localhost:{nginx.tls}"
        assert headers["origin"] == "https://chat.example.org"
        net.native_ws_send(accepted, "and back")
        assert net.native_ws_recv_blocking(client, SOON_MS) == "and back"
        net.native_ws_stop_server(ws_server)
        assert net.native_ws_recv_blocking(client, SOON_MS) is None
        assert net.native_ws_client_info(client)["close_code"] == 1001
        net.native_ws_close(client)
    finally:
        nginx.stop()
