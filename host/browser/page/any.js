// Any model, asked in the protocol's JSON.

export function showAny(asker) {
  const [section, select] = [document.querySelector("#any"), document.querySelector("#model")];
  const [request, response] = [document.querySelector("#request"), document.querySelector("#response")];
  const names = Object.keys(asker.description.models).filter((name) => asker.versions(name).length);
  select.append(...names.map((name) => new Option(name)));
  const panels = new Map();
  const choose = () => {
    const { signature } = asker.facts(select.value);
    const told = (specs) => specs.map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(", ")}]`).join(", ");
    document.querySelector("#signature").textContent = `takes ${told(signature.inputs)}; gives ${told(signature.outputs)}`;
    request.value = JSON.stringify(signature.inputs.map(zeros));
    response.textContent = "";
  };
  select.addEventListener("change", choose);
  document.querySelector("#ask").addEventListener("click", async () => {
    const name = select.value;
    response.textContent = "…";
    try {
      const reply = await asker.ask(name, JSON.parse(request.value), panels.get(name));
      const outputs = reply.outputs.map((output) => ({ ...output, data: Array.from(output.data, plain) }));
      response.textContent = `${reply.servedBy}, ${reply.ms.toFixed(1)} ms\n${JSON.stringify(outputs)}`;
    } catch (error) {
      response.textContent = error.message;
    }
  });
  choose();
  section.hidden = false;
}

/** An input of zeros, with 1 where the model leaves a size open. */
function zeros({ name, datatype, shape }) {
  const sizes = shape.map((size) => (typeof size === "number" ? size : 1));
  const count = sizes.reduce((product, size) => product * size, 1);
  // A large one is written by whoever wants it.
  const data = Array(count > 4096 ? 0 : count).fill(datatype === "BYTES" ? "" : 0);
  return { name, datatype, shape: sizes, data };
}

function plain(value) {
  if (typeof value === "bigint") return value.toString();
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
}
