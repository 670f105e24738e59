// undici: the WebSocket client of Node itself.
"use strict";

const diagnostics = require("node:diagnostics_channel");
const fs = require("node:fs");
const { Agent, WebSocket, ping } = require("undici");
const { Calls, StandardTalk } = require("./talk.js");

const calls = new Calls();
const talks = new WeakMap();
const responses = new WeakMap();

// What the standard's interface does not show.
diagnostics.subscribe("undici:websocket:pong", ({ payload, websocket }) => talks.get(websocket)?.pongs.put(payload));
diagnostics.subscribe("undici:websocket:open", ({ websocket, handshakeResponse }) => {
  responses.set(websocket, handshakeResponse);
});

class UndiciTalk extends StandardTalk {
  ping(payload) {
    ping(this.socket, payload);
  }
}

async function connect({ url, subprotocols, headers, tls }) {
  const dispatcher = new Agent({ connect: { ca: tls ? fs.readFileSync(tls) : undefined } });
  const socket = new WebSocket(url, { protocols: subprotocols, headers, dispatcher });
  const talk = new UndiciTalk(socket);
  talks.set(socket, talk);
  await talk.opened();
  const received = responses.get(socket)?.headers ?? {};
  return calls.add(talk, { subprotocol: socket.protocol, headers: Object.entries(received) });
}

exports.start = async () => ({
  call: (method, values) => (method === "connect" ? connect(values) : calls[method](values)),
  stop: async () => {},
});
