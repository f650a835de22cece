// Golden cases of models/*, as the page sends them, and how far two answers may differ.

import { existsSync, readFileSync } from "node:fs";

/** As in host/protocol/src/compare.rs. */
const RELATIVE = 1e-4;
const ABSOLUTE = 1e-5;

export function cases(name) {
  const kept = `models/${name}/golden.json`;
  const file = existsSync(kept) ? kept : `target/models/${name}/golden.json`;
  return JSON.parse(readFileSync(file)).cases;
}

export function onnx(name) {
  const kept = `models/${name}/model.onnx`;
  return existsSync(kept) ? kept : `target/models/${name}/model.onnx`;
}

/** Where `got` is not the expected answer; nothing where it is. */
export function differs(expected, got, allowed = (value) => Math.max(ABSOLUTE, RELATIVE * Math.abs(value))) {
  for (const output of expected) {
    const other = got.find(({ name }) => name === output.name);
    if (!other) return `${output.name} is missing`;
    if (other.datatype !== output.datatype) return `${output.name} is ${other.datatype}`;
    if (String(other.shape) !== String(output.shape)) return `${output.name} has the shape ${other.shape}`;
    const values = other.data;
    // JSON has the shortest text that reads back as the same FP32.
    const wanted = output.datatype === "FP32" ? output.data.flat(9).map(Math.fround) : output.data.flat(9);
    if (wanted.length !== values.length) return `${output.name} has ${values.length} elements`;
    const float = output.datatype.startsWith("FP");
    const same = (one, two) => (float ? one === two || Math.abs(one - two) <= allowed(one) : String(one) === String(two));
    const index = wanted.findIndex((value, index) => !same(value, values[index]));
    if (index >= 0) return `${output.name}[${index}] should be ${wanted[index]}, is ${values[index]}`;
  }
}

/** Runs in the page: asks a modelet and gives the outputs as they can leave the page. */
export async function askInPage([url, inputs, options]) {
  const { load } = await import("/modelet-web/index.js");
  const modelet = await load(url, options);
  try {
    const answers = [];
    for (const input of inputs) {
      const { outputs } = await modelet.infer(input);
      const plain = (value) => (typeof value === "bigint" ? String(value) : value instanceof Uint8Array ? new TextDecoder().decode(value) : value);
      answers.push(outputs.map((output) => ({ ...output, data: Array.from(output.data, plain) })));
    }
    return { answers, sha256: modelet.sha256, fromCache: modelet.fromCache };
  } finally {
    modelet.close();
  }
}
