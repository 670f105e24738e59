"""Peers written in JavaScript, each in a Node process that answers calls line by line: js/peer.js."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from support import foreign

from peers.conversation import SOON, Closed, Conversation, Message, Opening, Peer, Server

SCRIPTS = Path(__file__).resolve().parent / "js"
# The folder in which npm has installed js/package.json.
MODULES = Path(os.environ.get("DRYAD_NET_PEERS", SCRIPTS)) / "node_modules"


def encoded(message: Message) -> dict[str, str]:
    if isinstance(message, str):
        return {"text": message}
    return {"base64": base64.b64encode(message).decode()}


def decoded(message: dict[str, str]) -> Message:
    return message["text"] if "text" in message else base64.b64decode(message["base64"])


class Process:
    """A Node process and the calls under way in it."""

    def __init__(self, *arguments: str) -> None:
        """Start it; `about` is what it says of itself."""
        self._process = subprocess.Popen(
            ["node", SCRIPTS / "peer.js", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**foreign(), "NODE_PATH": str(MODULES)},
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        ready: Future[Any] = Future()
        self._calls: dict[int, Future[Any]] = {0: ready}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.about: dict[str, Any] = ready.result(3 * SOON)
        except BaseException:
            self.stop()
            raise

    def begin(self, method: str, **arguments: Any) -> Future[Any]:
        """Start a call; its result comes later."""
        future: Future[Any] = Future()
        with self._lock:
            number = next(self._numbers)
            self._calls[number] = future
            line = json.dumps({"id": number, "method": method, "arguments": arguments})
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        return future

    def call(self, method: str, **arguments: Any) -> Any:
        """The result of a call."""
        return self.begin(method, **arguments).result(SOON)

    def stop(self) -> None:
        """End the process, which ends with its input."""
        self._process.stdin.close()
        try:
            self._process.wait(SOON)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(SOON)
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            reply = json.loads(line)
            future = self._calls.pop(reply["id"])
            if "error" in reply:
                future.set_exception(ConnectionError(reply["error"]))
            else:
                future.set_result(reply["result"])
        for future in self._calls.values():
            future.set_exception(ConnectionError("the process of the peer has ended"))


class RemoteConversation(Conversation):
    """A connection that the process holds."""

    def __init__(self, process: Process, handshake: dict[str, Any]) -> None:
        super().__init__(handshake["subprotocol"], handshake.get("headers", ()), handshake.get("path"))
        self._process = process
        self._talk = handshake["talk"]
        # Headers of a page are hidden from it, but for this one.
        if "extensions" in handshake:
            self.headers["sec-websocket-extensions"] = handshake["extensions"]

    def send(self, *messages: Message) -> None:
        self._process.call("send", talk=self._talk, messages=[encoded(message) for message in messages])

    def send_fragments(self, *parts: Message) -> None:
        self._process.call("fragments", talk=self._talk, parts=[encoded(part) for part in parts])

    def receive(self, count: int) -> list[Message]:
        return [decoded(each) for each in self._process.call("receive", talk=self._talk, count=count)]

    def ping(self, payload: bytes) -> bytes:
        pong = decoded(self._process.call("ping", talk=self._talk, payload=encoded(payload)))
        assert isinstance(pong, bytes)
        return pong

    def close(self, code: int, reason: str) -> None:
        self._process.call("close", talk=self._talk, code=code, reason=reason)

    def closed(self) -> Closed:
        return Closed(**self._process.call("closed", talk=self._talk))


class RemoteServer(Server):
    """A server in the process."""

    def __init__(self, process: Process, opening: Opening) -> None:
        super().__init__()
        self._process = process
        made = process.call("serve", **fields(opening))
        self._server = made["server"]
        self.port = made["port"]

    def accept(self) -> Conversation:
        return RemoteConversation(self._process, self._process.call("accept", server=self._server))

    def stop(self) -> None:
        self._process.call("stop", server=self._server)


def fields(opening: Opening) -> dict[str, Any]:
    """An opening as the scripts get it."""
    return {**opening._asdict(), "headers": dict(opening.headers)}


class Remote(Peer):
    """A peer in a process of its own."""

    process: Process

    def connect(self, url: str, opening: Opening) -> Conversation:
        return RemoteConversation(self.process, self.process.call("connect", url=url, **fields(opening)))

    def serve(self, opening: Opening) -> Server:
        return RemoteServer(self.process, opening)

    def stop(self) -> None:
        self.process.stop()


class Ws(Remote):
    """Node's ws."""

    def __init__(self) -> None:
        self.process = Process("ws")


class Undici(Remote):
    """undici."""

    def __init__(self) -> None:
        self.process = Process("undici")


class Chromium(Remote):
    """A page in headless Chromium."""

    def __init__(self, server_key: bytes) -> None:
        """Start the browser; server_key: the public key (SubjectPublicKeyInfo, DER) of the server it may trust."""
        self._profile = tempfile.TemporaryDirectory(prefix="dryad-net-chromium-", ignore_cleanup_errors=True)
        key_hash = base64.b64encode(hashlib.sha256(server_key).digest()).decode()
        executable = shutil.which("chromium")
        assert executable is not None
        self.process = Process("chromium", executable, self._profile.name, key_hash)
        self.origin: str = self.process.about["origin"]

    def stop(self) -> None:
        super().stop()
        self._profile.cleanup()
