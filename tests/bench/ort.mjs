// How long onnxruntime-web takes for a call in Node, with one thread: the median in seconds.
//
// Usage: node tests/bench/ort.mjs MODEL.onnx SECONDS

import { createRequire } from "node:module";
import path from "node:path";

const packages = createRequire(path.resolve("target/browser/package.json"));
const ort = packages("onnxruntime-web");
const ARRAYS = { float32: Float32Array, int32: Int32Array };

const [file, budget] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
const inputs = Object.fromEntries(session.inputMetadata.map((tensor) => [tensor.name, zeros(tensor)]));
// V8 compiles anew what runs often; until then it is not itself.
await timed(1000);
const times = await timed(Number(budget) * 1000);
console.log(times.toSorted((one, other) => one - other)[times.length >> 1] / 1000);

function zeros({ type, shape }) {
  // What has no size is asked for one row.
  const sizes = shape.map((size) => (typeof size === "number" ? size : 1));
  const count = sizes.reduce((product, size) => product * size, 1);
  return new ort.Tensor(type, new ARRAYS[type](count), sizes);
}

async function timed(budget) {
  const times = [];
  for (const end = performance.now() + budget; performance.now() < end; ) {
    const begin = performance.now();
    await session.run(inputs);
    times.push(performance.now() - begin);
  }
  return times;
}
