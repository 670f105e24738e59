"""The command line as a user runs it: in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_support import COMMAND, SECONDS, environment, run
from support import port_of

import dryad_net as net
from dryad_net import _backend
from dryad_net.command import demo
from dryad_net.command.transcript import Transcript, UnexpectedError


def test_info_tells_what_runs() -> None:
    result = run("info")
    assert (result.returncode, result.stderr) == (0, "")
    facts = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert facts["dryad_net"].split() == [f"{net.__version__},", str(Path(net.__file__).resolve().parent)]
    assert facts["backend"].strip() == f"{net.backend} (DRYAD_NET_BACKEND={net.backend})"
    assert facts["poller"].strip() == _backend.poll.NAME
    assert facts["Python"].split()[0] == ".".join(map(str, sys.version_info[:3]))
    assert "SSL" in facts["TLS"]
    if net.backend == "compiled":
        assert f"masking ({_backend.mask.NAME}), UTF-8 ({_backend.text.NAME})" in facts["SIMD"]
        assert "memchr" in facts["SIMD"]
    else:
        assert facts["SIMD"].strip() == "none (the pure half)"
    assert facts["platform"].strip()
    assert facts["certificates"].strip()
    assert facts["CPU"].strip()


def test_info_names_the_certificates_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # The file may be absent: then the system's are used, and both must be said.
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    assert "(SSL_CERT_FILE=/nowhere/certificates.pem)" in run("info").stdout


def test_demo_shows_every_call_and_succeeds() -> None:
    result = run("demo")
    assert (result.returncode, result.stderr) == (0, "")
    assert "native_tcp_listen(0) -> 1\n" in result.stdout
    assert "-> 'first line\\r\\n'\n" in result.stdout
    assert "raises E3029 native_tcp_send: 1: a TCP server, not a TCP connection\n" in result.stdout
    assert "raises E3029 native_ws_kick_client: " in result.stdout
    missing = [name for name in net.registry["websocket"] if f"\n{name}(" not in result.stdout]
    assert [name for name in missing if not net.registry["websocket"][name].extension] == []
    for part in demo.PARTS:
        assert re.search(rf"^{part.title}: [1-9]\d* calls, each did what it should\.$", result.stdout, re.MULTILINE)


def test_demo_prints_on_a_terminal_of_any_encoding() -> None:
    # -I ignores PYTHONIOENCODING.
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-m", "dryad_net", "demo"]
    variables = {**environment(), "PYTHONIOENCODING": "ascii:strict"}
    result = subprocess.run(command, capture_output=True, env=variables, cwd="/", timeout=SECONDS, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert rb"'gr\xfc\xdf dich'" in result.stdout


def test_demo_fails_with_what_was_expected(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def show(transcript: Transcript) -> None:
        transcript.call("native_tcp_is_connected", transcript.call_for_id("native_tcp_listen", 0))

    monkeypatch.setattr(demo, "PARTS", (demo.Part("TCP", show),))
    assert demo.run() == 1
    assert "demo failed (TCP): native_tcp_is_connected(" in capsys.readouterr().err


def test_a_transcript_accepts_nothing_unexpected(server: int) -> None:
    transcript = Transcript()
    with pytest.raises(UnexpectedError, match=r"native_tcp_get_clients\(\d+\) returned \[\], not \[1\]"):
        transcript.call("native_tcp_get_clients", server, returns=[1])
    client = net.native_tcp_connect("127.0.0.1", port_of(server))
    with pytest.raises(UnexpectedError, match="not 1"):
        transcript.call("native_tcp_is_connected", client, returns=1)
    with pytest.raises(UnexpectedError, match="which is no new ID"):
        transcript.call_for_id("native_tcp_accept", client and net.native_tcp_listen(0))
    with pytest.raises(UnexpectedError, match="instead of raising E3006"):
        transcript.call_in_vain("native_tcp_recv", client, 1, code="E3006")
    with pytest.raises(UnexpectedError, match="not E3006"):
        transcript.call_in_vain("native_tcp_recv", 0, 1, code="E3006")
    with pytest.raises(UnexpectedError, match="pigs fly"):
        transcript.check(False, "pigs fly")


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        assert (process.wait(SECONDS), errors) == (1, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        *["", "fly", "serve", "serve tcp", "serve tcp http", "serve udp --chat 0", "serve tcp 0 --compression"],
        *["serve ws", "serve ws 0 --cert file", "serve ws 0 --cert file --key file --host ::1"],
        *["connect", "connect tcp ::1", "connect tcp ::1 80 81", "connect udp ::1 http", "connect ::1 80"],
        *["connect tcp ::1 80 --compression", "connect udp ::1 80 --header a:b", "connect ws://[::1] 80"],
        *["connect ws://[::1] --header nothing", "connect ws://[::1] --header a:b --header a:c"],
    ],
)
def test_bad_usage_is_status_2(arguments: str) -> None:
    result = run(*arguments.split())
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: dryad-net")


def test_version() -> None:
    assert run("--version").stdout == f"{net.__version__}\n"


# ---- where the package comes from


def test_sources_without_a_compiled_half_give_way_to_the_installed_package(tmp_path: Path) -> None:
    package = Path(net.__file__).resolve().parent
    shutil.copytree(package, tmp_path / "dryad_net", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    built = any((package / "_compiled").glob("buffer.*"))
    ours = {"DRYAD_NET_BACKEND", "PYTHONSAFEPATH"}
    variables = {name: value for name, value in os.environ.items() if name not in ours}
    result = subprocess.run(
        [sys.executable, "-m", "dryad_net", "info"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert f", {package if built else tmp_path / 'dryad_net'}\n" in result.stdout
    assert re.search(rf"^backend: +{'compiled' if built else 'pure'} \(", result.stdout, re.MULTILINE)
