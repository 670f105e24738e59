"""The command line, the README and the examples, each as a user runs it: in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from support import HAS_IPV6, plain_listener, port_of, read_exactly, wait_until

import dryad_net as net
from dryad_net import _backend
from dryad_net.command import demo
from dryad_net.command.transcript import Transcript, UnexpectedError

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = (sys.executable, "-I", "-m", "dryad_net")
# Starting Python on a busy machine is the slow part.
SECONDS = 60.0


def environment() -> dict[str, str]:
    """Ours, with the half that is being tested."""
    return {**os.environ, "DRYAD_NET_BACKEND": net.backend}


def run(*arguments: str, command: tuple[str, ...] = COMMAND) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        env={**environment(), "PYTHONIOENCODING": "utf-8"},
        timeout=SECONDS,
        check=False,
    )


class Program:
    """A command that is running: what it has printed so far, and its standard input."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        self.output = bytearray()
        self.errors = bytearray()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.output)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream: IO[bytes], into: bytearray) -> None:
        with stream:
            while data := os.read(stream.fileno(), 65536):
                into += data

    def type(self, data: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_for(self, pattern: bytes, errors: bool = False) -> re.Match[bytes]:
        """Wait until its output, or standard error, holds the pattern."""
        read = self.errors if errors else self.output

        def found() -> re.Match[bytes] | None:
            return re.search(pattern, bytes(read))

        try:
            match = wait_until(found, SECONDS, f"{pattern!r}")
        except pytest.fail.Exception as failure:
            raise AssertionError(f"{failure}: printed {bytes(self.output)!r} {bytes(self.errors)!r}") from None
        assert isinstance(match, re.Match)
        return match

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for its end; returns the exit status."""
        status = self.process.wait(SECONDS)
        self._join()
        return status

    def _join(self) -> None:
        for reader in self._readers:
            reader.join(SECONDS)
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def clean_up(self) -> None:
        """Make sure that nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(SECONDS)
        self._join()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    """Programs that are ended after the test at the latest."""
    started: list[Program] = []
    yield started
    for program in started:
        program.clean_up()


def start(programs: list[Program], *arguments: str, command: tuple[str, ...] = COMMAND) -> Program:
    programs.append(Program(*command, *arguments))
    return programs[-1]


def serving(programs: list[Program], *arguments: str) -> tuple[Program, str]:
    """A server on a free port, and the port."""
    program = start(programs, "serve", *arguments)
    return program, program.wait_for(rb" on \S*:(\d+), Ctrl-C ends").group(1).decode()


def connected(programs: list[Program], *arguments: str) -> Program:
    program = start(programs, "connect", *arguments)
    program.wait_for(rb"Ctrl-C ends", errors=True)
    return program


# ---- info, demo, usage


def test_info_tells_what_runs() -> None:
    result = run("info")
    assert (result.returncode, result.stderr) == (0, "")
    facts = dict(line.split(":", 1) for line in result.stdout.splitlines())
    assert facts["dryad_net"].split() == [f"{net.__version__},", str(Path(net.__file__).resolve().parent)]
    assert facts["backend"].strip() == f"{net.backend} (DRYAD_NET_BACKEND={net.backend})"
    assert facts["poller"].strip() == _backend.poll.NAME
    assert facts["Python"].split()[0] == ".".join(map(str, sys.version_info[:3]))
    assert "SSL" in facts["TLS"]
    assert ("memchr" in facts["SIMD"]) == (net.backend == "compiled")
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
    ["", "fly", "serve", "serve tcp", "serve tcp http", "serve udp --chat 0", "connect tcp ::1"],
)
def test_bad_usage_is_status_2(arguments: str) -> None:
    result = run(*arguments.split())
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("usage: dryad-net")


def test_version() -> None:
    assert run("--version").stdout == f"{net.__version__}\n"


# ---- serve and connect


def test_tcp_echo_between_serve_and_connect(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0")
    client = connected(programs, "tcp", "127.0.0.1", port)
    client.type(b"gr\xc3\xbc\xc3\x9f dich\n")
    client.wait_for(rb"^gr\xc3\xbc\xc3\x9f dich\n$")
    client.type(b"\xff\xfe\n")
    client.wait_for(rb"\n\xff\xfe\n$")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.end() == 0
    server.wait_for(rb": connected from 127\.0\.0\.1:\d+\n")
    server.wait_for(rb": disconnected\n")
    assert server.interrupt() == 0
    assert server.errors == b""
    assert server.output.endswith(b"stopped\n")


def test_an_answer_after_the_end_of_the_input_is_printed(programs: list[Program]) -> None:
    # A patience that no busy machine wears out; the peer ends this, by closing.
    patient = (
        "import sys, dryad_net.__main__ as command, dryad_net.command.connect as connect\n"
        "connect.QUIET_MS = 60_000\n"
        "sys.exit(command.main())"
    )
    block = bytes(range(256)) * 4096
    with plain_listener() as listening:
        listening.settimeout(SECONDS)
        arguments = ("connect", "tcp", "127.0.0.1", str(listening.getsockname()[1]))
        client = start(programs, *arguments, command=(sys.executable, "-I", "-c", patient))
        raw = listening.accept()[0]
    with raw:
        raw.settimeout(SECONDS)
        client.type(block)
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert read_exactly(raw, len(block)) == block
        raw.sendall(block)
    assert client.end() == 0
    assert client.output == block


def test_chat_tells_all_clients(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--chat")
    clients = [connected(programs, "tcp", "127.0.0.1", port) for _ in range(3)]
    server.wait_for(rb"(\d+: connected from .*\n){3}")
    clients[0].type(b"half a line")
    clients[1].type(b"good morning\n")
    for client in clients:
        client.wait_for(rb"^good morning\n$")
    clients[0].type(b" and its end\n")
    for client in clients:
        client.wait_for(rb"^good morning\nhalf a line and its end\n$")
    server.wait_for(rb": 'good morning\\n' to 3 clients\n")
    assert server.interrupt() == 0
    assert server.errors == b""
    for client in clients:
        assert client.end() == 0
        assert b"closed by the peer\n" in client.errors


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")
def test_ipv6_is_shown_in_brackets(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--host", "::1")
    server.wait_for(rb"echo on \[::1\]:")
    connected(programs, "tcp", "::1", port).wait_for(rb"connected to \[::1\]:", errors=True)
    server.wait_for(rb": connected from \[::1\]:")


def test_udp_echo_between_serve_and_connect(programs: list[Program]) -> None:
    server, port = serving(programs, "udp", "0", "--host", "127.0.0.1")
    client = connected(programs, "udp", "127.0.0.1", port)
    client.type(b"one\n\xff\n")
    client.wait_for(rb"^one\n\xff\n$")
    client.type(b"no line feed")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.end() == 0
    server.wait_for(rb"127\.0\.0\.1:\d+: 12 bytes\n")
    assert server.interrupt() == 0
    assert server.errors == b""


def test_udp_serves_every_interface(programs: list[Program]) -> None:
    _, port = serving(programs, "udp", "0")
    client = connected(programs, "udp", "127.0.0.1", port)
    client.type(b"hello\n")
    client.wait_for(rb"^hello\n$")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ctrl_c_ends_a_client_quietly(programs: list[Program], protocol: str) -> None:
    _, port = serving(programs, protocol, "0")
    client = connected(programs, protocol, "127.0.0.1", port)
    assert client.interrupt() == 0
    assert client.errors.count(b"\n") == 1
    assert client.output == b""


def test_ctrl_c_ends_a_server_whose_client_does_not_read(programs: list[Program]) -> None:
    server, port = serving(programs, "tcp", "0", "--host", "127.0.0.1")
    client = net.native_tcp_connect("127.0.0.1", int(port))
    net.native_tcp_set_timeout(client, 500)
    with contextlib.suppress(net.NetworkTimeoutError):
        # Until the echo server waits in send, and so takes no more itself.
        while net.native_tcp_send(client, bytes(1 << 20)) == 1 << 20:
            pass
    assert server.interrupt() == 0
    assert server.errors == b""


def test_a_port_in_use_is_said() -> None:
    with plain_listener() as listening:
        port = listening.getsockname()[1]
        result = run("serve", "tcp", str(port), "--host", "127.0.0.1")
    assert result.returncode == 1
    assert result.stdout == ""
    assert re.fullmatch(
        rf"E5006 native_tcp_bind: 127\.0\.0\.1:{port}: address already in use \(EADDRINUSE\)\n", result.stderr
    )


def test_a_refused_connection_is_said() -> None:
    with plain_listener() as listening:
        port = listening.getsockname()[1]
    result = run("connect", "tcp", "127.0.0.1", str(port))
    assert result.returncode == 1
    assert result.stderr.startswith("E5006 native_tcp_connect: ")
    assert "refused" in result.stderr


def test_a_bad_port_is_refused_by_the_function() -> None:
    result = run("serve", "tcp", "70000")
    assert result.returncode == 1
    assert result.stderr.startswith("E3006 native_tcp_listen: port: ")


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


# ---- README and examples


def test_readme_code_works() -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert len([line for line in code[1].splitlines() if line]) == 10
    result = run(command=(sys.executable, "-I", "-c", code[1]))
    assert (result.returncode, result.stderr) == (0, "")
    promised = [comment.strip() for comment in re.findall(r"^print.*#(.*)$", code[1], re.MULTILINE)]
    assert result.stdout.split("\n\n") == [*promised, ""]


def test_readme_has_the_two_commands() -> None:
    assert re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL) == [
        "pip install . && python -m dryad_net demo",
        "pip install '.[test]' && python tests/run.py",
    ]


def test_readme_lists_every_function_and_extension() -> None:
    listed = re.search(r"^## Functions\n(.*?)^### Extensions\n(.*?)^## ", README, re.DOTALL | re.MULTILINE)
    assert listed is not None
    functions = [function for module in net.registry.values() for function in module.values()]
    for text, extension in ((listed[1], False), (listed[2], True)):
        assert re.findall(r"^`(native_.*)`$", text, re.MULTILINE) == [
            f"{function.name}({', '.join(function.parameters)})"
            for function in functions
            if function.extension == extension
        ]


def test_example_chat(programs: list[Program]) -> None:
    server = start(programs, str(ROOT / "examples" / "tcp_chat.py"), command=(sys.executable, "-I"))
    port = server.wait_for(rb"chat on port (\d+)\n").group(1).decode()
    first = connected(programs, "tcp", "127.0.0.1", port)
    first.wait_for(rb"^\d+ has come\n$")
    second = connected(programs, "tcp", "127.0.0.1", port)
    first.wait_for(rb"(\d+ has come\n){2}$")
    second.type(b"hello\n")
    first.wait_for(rb"\n\d+: hello\n$")
    assert second.interrupt() == 0
    first.wait_for(rb"\n\d+ has gone\n$")
    assert server.interrupt() == 0
    assert server.errors == b""


def test_example_redis() -> None:
    with plain_listener() as listening:
        listening.settimeout(SECONDS)
        result: list[subprocess.CompletedProcess[str]] = []
        port = str(listening.getsockname()[1])
        path = str(ROOT / "examples" / "tcp_redis.py")

        def ask() -> None:
            result.append(run("127.0.0.1", port, "LRANGE", "list", command=(sys.executable, "-I", path)))

        asking = threading.Thread(target=ask)
        asking.start()
        raw = listening.accept()[0]
        with raw:
            raw.settimeout(SECONDS)
            request = b"*2\r\n$6\r\nLRANGE\r\n$4\r\nlist\r\n"
            assert read_exactly(raw, len(request)) == request
            raw.sendall(b"*3\r\n$5\r\n\xff\r\n\r")
            raw.sendall(b"\n\r\n:7\r\n$-1\r\n")
            asking.join(SECONDS)
    assert (result[0].returncode, result[0].stderr) == (0, "")
    assert result[0].stdout == "[b'\\xff\\r\\n\\r\\n', 7, None]\n"
