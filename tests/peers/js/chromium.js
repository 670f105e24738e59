// Chromium, headless: a page served from loopback talks over the browser's own WebSocket.
//
// node peer.js chromium EXECUTABLE PROFILE_FOLDER KEY_HASH: the hash of the one public key of a server whose
// certificate it takes without knowing its authority.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const puppeteer = require("puppeteer-core");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const FILES = { "/": ["page.html", "text/html"], "/talk.js": ["talk.js", "text/javascript"] };

function servePage() {
  const server = http.createServer((request, response) => {
    const [file, type] = FILES[request.url] ?? [];
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "Content-Type": `${type}; charset=utf-8` });
    response.end(fs.readFileSync(path.join(__dirname, file)));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

exports.start = async (executablePath, userDataDir, keyHash) => {
  const server = await servePage();
  const browser = await puppeteer.launch({
    executablePath,
    userDataDir,
    headless: true,
    pipe: true,
    args: [...FLAGS, `--ignore-certificate-errors-spki-list=${keyHash}`],
  });
  const origin = `http://127.0.0.1:${server.address().port}`;
  const page = await browser.newPage();
  await page.goto(`${origin}/`);
  return {
    about: { origin, version: await browser.version() },
    call: (method, values) => page.evaluate((name, value) => globalThis.call(name, value), method, values),
    stop: async () => {
      await browser.close();
      server.close();
      server.closeAllConnections();
    },
  };
};
