"""Whose certificates are accepted, and what is said of the others; and the options and files they come from."""

from __future__ import annotations

import datetime
import os
import ssl
import time
from pathlib import Path

import pytest
import trustme
from tls_support import FILES, FOLDER, HOST, connected, exchange, issue, pair, trouble

from dryad_net import tls
from dryad_net.errors import ArgumentError, NetworkError
from dryad_net.tls import Tls, TlsOptions

DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize("host", [HOST, HOST.upper(), HOST + ".", "a.wild.example.com", "127.0.0.1", "::1", "::1%lo"])
def test_names_and_addresses_of_the_certificate(host: str) -> None:
    """RFC 6125, 6.4; RFC 2818, 3.1."""
    connected(FILES, host)


@pytest.mark.parametrize(
    "host",
    ["other.example.com", "wild.example.com", "a.b.wild.example.com", "example.com", "127.0.0.2", "::2", "localhost"],
)
def test_another_host(host: str) -> None:
    said = trouble(*pair(FILES, host))
    assert f"not for {host}" in said
    assert f"the server's certificate is for {HOST}, *.wild.example.com, 127.0.0.1 and 1 more" in said


def test_a_name_in_the_subject_alone_does_not_count() -> None:
    """RFC 6125, 6.4.4, and RFC 9525, 2."""
    shown = issue("other.example.com", common_name=HOST)
    assert f"is for other.example.com, not for {HOST}" in trouble(*pair(shown))


def test_an_expired_certificate() -> None:
    until = datetime.datetime.now(datetime.timezone.utc) - DAY
    said = trouble(*pair(issue(HOST, not_before=until - DAY, not_after=until)))
    assert "the server's certificate has expired (" in said
    assert f" {until.year} GMT)" in said


def test_a_certificate_that_is_not_valid_yet() -> None:
    since = datetime.datetime.now(datetime.timezone.utc) + DAY
    assert "the server's certificate is not valid before " in trouble(*pair(issue(HOST, not_before=since)))


def test_an_unknown_authority() -> None:
    other = issue(HOST)
    said = trouble(*pair(FILES, ca_file=other.ca))
    assert "the server's certificate is issued by somebody unknown" in said


def test_a_self_signed_certificate() -> None:
    authority = trustme.CA()
    cert, key = FOLDER / "self.pem", FOLDER / "self.key"
    authority.cert_pem.write_to_path(cert)
    authority.private_key_pem.write_to_path(key)
    said = trouble(*pair(FILES._replace(cert=str(cert), key=str(key))))
    assert "the server's certificate is self-signed, and not trusted" in said


def test_an_authority_that_came_along_is_not_trusted_for_that() -> None:
    shown = issue(HOST)
    with open(shown.cert, "ab") as chain:
        chain.write(shown.authority.cert_pem.bytes())
    said = trouble(*pair(shown, ca_file=FILES.ca))
    assert "the server's certificate is issued by an authority that is not trusted" in said


def test_an_authority_between() -> None:
    root = trustme.CA()
    root.cert_pem.write_to_path(FOLDER / "root.pem")
    connected(issue(HOST, authority=root.create_child_ca()), ca_file=str(FOLDER / "root.pem"))


def test_verification_can_be_switched_off() -> None:
    until = datetime.datetime.now(datetime.timezone.utc) - DAY
    connected(issue("other.example.com", not_after=until, not_before=until - DAY), ca_file=None, verify=False)


def test_the_server_hears_why() -> None:
    """RFC 8446, 6.2: whoever breaks off says so with an alert."""
    client, server = pair(FILES, ca_file=issue(HOST).ca)
    trouble(client, server)
    with pytest.raises(NetworkError, match=r"the client (refused|ended) TLS: unknown ca"):
        server.decrypt(client.due())
    for _ in range(2):
        with pytest.raises(NetworkError, match="somebody unknown"):
            client.decrypt(b"")


def test_a_certificate_of_our_own() -> None:
    context = tls.server_context(FILES.cert, FILES.key)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = issue("me@example.com")
    context.load_verify_locations(mine.ca)
    options = TlsOptions(FILES.ca, mine.cert, mine.key)
    client, server = Tls(tls.client_context(options), HOST), Tls(context, None)
    exchange(client, server)
    assert server.decrypt(client.encrypt(b"x")) == b"x"
    client, server = Tls(tls.client_context(TlsOptions(FILES.ca)), HOST), Tls(context, None)
    client.step()
    server.decrypt(client.due())
    client.decrypt(server.due())
    with pytest.raises(NetworkError, match="TLS"):
        server.decrypt(client.due())
    with pytest.raises(NetworkError, match=r"the server (ended|refused) TLS: certificate required"):
        client.decrypt(server.due())


# ---- contexts


def test_the_context_without_options_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the store takes a while; SSL_CERT_FILE is honoured all the same, also if it changes."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    plain = tls.client_context(TlsOptions())
    assert tls.client_context(TlsOptions()) is plain
    assert "issued by" in trouble(Tls(plain, HOST), pair(FILES)[1])
    store = FOLDER / "store.pem"
    store.write_bytes(trustme.CA().cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(store))
    other = tls.client_context(TlsOptions())
    assert other is not plain
    assert "issued by" in trouble(Tls(other, HOST), pair(FILES)[1])
    store.write_bytes(FILES.authority.cert_pem.bytes() * 2)
    exchange(Tls(tls.client_context(TlsOptions()), HOST), pair(FILES)[1])
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "issued by" in trouble(Tls(tls.client_context(TlsOptions()), HOST), pair(FILES)[1])


def test_ssl_cert_dir_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tls.client_context(TlsOptions())
    monkeypatch.setenv("SSL_CERT_DIR", str(FOLDER / "nowhere"))
    assert tls.client_context(TlsOptions()) is not before


def test_a_context_is_made_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    tls.client_context(TlsOptions())
    start = time.perf_counter()
    for _ in range(100):
        tls.client_context(TlsOptions())
    assert time.perf_counter() - start < 1


def test_files_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = str(FOLDER / "nowhere.pem")
    empty = FOLDER / "empty.pem"
    empty.touch()
    for file, reason in ((nowhere, "no such file"), (str(FOLDER), "is a directory"), (str(empty), "PEM")):
        for make in (
            lambda file=file: tls.client_context(TlsOptions(ca_file=file)),
            lambda file=file: tls.client_context(TlsOptions(verify=False, cert_file=file)),
            lambda file=file: tls.server_context(file, FILES.key),
            lambda file=file: tls.server_context(FILES.cert, file),
        ):
            with pytest.raises(NetworkError, match=reason) as caught:
                make()
            assert os.path.basename(file) in str(caught.value)
        monkeypatch.setenv("SSL_CERT_FILE", file)
        with pytest.raises(NetworkError, match=f"SSL_CERT_FILE: .*{reason}"):
            tls.client_context(TlsOptions())
        monkeypatch.delenv("SSL_CERT_FILE")


def test_what_is_no_name_of_a_file() -> None:
    """A lone surrogate, which no file system can be asked for."""
    with pytest.raises(NetworkError, match=r"ca_file: .* no name of a file"):
        tls.client_context(TlsOptions(ca_file="\ud800.pem"))


def test_a_certificate_of_our_own_and_the_authorities_of_the_system() -> None:
    client = Tls(tls.client_context(TlsOptions(cert_file=FILES.cert, key_file=FILES.key)), HOST)
    said = trouble(client, Tls(tls.server_context(FILES.cert, FILES.key), None))
    assert said == trouble(Tls(tls.client_context(TlsOptions()), HOST), pair(FILES)[1])


def test_a_name_that_no_certificate_can_have() -> None:
    """OpenSSL takes no name that begins with a dot."""
    with pytest.raises(NetworkError, match=r"TLS: .*\.example.* is no host name"):
        Tls(tls.client_context(TlsOptions()), ".example")


def test_a_key_that_does_not_fit() -> None:
    with pytest.raises(NetworkError, match=r"key_file: .* the key does not belong to the certificate"):
        tls.server_context(FILES.cert, issue(HOST).key)
    with pytest.raises(NetworkError, match=r"cert_file: .* no certificate in PEM format"):
        tls.server_context(FILES.key, FILES.key)
    with pytest.raises(NetworkError, match=r"key_file: .* no key in PEM format"):
        tls.server_context(FILES.cert, FILES.cert)
    with pytest.raises(NetworkError, match=r"cert_file: .* no key in PEM format"):
        tls.client_context(TlsOptions(verify=False, cert_file=FILES.cert))


def test_a_key_with_a_password_does_not_ask_for_it() -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(FILES.key).read_bytes(), None)
    encrypted = FOLDER / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    with pytest.raises(NetworkError, match=r"encrypted\.key.*the key is encrypted"):
        tls.server_context(FILES.cert, str(encrypted))


# ---- options


def test_options_that_are_fine() -> None:
    assert tls.check_options({}, "options") == TlsOptions(None, None, None, True)
    every = {"ca_file": "a", "cert_file": "b", "key_file": "c", "verify": False}
    assert tls.check_options(every, "options") == TlsOptions("a", "b", "c", False)
    assert tls.check_options(dict.fromkeys(every), "options") == TlsOptions()
    assert tls.check_options({"cert_file": "both"}, "options").cert_file == "both"


@pytest.mark.parametrize(
    "value",
    [
        *[None, 5, "ca.pem", [], {"ca": "x"}, {5: "x"}, {"verify": 0}, {"verify": 1}, {"verify": "no"}],
        *[{name: bad} for name in ("ca_file", "cert_file", "key_file") for bad in ("", 5, True, b"x", "a\0b", ["x"])],
        {"key_file": "k"},
    ],
    ids=repr,
)
def test_options_that_are_not(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"^E3006: options"):
        tls.check_options(value, "options")
