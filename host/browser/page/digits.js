// Draw a digit and watch the classifier answer as you draw.

import { Pen, image } from "./pen.js";
import { bars, latest } from "./show.js";

export function showDigits(asker) {
  const section = document.querySelector("#digits");
  const [digit, table] = [document.querySelector("#digit"), document.querySelector("#digit-bars")];
  const panel = asker.panel(section, "digits");
  const none = Array.from({ length: 10 }, (_, index) => [String(index), 0]);
  bars(table, none);
  const answer = latest(async () => {
    if (!pen.strokes.length) {
      digit.textContent = "–";
      bars(table, none);
      return;
    }
    const input = { name: "image", datatype: "FP32", shape: [1, 1, 8, 8], data: image(pen.strokes) };
    try {
      const { outputs } = await asker.ask("digits", [input]);
      const of = (name) => outputs.find((output) => output.name === name)?.data;
      digit.textContent = String(of("digit")?.[0] ?? "?");
      bars(table, Array.from(of("probabilities") ?? [], (share, index) => [String(index), share]));
    } catch {
      // The panel says why.
      digit.textContent = "?";
    }
  });
  const pen = new Pen(document.querySelector("#paper"), answer);
  panel.again = answer;
  document.querySelector("#clear").addEventListener("click", () => pen.clear());
  section.hidden = false;
}
