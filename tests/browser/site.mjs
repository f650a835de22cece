// The server of a test's page: a folder, and behind it a `modelet serve` under the same address.

import { spawn } from "node:child_process";
import { createReadStream, readdirSync, readFileSync, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { gzipSync } from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
  ".json": "application/json", ".wasm": "application/wasm", ".txt": "text/plain",
};

/** A page that shares nothing with others has a clock of some microseconds. */
const ALONE = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/** What a folder's files weigh when a browser fetches them, in bytes. */
export function compressed(folder) {
  const sizes = readdirSync(folder).map((name) => gzipSync(readFileSync(`${folder}/${name}`), { level: 9 }).length);
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Serves `folders` by their prefix, and what begins with /v2 from `upstream.address` while `upstream.up`. */
export async function site(folders, upstream = { up: false }) {
  const server = http.createServer((request, response) => {
    if (request.url.startsWith("/v2")) return pass(upstream, request, response);
    const url = decodeURIComponent(new URL(request.url, "http://site").pathname);
    const prefix = Object.keys(folders).find((prefix) => url.startsWith(prefix));
    const file = path.join(folders[prefix] ?? "", path.normalize(url.slice(prefix?.length ?? 0) || "index.html"));
    const stat = statSync(file, { throwIfNoEntry: false });
    if (prefix === undefined || !stat?.isFile()) return response.writeHead(404).end();
    response.writeHead(200, { ...ALONE, "content-type": TYPES[path.extname(file)] ?? "text/html", "content-length": stat.size });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

function pass(upstream, request, response) {
  if (!upstream.up) return request.socket.destroy();
  const [host, port] = upstream.address.split(":");
  const onward = http.request({ host, port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.writeHead(502).end());
  request.pipe(onward);
}

/** Starts `modelet serve`, and resolves when it is ready. */
export async function serve(modelet, repository, cache) {
  const child = spawn(modelet, ["serve", repository, "--listen", "127.0.0.1:0", "--cache", cache], {
    env: { ...process.env, RUST_LOG: "error" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const address = await new Promise((resolve, reject) => {
    let said = "";
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`modelet serve ended with ${code}`)));
    child.stdout.on("data", (chunk) => {
      said += chunk;
      const ready = said.match(/http:\/\/(\S+)/);
      if (ready) resolve(ready[1]);
    });
  });
  return { address, up: true, close: () => child.kill() };
}
