"""Reverse proxies and TLS terminators in front of a WebSocket server: nginx, haproxy, stunnel."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from support import free_ports

from peers.certificates import Certificates
from peers.conversation import SOON

TEMPLATES = Path(__file__).resolve().parent / "conf"
# The program, the file with its configuration, and the arguments before that file's name.
COMMANDS = {
    "nginx": ("nginx", "nginx.conf", ["-e", "stderr", "-p", "@FOLDER@", "-c"]),
    "haproxy": ("haproxy", "haproxy.cfg", ["-db", "-f"]),
    "stunnel": ("stunnel4", "stunnel.conf", []),
}


class Proxy:
    """A proxy in a process of its own.

    It listens on `plain` (not stunnel) and `tls` for a server without TLS, on `out` for one with TLS.
    """

    def __init__(
        self, name: str, executable: str, folder: Path, backend: int, certificates: Certificates, certificate: str = ""
    ) -> None:
        """Start it in front of the server on port `backend`; returns when it listens."""
        self.plain, self.tls, self.out = free_ports(3)
        _, template, arguments = COMMANDS[name]
        values = {
            "FOLDER": folder,
            "BACKEND": backend,
            "PLAIN": self.plain,
            "TLS": self.tls,
            "OUT": self.out,
            "CERTIFICATE": certificate or certificates.server,
            "AUTHORITY": certificates.authority,
        }

        def filled(text: str) -> str:
            for key, value in values.items():
                text = text.replace(f"@{key}@", str(value))
            return text

        configuration = folder / template
        configuration.write_text(filled((TEMPLATES / template).read_text()))
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [executable, *map(filled, arguments), str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait(name)
        except BaseException:
            self.stop()
            raise

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + SOON
        while not self._listens(name):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.01)

    def _listens(self, name: str) -> bool:
        if name == "stunnel":
            # Its configuration is successful when its ports are bound; a connection to try it would go to the server.
            return "Configuration successful" in self._log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.out), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it, with its connections."""
        self._process.terminate()
        try:
            self._process.wait(SOON)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
