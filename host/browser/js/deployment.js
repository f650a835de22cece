// Versions of models, on this device and at servers, behind one call. Who is asked is decided by the
// project's own policy, compiled to WebAssembly; here it is only done.

import start, { Policy } from "./host.js";
import { Modelet } from "./device.js";
import { Server } from "./server.js";
import { decode, encode } from "./tensor.js";
import { Failure } from "./failure.js";

export class Deployment {
  #policy;
  #places = new Map();

  constructor(policy) {
    this.#policy = policy;
  }

  /** Takes a description or the address of one; throws with everything that is wrong with it. */
  static async open(description, { onProgress } = {}) {
    const isAddress = typeof description === "string" || description instanceof URL;
    const base = isAddress ? new URL(description, document.baseURI) : document.baseURI;
    const [{ models }] = await Promise.all([isAddress ? read(base) : description, start()]);
    const deployment = new Deployment(new Policy(crypto.getRandomValues(new Uint32Array(1))[0]));
    for (const [name, { policy = {}, versions, then = [] }] of Object.entries(models)) {
      deployment.#policy.add(name, JSON.stringify(policy), Object.keys(versions), then);
      for (const [version, place] of Object.entries(versions)) {
        const told = (progress) => onProgress?.({ model: name, version, ...progress });
        deployment.#places.set(`${name}/${version}`, stand(place, base, told));
      }
    }
    return deployment;
  }

  /** A version as it is on this device, or undefined where it is at a server. */
  modelet(model, version) {
    const place = this.#places.get(`${model}/${version}`);
    return place instanceof Modelet ? place : undefined;
  }

  /** Asks a model, and then, as long as the policy wants it, the others of its plan. */
  async infer(model, inputs, { outputs = [], timeoutMs = 60_000, ...caller } = {}) {
    const begin = performance.now();
    const policy = this.#policy;
    caller.id ??= crypto.randomUUID();
    const pending = policy.begin(model, caller, begin + timeoutMs, begin);
    const attempts = [];
    const answer = (outputs, servedBy) => ({
      outputs, servedBy, attempts, fallbackReason: pending.reason(), ms: performance.now() - begin,
    });
    try {
      for (let step; (step = policy.step(pending, performance.now())); ) {
        if (step.outputs !== undefined) {
          const wanted = JSON.parse(step.outputs).filter(({ name }) => !outputs.length || outputs.includes(name));
          return answer(wanted.map(fixed), "static");
        }
        const servedBy = `${step.model}/${step.version}`;
        const attempt = await this.#attempt(pending, servedBy, inputs, { outputs, timeoutMs: step.timeout });
        attempts.push({ servedBy, trigger: attempt.failure?.trigger, message: attempt.failure?.message, ms: attempt.ms });
        if (attempt.outputs) return answer(attempt.outputs, attempt.servedBy ?? servedBy);
      }
      const reason = pending.reason();
      const { message = `nobody of \`${model}\` can be asked: ${reason}`, trigger = reason } = attempts[0] ?? {};
      throw Object.assign(new Failure(message, trigger), { attempts });
    } finally {
      pending.free();
    }
  }

  async #attempt(pending, place, inputs, options) {
    const begin = performance.now();
    const policy = this.#policy;
    try {
      const answer = await this.#places.get(place).infer(inputs, options);
      const judged = policy.guards(pending) ? answer.outputs.map(encode) : [];
      const kept = policy.answered(pending, judged, performance.now());
      if (kept === undefined) return answer;
      return { failure: new Failure(`the answer was kept back: ${kept}`, "guard"), ms: answer.ms };
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure(error.message);
      policy.failed(pending, failure.trigger, performance.now());
      return { failure, ms: performance.now() - begin };
    }
  }

  /** Ends all workers. */
  close() {
    for (const place of this.#places.values()) place.close?.();
  }
}

/** An output as `model.toml` gives it, in the protocol's JSON. */
function fixed(output) {
  const tensor = decode(encode({ ...output, data: [output.data].flat(Infinity) }));
  const count = tensor.shape.reduce((product, size) => product * size, 1);
  if (tensor.data.length === count) return tensor;
  throw new TypeError(`the static output \`${tensor.name}\` has ${tensor.data.length} elements and not ${count}`);
}

async function read(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Failure(`${url} cannot be fetched: status ${response.status}`, "load");
  return response.json();
}

function stand(place, base, onProgress) {
  if (place.server !== undefined) return new Server({ ...place, server: new URL(place.server, base) });
  return new Modelet(new URL(place.url, base).href, { ...place, onProgress });
}
