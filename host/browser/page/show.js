// What every part of the page does: ask, and tell who answered and how long it took.

/** Asks the deployment for the page's parts. */
export class Asker {
  onLoaded = () => {};
  #panels = new Map();

  constructor(description) {
    this.description = description;
    this.hasServer = Object.keys(description.models).some((name) => name.endsWith(".server"));
  }

  /** The versions of a model that are on this device, newest last. */
  versions(model) {
    const versions = Object.entries(this.description.models[model].versions);
    return versions.filter(([, place]) => place.url).map(([version]) => version);
  }

  facts(model) {
    return this.description.models[model].versions[this.versions(model).at(-1)].facts;
  }

  /** Adds to a section the switch, the progress and the line about the latest answer. */
  panel(section, model) {
    section.append(document.querySelector("#about").content.cloneNode(true));
    const version = this.versions(model).at(-1);
    const panel = { section, model, broken: false };
    section.querySelector(".switch span").textContent = `Break ${model}/${version}: overwrite its memory, so that it fails`;
    const box = section.querySelector(".switch input");
    box.addEventListener("change", async () => {
      await this.deployment.modelet(model, version).damage(box.checked);
      panel.again?.();
    });
    this.#panels.set(model, panel);
    return panel;
  }

  progress({ model, version, received, total }) {
    const section = this.#panels.get(model)?.section;
    if (!section) return;
    const [line, bar] = [section.querySelector(".progress"), section.querySelector("progress")];
    const whole = total ?? this.description.models[model].versions[version].facts.size_bytes;
    bar.value = received / whole;
    line.hidden = received >= whole;
  }

  /** Asks a model, this device or the server first as the page says. */
  async ask(model, inputs, panel = this.#panels.get(model)) {
    const first = document.querySelector("[name=order]:checked").value;
    const name = first === "server" && this.hasServer ? `${model}.server` : model;
    let reply, failure;
    try {
      reply = await this.deployment.infer(name, inputs);
    } catch (error) {
      failure = error;
    }
    if (panel) tell(panel.section, reply, failure);
    for (const version of this.versions(model)) {
      const modelet = this.deployment.modelet(model, version);
      if (modelet?.sha256) this.onLoaded(model, version, modelet);
    }
    if (failure) throw failure;
    return reply;
  }
}

function tell(section, reply, failure) {
  const told = section.querySelector(".told");
  const attempts = reply?.attempts ?? failure.attempts ?? [];
  told.classList.toggle("fell-back", Boolean(failure ?? reply.fallbackReason));
  if (failure) told.textContent = `Nobody could answer: ${failure.message}`;
  else {
    const model = attempts.at(-1)?.ms ?? 0;
    const why = reply.fallbackReason ? ` because the first choice failed (${reply.fallbackReason})` : "";
    told.textContent = `Answered by ${reply.servedBy}${why}; the model took ${time(model)}, all of it ${time(reply.ms)}.`;
  }
  const list = section.querySelector(".attempts");
  list.replaceChildren(...(failure || reply.fallbackReason ? attempts.map(attempt) : []));
}

function attempt({ servedBy, trigger, message }) {
  const item = document.createElement("li");
  item.textContent = message ? `${servedBy}: ${trigger ?? "refused"} – ${message}` : `${servedBy}: answered`;
  item.classList.toggle("failed", Boolean(message));
  return item;
}

/** Rows of a table: a name, a bar and a percentage each, the largest marked. */
export function bars(table, rows) {
  const best = Math.max(...rows.map(([, share]) => share));
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach(([name, share], index) => {
    const row = body.rows[index] ?? newRow(body);
    row.className = share === best && share > 0 ? "best" : "";
    row.cells[0].textContent = name;
    row.cells[1].querySelector("i").style.width = `${share * 100}%`;
    row.cells[2].textContent = `${(share * 100).toFixed(1)} %`;
  });
}

function newRow(body) {
  const row = body.insertRow();
  const head = document.createElement("th");
  head.scope = "row";
  const bar = document.createElement("span");
  bar.className = "bar";
  bar.append(document.createElement("i"));
  row.append(head);
  row.insertCell().append(bar);
  row.insertCell();
  return row;
}

export function time(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

export function size(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Calls `work` again after it ended where it was wanted meanwhile: the latest wins, none pile up. */
export function latest(work) {
  let running = false;
  let wanted = false;
  return async function run() {
    if (running) {
      wanted = true;
      return;
    }
    running = true;
    try {
      do {
        wanted = false;
        await work();
      } while (wanted);
    } finally {
      running = false;
    }
  };
}
