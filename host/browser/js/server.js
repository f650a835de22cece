// A model at a server of the Open Inference Protocol, with tensors in binary.

import { decode, encode } from "./tensor.js";
import { Failure } from "./failure.js";

const HEADER_LENGTH = "inference-header-content-length";

/** What a status says of the attempt, in the policy's words. */
const TRIGGERS = { 404: "load", 429: "overload", 500: "trap", 502: "load", 503: "overload", 504: "deadline" };

export class Server {
  #path;

  /** Without a version, the server's own rules choose it. */
  constructor({ server, model, version }) {
    const base = new URL(server, document.baseURI).href.replace(/\/$/, "");
    const named = version === undefined ? "" : `/versions/${encodeURIComponent(version)}`;
    this.#path = `${base}/v2/models/${encodeURIComponent(model)}${named}/infer`;
  }

  async infer(inputs, { outputs = [], timeoutMs = 60_000 } = {}) {
    const begin = performance.now();
    const { body, length } = request(inputs.map(encode), outputs);
    const headers = { "content-type": "application/octet-stream", [HEADER_LENGTH]: String(length) };
    const signal = AbortSignal.timeout(timeoutMs);
    let response, bytes;
    try {
      response = await fetch(this.#path, { method: "POST", headers, body, signal });
      bytes = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      const trigger = error.name === "TimeoutError" ? "deadline" : "load";
      throw new Failure(`the server cannot be asked: ${error.message}`, trigger);
    }
    if (!response.ok) throw refusal(response.status, bytes);
    const servedBy = response.headers.get("modelet-served-by") ?? undefined;
    return { outputs: answer(response, bytes).map(decode), ms: performance.now() - begin, servedBy };
  }
}

function request(inputs, outputs) {
  const head = {
    parameters: { binary_data_output: true },
    inputs: inputs.map(({ name, datatype, shape, data }) => ({
      name, datatype, shape, parameters: { binary_data_size: data.length },
    })),
  };
  if (outputs.length) head.outputs = outputs.map((name) => ({ name }));
  const json = new TextEncoder().encode(JSON.stringify(head));
  return { body: new Blob([json, ...inputs.map((input) => input.data)]), length: json.length };
}

function refusal(status, bytes) {
  let message = `status ${status}`;
  try {
    message = JSON.parse(new TextDecoder().decode(bytes)).error ?? message;
  } catch {
    // Whoever answered does not speak the protocol; the status says what there is to say.
  }
  return new Failure(`the server refused: ${message}`, TRIGGERS[status]);
}

function answer(response, bytes) {
  const broken = (reason) => new Failure(`the server's answer is not of the protocol: ${reason}`, "failed");
  const header = response.headers.get(HEADER_LENGTH);
  const end = header === null ? bytes.length : Number(header);
  let outputs;
  try {
    ({ outputs } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))));
  } catch (error) {
    throw broken(error.message);
  }
  if (!Array.isArray(outputs)) throw broken("it has no outputs");
  let at = end;
  return outputs.map(({ name, datatype, shape, parameters, data }) => {
    const size = parameters?.binary_data_size;
    if (size === undefined) return encode({ name, datatype, shape, data });
    if (!Number.isInteger(size) || size < 0 || at + size > bytes.length) throw broken(`\`${name}\` is cut off`);
    at += size;
    return { name, datatype, shape, data: bytes.slice(at - size, at) };
  });
}
