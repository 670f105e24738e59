"""A chat for browsers, in one thread: python ws_chat.py [PORT]

Open the address it prints in as many windows as you like. The page comes over plain HTTP from a TCP
server; its script then talks to the WebSocket server, and one native_net_wait waits for both and for
everybody. A page of another site cannot connect: native_ws_set_origins lets in only our own.
"""

from __future__ import annotations

import sys

import dryad_net as net

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus autocomplete="off" size="60" placeholder="Say something"> <button>Send</button></form>
<pre></pre>
<script>
  const log = document.querySelector("pre"), input = document.querySelector("input");
  const show = line => { log.textContent = line + "\\n" + log.textContent; };
  const socket = new WebSocket(`ws://${location.hostname}:%d/`);
  socket.onmessage = event => show(event.data);
  socket.onclose = event => show(`closed: ${event.code} ${event.reason}`);
  document.querySelector("form").onsubmit = event => {
    event.preventDefault();
    if (input.value) socket.send(input.value);
    input.value = "";
  };
</script>
"""
HOST = "127.0.0.1"
LONGEST_MESSAGE = 10_000


def open_servers(port: int) -> tuple[int, int, bytes]:
    """The page's TCP server, the WebSocket server, and the HTTP response that carries the page."""
    web = net.native_tcp_bind(HOST, port)
    chat = net.native_ws_bind(HOST, 0)
    net.native_ws_set_max_message_size(chat, LONGEST_MESSAGE)
    net.native_ws_set_keepalive(chat, True)  # who has gone without a word is found out
    origins = [f"http://{name}:{net.native_tcp_get_local_addr(web)['port']}" for name in (HOST, "localhost")]
    net.native_ws_set_origins(chat, origins)
    page = (PAGE % net.native_ws_get_local_addr(chat)["port"]).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    return web, chat, head.encode() + page


def give_page(browser: int, asked: dict[int, bytes], response: bytes) -> None:
    """Answer once the request is there, whatever it asks for. asked: what came of each so far."""
    try:
        data = net.native_tcp_recv_bytes(browser, 8192)
        asked[browser] += data or b""
        if data and b"\r\n\r\n" not in asked[browser] and len(asked[browser]) < 8192:
            return
        if data:
            net.native_tcp_send(browser, response)  # so small that the system takes it at once
    except net.DryadNetError:
        pass  # it has gone; somebody else may come
    del asked[browser]
    net.native_tcp_close(browser)


def listen_to(client: int, chat: int, clients: set[int]) -> None:
    """Pass on what a client has to say, or that it has gone."""
    try:
        while (text := net.native_ws_recv(client)) is not None:
            net.native_ws_broadcast(chat, f"{client}: {text}")
        if net.native_ws_recv_binary(client) is not None:  # no script of ours sends that
            net.native_ws_close_with(client, 1003, "text only")
        elif net.native_ws_is_connected(client):
            return
    except net.NetworkError as error:  # what it did wrong is said once
        print(error, flush=True)
    clients.remove(client)
    net.native_ws_close(client)
    net.native_ws_broadcast(chat, f"{client} has gone")


def main(port: int) -> None:
    """Serve until Ctrl-C."""
    web, chat, response = open_servers(port)
    print(f"chat on http://{HOST}:{net.native_tcp_get_local_addr(web)['port']}/", flush=True)
    asked: dict[int, bytes] = {}
    clients: set[int] = set()
    try:
        while True:
            for ready in net.native_net_wait([web, chat, *asked, *clients], -1):
                if ready == web:
                    while (browser := net.native_tcp_accept(web)) is not None:
                        asked[browser] = b""
                elif ready == chat:
                    while (client := net.native_ws_accept(chat)) is not None:
                        clients.add(client)
                        net.native_ws_broadcast(chat, f"{client} has come")
                elif ready in asked:
                    give_page(ready, asked, response)
                else:
                    listen_to(ready, chat, clients)
    except KeyboardInterrupt:
        net.native_tcp_stop_server(web)
        net.native_ws_stop_server(chat)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
