// Drop a file and have Magika name its type.

import { bars, latest } from "./show.js";

/** Bytes looked at from either end of a file, of which the model takes HALF. */
const BLOCK = 4096;
const HALF = 1024;

/** Where a file is shorter than its half. */
const PADDING = 256;

/** What Python takes for white space. */
const SPACES = new Set([9, 10, 11, 12, 13, 32]);

export async function showMagika(asker) {
  const labels = (await (await fetch(new URL("magika-labels.txt", import.meta.url))).text()).trimEnd().split("\n");
  const section = document.querySelector("#magika");
  const [drop, input] = [document.querySelector("#drop"), document.querySelector("#file")];
  const [kind, table] = [document.querySelector("#kind"), document.querySelector("#kind-bars")];
  const panel = asker.panel(section, "magika");
  let file;
  const answer = latest(async () => {
    if (!file) return;
    const tensor = { name: "bytes", datatype: "INT32", shape: [1, 2 * HALF], data: await features(file) };
    try {
      const { outputs } = await asker.ask("magika", [tensor]);
      const scores = Array.from(outputs[0].data, (score, index) => [labels[index], score]);
      scores.sort(([, one], [, other]) => other - one);
      kind.textContent = `${file.name}: ${scores[0][0]}`;
      bars(table, scores.slice(0, 5));
    } catch {
      // The panel says why.
      kind.textContent = `${file.name}: ?`;
    }
  });
  const take = (files) => {
    [file] = files.length ? files : [file];
    answer();
  };
  panel.again = answer;
  input.addEventListener("change", () => take(input.files));
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragenter" || name === "dragover");
    });
  }
  drop.addEventListener("drop", (event) => take(event.dataTransfer.files));
  section.hidden = false;
}

/** The first bytes after leading white space, then the last before trailing white space. */
async function features(file) {
  const read = async (blob) => new Uint8Array(await blob.arrayBuffer());
  const start = await read(file.slice(0, BLOCK));
  const end = await read(file.slice(Math.max(0, file.size - BLOCK)));
  const first = start.findIndex((byte) => !SPACES.has(byte));
  const last = end.findLastIndex((byte) => !SPACES.has(byte));
  const beginning = first < 0 ? [] : start.subarray(first, first + HALF);
  const ending = end.subarray(Math.max(0, last + 1 - HALF), last + 1);
  const tokens = new Int32Array(2 * HALF).fill(PADDING);
  tokens.set(beginning, 0);
  tokens.set(ending, 2 * HALF - ending.length);
  return tokens;
}
