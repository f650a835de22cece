// A live instance of a modelet, what the host does with its memory, and that memory as it was at the beginning.

const PAGE = 65536;

/** The one contract, and what the code exports of it. */
const CONTRACT = "modelet:model/inference@0.1.0";
const EXPORTS = {
  realloc: "cabi_realloc",
  describe: `${CONTRACT}#describe`,
  endDescribe: `cabi_post_${CONTRACT}#describe`,
  infer: `${CONTRACT}#infer`,
  endInfer: `cabi_post_${CONTRACT}#infer`,
};

export class Instance {
  #bytes = new Uint8Array();

  /** `first` is what an earlier instance of the same modules has under that name. */
  constructor({ memory, code }, first) {
    this.memory = new WebAssembly.Instance(memory, {}).exports.memory;
    const { exports } = new WebAssembly.Instance(code, { memory: { memory: this.memory } });
    const called = Object.entries(EXPORTS).map(([name, exported]) => [name, callable(exports, exported)]);
    this.guest = {
      ...Object.fromEntries(called),
      size: () => this.#all().length,
      read: (address, into) => this.#part(address, into.length, (bytes) => into.set(bytes)),
      write: (address, from) => this.#part(address, from.length, (bytes) => bytes.set(from)),
    };
    this.first = first ?? pages(this.memory);
  }

  /** All of memory. What a view sees of it ends where memory grows. */
  #all() {
    const { buffer } = this.memory;
    if (this.#bytes.buffer !== buffer) this.#bytes = new Uint8Array(buffer);
    return this.#bytes;
  }

  /** Whether so many bytes lie there, with which something is then done. */
  #part(address, length, work) {
    const all = this.#all();
    if (address + length > all.length) return false;
    work(all.subarray(address, address + length));
    return true;
  }

  /**
   * Makes it a fresh one. The code keeps nothing outside of memory but its stack pointer, which is
   * where it was whenever a call has returned: after a trap this is not enough.
   */
  restore() {
    const bytes = this.#all();
    this.first.forEach((page, index) => {
      if (page) bytes.set(page, index * PAGE);
      else bytes.fill(0, index * PAGE, (index + 1) * PAGE);
    });
    bytes.fill(0, this.first.length * PAGE);
  }

  damage() {
    this.#all().fill(0xff);
  }
}

function callable(exports, name) {
  if (typeof exports[name] !== "function") throw new Error(`the model's code does not export \`${name}\``);
  return exports[name];
}

/** A copy of each page, or nothing for one of zeros. */
function pages(memory) {
  const bytes = new Uint8Array(memory.buffer);
  const words = new Float64Array(memory.buffer);
  const list = [];
  for (let at = 0; at < bytes.length; at += PAGE) {
    const used = words.subarray(at / 8, (at + PAGE) / 8).some((word) => !Object.is(word, 0));
    list.push(used ? bytes.slice(at, at + PAGE) : undefined);
  }
  return list;
}
