// Node's ws: client and server.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { WebSocket, WebSocketServer } = require("ws");
const { Calls, Talk } = require("./talk.js");

const MESSAGE_LIMIT = 1 << 30;

// The option of ws for each parameter of permessage-deflate.
const OPTIONS = {
  server_no_context_takeover: "serverNoContextTakeover",
  client_no_context_takeover: "clientNoContextTakeover",
  server_max_window_bits: "serverMaxWindowBits",
  client_max_window_bits: "clientMaxWindowBits",
};

function deflateOptions(deflate) {
  if (!deflate) return false;
  // threshold: what is compressed does not depend on how long it is.
  const options = { threshold: 0 };
  for (const [name, value] of Object.entries(deflate)) options[OPTIONS[name]] = value;
  return options;
}

class WsTalk extends Talk {
  constructor(socket) {
    super();
    this.socket = socket;
    socket.on("message", (data, isBinary) => this.messages.put(isBinary ? data : data.toString()));
    socket.on("pong", (data) => this.pongs.put(data));
    socket.on("close", (code, reason) => this.ended(code, reason.toString()));
    socket.on("error", () => {}); // "close" follows
  }

  send(message) {
    this.socket.send(message);
  }

  fragments(parts) {
    parts.forEach((part, index) => {
      this.socket.send(part, { binary: typeof part !== "string", fin: index === parts.length - 1 });
    });
  }

  ping(payload) {
    this.socket.ping(payload);
  }

  close(code, reason) {
    this.socket.close(code, reason);
  }
}

const calls = new Calls();
const servers = [];

function connect({ url, subprotocols, headers, deflate, tls }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, subprotocols, {
      headers,
      perMessageDeflate: deflateOptions(deflate),
      ca: tls ? fs.readFileSync(tls) : undefined,
      maxPayload: MESSAGE_LIMIT,
    });
    const talk = new WsTalk(socket);
    let response;
    socket.on("upgrade", (message) => (response = message));
    socket.on("open", () => {
      resolve(calls.add(talk, { subprotocol: socket.protocol, headers: Object.entries(response.headers) }));
    });
    socket.on("error", reject);
  });
}

async function serve({ subprotocols, headers, deflate, tls }) {
  const credentials = tls ? { cert: fs.readFileSync(tls), key: fs.readFileSync(tls) } : undefined;
  const listening = tls ? https.createServer(credentials) : http.createServer();
  const server = new WebSocketServer({
    server: listening,
    perMessageDeflate: deflateOptions(deflate),
    handleProtocols: (offered) => subprotocols.find((each) => offered.has(each)) ?? false,
    maxPayload: MESSAGE_LIMIT,
  });
  const arrived = new Talk().messages;
  server.on("headers", (lines) => {
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  });
  server.on("connection", (socket, request) => {
    arrived.put(
      calls.add(new WsTalk(socket), {
        subprotocol: socket.protocol,
        headers: Object.entries(request.headers),
        path: request.url,
      })
    );
  });
  await new Promise((resolve) => listening.listen(0, "127.0.0.1", resolve));
  servers.push({ listening, server, arrived });
  return { server: servers.length - 1, port: listening.address().port };
}

async function stop({ server: number }) {
  const { listening, server } = servers[number];
  for (const socket of server.clients) socket.terminate();
  server.close();
  listening.closeAllConnections();
  await new Promise((resolve) => listening.close(resolve));
}

const methods = { connect, serve, stop, accept: ({ server }) => servers[server].arrived.take() };

exports.start = async () => ({
  call: (method, values) => (methods[method] ? methods[method](values) : calls[method](values)),
  stop: async () => {},
});
