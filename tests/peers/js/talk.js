// What every peer written in JavaScript shares, in Node and in a page: connections by number, messages
// that wait until they are asked for, and bytes as base64 on the way to the tests.
"use strict";

(function (exports) {
  // A queue whose take() waits until there is something.
  class Waiting {
    #items = [];
    #takers = [];

    put(item) {
      const taker = this.#takers.shift();
      if (taker) taker(item);
      else this.#items.push(item);
    }

    take() {
      if (this.#items.length) return Promise.resolve(this.#items.shift());
      return new Promise((resolve) => this.#takers.push(resolve));
    }
  }

  // One connection: how messages are sent and pings made depends on the implementation.
  class Talk {
    messages = new Waiting();
    pongs = new Waiting();

    constructor() {
      this.end = new Promise((resolve) => {
        this.ended = (code, reason) => resolve({ code, reason });
      });
    }
  }

  function encode(message) {
    if (typeof message === "string") return { text: message };
    const bytes = new Uint8Array(message.buffer ?? message, message.byteOffset ?? 0, message.byteLength);
    if (typeof Buffer !== "undefined") return { base64: Buffer.from(bytes).toString("base64") };
    let binary = "";
    for (let at = 0; at < bytes.length; at += 0x8000) {
      binary += String.fromCharCode.apply(null, bytes.subarray(at, at + 0x8000));
    }
    return { base64: btoa(binary) };
  }

  function decode(message) {
    if ("text" in message) return message.text;
    if (typeof Buffer !== "undefined") return Buffer.from(message.base64, "base64");
    return Uint8Array.from(atob(message.base64), (character) => character.charCodeAt(0));
  }

  // The calls that the tests make, for talks of any kind; `connect` is the implementation's.
  class Calls {
    #talks = [];

    add(talk, handshake) {
      this.#talks.push(talk);
      return { talk: this.#talks.length - 1, ...handshake };
    }

    send({ talk, messages }) {
      for (const message of messages) this.#talks[talk].send(decode(message));
    }

    fragments({ talk, parts }) {
      this.#talks[talk].fragments(parts.map(decode));
    }

    async receive({ talk, count }) {
      const messages = [];
      while (messages.length < count) messages.push(encode(await this.#talks[talk].messages.take()));
      return messages;
    }

    async ping({ talk, payload }) {
      this.#talks[talk].ping(decode(payload));
      return encode(await this.#talks[talk].pongs.take());
    }

    close({ talk, code, reason }) {
      this.#talks[talk].close(code, reason);
    }

    closed({ talk }) {
      return this.#talks[talk].end;
    }
  }

  // The WebSocket interface of the WHATWG's standard, which browsers and undici have.
  class StandardTalk extends Talk {
    constructor(socket) {
      super();
      this.socket = socket;
      socket.binaryType = "arraybuffer";
      socket.addEventListener("message", (event) => this.messages.put(event.data));
      socket.addEventListener("close", (event) => this.ended(event.code, event.reason));
    }

    // Resolves when the connection is open.
    opened() {
      return new Promise((resolve, reject) => {
        this.socket.addEventListener("open", resolve);
        this.socket.addEventListener("close", (event) => reject(new Error(`closed: ${event.code} ${event.reason}`)));
        this.socket.addEventListener("error", (event) => reject(new Error(`error: ${event.message ?? ""}`)));
      });
    }

    send(message) {
      this.socket.send(message);
    }

    close(code, reason) {
      this.socket.close(code, reason);
    }
  }

  Object.assign(exports, { Calls, StandardTalk, Talk });
})(typeof module === "undefined" ? (globalThis.talk = {}) : module.exports);
