// What is promised of the browser, beside what is measured. Nothing here fails for being slow.
//
// The server, the package and onnxruntime-web take turns, so that a busy moment is no one's alone.

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";

import { browser, open, packageFolder } from "./browser.mjs";
import { cases, onnx } from "./golden.mjs";
import { compressed, serve, site } from "./site.mjs";

const { MODELET, REPOSITORY, CACHE } = process.env;
const SITE = "target/browser/bench-site";
const ROUNDS = 5;
const ROUND_MS = 1500;

const rows = [];
const row = (...cells) => {
  console.error(cells.join("  "));
  rows.push(cells);
};

rmSync(SITE, { recursive: true, force: true });
execFileSync(MODELET, ["bundle", "web", REPOSITORY, "--output", SITE]);
const server = await serve(MODELET, REPOSITORY, CACHE);
const served = await site({ "/ort/": `${packageFolder("onnxruntime-web")}/dist/`, "/onnx/": "./", "/": SITE });
const chromium = await browser();
try {
  packageSize();
  const page = await open(chromium.context, `${served.url}/modelet-web/package.json`, []);
  for (const model of ["digits", "magika", "mobilenet"]) await compare(page, model);
} finally {
  await chromium.close();
  served.close();
  server.close();
}
console.log("\n| what | measured | at least |\n|---|---|---|");
for (const cells of rows) console.log(`| ${cells.join(" | ")} |`);

function packageSize() {
  row("browser package without models, gzip", `${(compressed(`${SITE}/modelet-web`) / 1e3).toFixed(0)} kB`, "≤ 300 KB");
}

async function compare(page, model) {
  const [input] = cases(model)[0].inputs;
  if (input.sine !== undefined) {
    const count = input.shape.reduce((product, size) => product * size, 1);
    input.data = Array.from({ length: count }, (_, index) => Math.fround(Math.sin(index * input.sine)));
  }
  await page.evaluate(prepareInPage, [model, input, `/onnx/${onnx(model)}`]);
  const times = { server: [], here: [], model: [], page: [], worker: [] };
  for (let round = 0; round < ROUNDS; round++) {
    times.server.push(...(await askServer(model, input)));
    for (const [name, more] of Object.entries(await page.evaluate(timeInPage, ROUND_MS))) times[name].push(...more);
  }
  await page.evaluate(() => globalThis.measured.close());
  const [server, here, alone, inPage, inWorker] = Object.values(times).map(middle);
  const ratio = (one, other) => `${(one / other).toFixed(2)} (${ms(one)} / ${ms(other)})`;
  row(`browser inference ÷ our server's, as a caller sees both: ${model}`, ratio(here, server), "≤ 1.5");
  row(`browser inference ÷ onnxruntime-web, one thread, in a loop of the page: ${model}`, ratio(alone, inPage), "goal ≤ 1.0");
  row(`browser inference ÷ onnxruntime-web, one thread, in a worker as well: ${model}`, ratio(alone, inWorker), "");
}

function ms(time) {
  return `${time.toFixed(time < 1 ? 3 : 1)} ms`;
}

/** The mean of the middle half: a browser's clock goes in steps of 5 µs, which the smallest calls are a few of. */
function middle(times) {
  const half = times.toSorted((one, other) => one - other).slice(times.length >> 2, (3 * times.length) >> 2);
  return half.reduce((sum, time) => sum + time, 0) / half.length;
}

/** Times of requests over HTTP with binary tensors, one after the other. */
async function askServer(model, { name, datatype, shape, data }) {
  const bytes = Buffer.from((datatype === "FP32" ? Float32Array : Int32Array).from(data.flat(9)).buffer);
  const head = { parameters: { binary_data_output: true }, inputs: [{ name, datatype, shape, parameters: { binary_data_size: bytes.length } }] };
  const json = Buffer.from(JSON.stringify(head));
  const headers = { "inference-header-content-length": String(json.length) };
  const [body, times] = [Buffer.concat([json, bytes]), []];
  for (const end = performance.now() + ROUND_MS; performance.now() < end; ) {
    const begin = performance.now();
    const response = await fetch(`http://${server.address}/v2/models/${model}/infer`, { method: "POST", headers, body });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`the server answers ${model} with ${response.status}`);
    times.push(performance.now() - begin);
  }
  // Until code is warm on either side.
  return times.slice(times.length >> 2);
}

async function prepareInPage([model, { name, datatype, shape, data }, onnx]) {
  const { load } = await import("/modelet-web/index.js");
  const ort = await import("/ort/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = "/ort/";
  const typed = (datatype === "FP32" ? Float32Array : Int32Array).from(data.flat(9));
  const modelet = await load(`/models/${model}/1/model.wasm`);
  const session = await ort.InferenceSession.create(onnx, { executionProviders: ["wasm"] });
  const type = datatype === "FP32" ? "float32" : "int32";
  const tensor = new ort.Tensor(type, typed, shape);
  const code = `
    import * as ort from "${location.origin}/ort/ort.wasm.min.mjs";
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = "${location.origin}/ort/";
    const session = await ort.InferenceSession.create("${location.origin}${onnx}", { executionProviders: ["wasm"] });
    onmessage = async ({ data: { name, type, data, shape } }) => {
      const begin = performance.now();
      const outputs = await session.run({ [name]: new ort.Tensor(type, data, shape) });
      const ms = performance.now() - begin;
      postMessage({ ms, outputs: Object.values(outputs).map(({ dims, data }) => ({ dims, data })) });
    };
    postMessage({});`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
  const answer = () => new Promise((resolve, reject) => Object.assign(worker, { onmessage: resolve, onerror: reject }));
  await answer();
  globalThis.measured = {
    ask: () => modelet.infer([{ name, datatype, shape, data: typed }]),
    run: () => session.run({ [name]: tensor }),
    send: () => (worker.postMessage({ name, type, data: typed, shape }), answer()),
    close: () => (modelet.close(), worker.terminate(), session.release()),
  };
}

async function timeInPage(budget) {
  const [here, model, page, worker] = [[], [], [], []];
  const rounds = async (work) => {
    for (const end = performance.now() + budget; performance.now() < end; ) await work();
  };
  await rounds(async () => {
    const begin = performance.now();
    const { ms } = await globalThis.measured.ask();
    here.push(performance.now() - begin);
    model.push(ms);
  });
  await rounds(async () => {
    const begin = performance.now();
    await globalThis.measured.run();
    page.push(performance.now() - begin);
  });
  await rounds(async () => {
    const { data } = await globalThis.measured.send();
    worker.push(data.ms);
  });
  const warm = (times) => times.slice(times.length >> 2);
  return { here: warm(here), model: warm(model), page: warm(page), worker: warm(worker) };
}
