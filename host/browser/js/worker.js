// One modelet in a worker: fetched, checked, compiled, called.

import start, { Modelet } from "./host.js";
import { fetchModelet, hex } from "./fetch.js";
import { Instance } from "./instance.js";

let modelet; // What the file says, read by the host.
let modules; // {memory, code}, compiled.
let instance; // The latest, fresh unless it is `dead`.
let dead = false;
let damaged = false;
let reuse = false;

const methods = {
  /** Brings a modelet here. `known` are compiled modules by the digest of their code. */
  async load({ url, sha256, cache, known, ...options }) {
    reuse = options.reuse;
    await start();
    const progress = (received, total) => postMessage({ progress: { received, total } });
    const { bytes, digest, fromCache } = await fetchModelet({ url, sha256, cache, progress });
    modelet = new Modelet(bytes);
    const begin = performance.now();
    const [memoryStart, memoryEnd, codeStart, codeEnd] = modelet.places();
    const code = bytes.subarray(codeStart, codeEnd);
    const codeDigest = await hex(code);
    const compiled = known.get(codeDigest) ?? (await compile(code));
    modules = { memory: await WebAssembly.compile(bytes.subarray(memoryStart, memoryEnd)), code: compiled };
    instance = new Instance(modules);
    dead = false;
    modelet.check(instance.guest);
    // `describe` has run: it left the memory other than it found it.
    instance.restore();
    const facts = { ...modelet.facts(), sha256: digest, sizeBytes: bytes.length, fromCache };
    return { facts, codeDigest, code: compiled, compileMs: performance.now() - begin };
  },

  /** Runs the model once, in memory that is as it was after loading. */
  infer({ inputs, outputs }) {
    const begin = performance.now();
    if (dead) instance = new Instance(modules, instance.first);
    dead = false;
    if (damaged) instance.damage();
    const answer = modelet.infer(instance.guest, inputs, outputs);
    answer.ms = performance.now() - begin;
    return answer;
  },

  /** For demonstrations: from now on the model's memory is overwritten before each call. */
  damage({ on }) {
    damaged = on;
  },
};

async function compile(code) {
  try {
    return await WebAssembly.compile(code);
  } catch (error) {
    throw new Error(`this browser cannot compile the model, which needs relaxed SIMD: ${error.message}`);
  }
}

/** After the answer has left, so that nobody waits for it. */
function tidy(answer) {
  dead = answer.trigger === "trap" || damaged;
  if (dead) return;
  if (!reuse) instance.restore();
}


// One after the other: a call that waits for another to end does not begin in the middle of it.
let last = Promise.resolve();
onmessage = ({ data: { id, method, argument } }) => {
  last = last.then(async () => {
    try {
      const value = await methods[method](argument);
      postMessage({ id, value });
      if (method === "infer") tidy(value);
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
};
