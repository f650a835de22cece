// A modelet on this device, in a worker of its own.

import { decode, encode } from "./tensor.js";
import { Failure } from "./failure.js";

/** Compiled code by its digest: modelets of one tool have the same, and compile it once. */
const compiled = new Map();

/** Brings a modelet here and makes it ready. */
export async function load(url, options = {}) {
  const modelet = new Modelet(new URL(url, document.baseURI).href, options);
  await modelet.ready();
  return modelet;
}

export class Modelet {
  #url;
  #options;
  #channel;
  #loading;
  #damaged = false;
  #closed = false;

  constructor(url, options) {
    this.#url = url;
    this.#options = options;
  }

  /** Resolves when it can be called; starts a worker where there is none. */
  ready() {
    if (this.#closed) return Promise.reject(new Failure("the modelet is closed", "load"));
    return (this.#loading ??= this.#start());
  }

  async #start() {
    const channel = (this.#channel = new Channel(this.#options.onProgress));
    const { sha256, cache = true, reuse = false } = this.#options;
    try {
      const argument = { url: this.#url, sha256, cache, reuse, known: compiled };
      const loaded = await channel.call("load", argument);
      compiled.set(loaded.codeDigest, loaded.code);
      Object.assign(this, loaded.facts, { compileMs: loaded.compileMs });
      // The same file from now on, also where nobody said which.
      this.#options = { ...this.#options, sha256: this.sha256 };
      if (this.#damaged) await channel.call("damage", { on: true });
    } catch (error) {
      this.#stop();
      throw error instanceof Failure ? error : new Failure(error.message, "load");
    }
  }

  /** Runs the model once. */
  async infer(inputs, { outputs = [], timeoutMs = 60_000 } = {}) {
    const encoded = inputs.map(encode);
    await this.ready();
    const channel = this.#channel;
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Failure(`no answer within ${timeoutMs} ms`, "deadline")), timeoutMs);
    });
    try {
      const answer = await Promise.race([channel.call("infer", { inputs: encoded, outputs }), late]);
      if (!answer.outputs) throw new Failure(answer.message, answer.trigger);
      return { outputs: answer.outputs.map(decode), ms: answer.ms };
    } catch (error) {
      // Nothing but its end stops a worker that computes; the next call starts another.
      if (error.trigger === "deadline" && channel === this.#channel) this.#stop();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** For demonstrations: overwrites the model's memory before each call, so that it fails for real. */
  async damage(on = true) {
    this.#damaged = on;
    if (this.#loading) await this.#loading.then(() => this.#channel.call("damage", { on }));
  }

  /** Ends the worker, and with it all calls. */
  close() {
    this.#closed = true;
    this.#stop();
  }

  #stop() {
    this.#channel?.end();
    this.#channel = this.#loading = undefined;
  }
}

/** Calls into one worker. */
class Channel {
  #worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;

  constructor(onProgress) {
    this.#worker.onmessage = ({ data: { id, value, error, progress } }) => {
      if (progress) return onProgress?.(progress);
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(value);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(event.message ?? "the worker did not start");
    };
  }

  call(method, argument) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, argument });
    });
  }

  end() {
    this.#worker.terminate();
    this.#fail("the worker has ended");
  }

  #fail(reason) {
    for (const { reject } of this.#waiting.values()) reject(new Failure(reason, "trap"));
    this.#waiting.clear();
  }
}
