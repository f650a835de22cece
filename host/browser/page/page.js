// The page: what is in `deployment.json`, and the parts that show it.

import { Deployment } from "../modelet-web/index.js";
import { showAny } from "./any.js";
import { showDigits } from "./digits.js";
import { showMagika } from "./magika.js";
import { Asker, size } from "./show.js";

const problem = document.querySelector("#problem");

function fail(error) {
  problem.textContent = error.message;
  problem.hidden = false;
}

async function main() {
  const description = await (await fetch("deployment.json")).json();
  const asker = new Asker(description);
  asker.deployment = await Deployment.open(description, { onProgress: (progress) => asker.progress(progress) });
  list(description, asker);
  const has = (name) => name in description.models;
  document.querySelector("#order").hidden = document.querySelector("#server-note").hidden = !asker.hasServer;
  if (has("digits")) showDigits(asker);
  if (has("magika")) await showMagika(asker);
  showAny(asker);
  // For whoever drives this page.
  globalThis.deployment = asker.deployment;
}

/** A row for each file, and what this browser found its digest to be. */
function list({ models }, asker) {
  const rows = document.querySelector("#files");
  for (const [model, { versions }] of Object.entries(models)) {
    for (const [version, { facts, sha256 }] of Object.entries(versions)) {
      if (!facts) continue;
      const row = rows.insertRow();
      row.dataset.version = `${model}/${version}`;
      for (const text of [`${model}/${version}`, size(facts.size_bytes)]) row.insertCell().textContent = text;
      const code = document.createElement("code");
      code.textContent = sha256.slice(0, 16) + "…";
      code.title = sha256;
      row.insertCell().append(code);
      row.insertCell().textContent = "not loaded";
    }
  }
  asker.onLoaded = (model, version, modelet) => {
    const row = rows.querySelector(`[data-version="${model}/${version}"]`);
    if (!row) return;
    const from = modelet.fromCache ? "from this browser's cache" : "downloaded";
    row.cells[3].textContent = `${from}, digest checked, compiled in ${Math.round(modelet.compileMs)} ms`;
  };
}

addEventListener("unhandledrejection", ({ reason }) => fail(reason));
main().catch(fail);
