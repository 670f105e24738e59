// A peer in a process of its own: node peer.js ws|undici|chromium [arguments]
//
// Reads one call a line from standard input, {"id", "method", "arguments"}, writes one answer a line,
// {"id", "result"} or {"id", "error"}, in whatever order they come, and ends with its input.
"use strict";

const readline = require("node:readline");

async function main() {
  const [kind, ...settings] = process.argv.slice(2);
  const peer = await require(`./${kind}.js`).start(...settings);

  async function answer({ id, method, arguments: values }) {
    let reply;
    try {
      reply = { id, result: (await peer.call(method, values)) ?? null };
    } catch (error) {
      reply = { id, error: String(error?.message ?? error) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }

  process.stdout.write(`${JSON.stringify({ id: 0, result: peer.about ?? {} })}\n`);
  const lines = readline.createInterface({ input: process.stdin });
  lines.on("line", (line) => answer(JSON.parse(line)));
  lines.on("close", async () => {
    await peer.stop();
    process.exit(0);
  });
}

main();
