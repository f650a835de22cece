// Paper and a pen: strokes by pointer and by keyboard, and what a classifier of 8×8 images sees of them.

const STEP = 8;

export class Pen {
  strokes = [];
  #canvas;
  #context;
  #at;
  #down = false;
  #changed;

  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#at = [canvas.width / 2, canvas.height / 4];
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#begin(this.#place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#down && event.buttons) for (const part of parts(event)) this.#move(this.#place(part));
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.#down = false));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const seen of ["focus", "blur"]) canvas.addEventListener(seen, () => this.#draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.#draw();
  }

  clear() {
    this.strokes = [];
    this.#down = false;
    this.#draw();
    this.#changed();
  }

  #place({ offsetX, offsetY }) {
    const scale = this.#canvas.width / this.#canvas.clientWidth;
    return [offsetX * scale, offsetY * scale];
  }

  #begin(place) {
    this.#down = true;
    this.#at = place;
    this.strokes.push([place]);
    this.#draw();
    this.#changed();
  }

  #move(place) {
    this.#at = place;
    if (this.#down) {
      this.strokes.at(-1).push(place);
      this.#changed();
    }
    this.#draw();
  }

  #key(event) {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (x || y) this.#move([this.#inside(this.#at[0] + x * STEP), this.#inside(this.#at[1] + y * STEP)]);
    else if (event.key === " ") this.#down ? (this.#down = false) : this.#begin(this.#at);
    else if (event.key === "Delete" || event.key === "Backspace") this.clear();
    else return;
    event.preventDefault();
  }

  #inside(value) {
    return Math.min(Math.max(value, 0), this.#canvas.width);
  }

  #draw() {
    const context = this.#context;
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.strokeStyle = getComputedStyle(this.#canvas).color;
    trace(context, this.strokes, 22, (place) => place);
    if (document.activeElement !== this.#canvas || !this.#canvas.matches(":focus-visible")) return;
    context.beginPath();
    context.strokeStyle = "#a3210f";
    context.lineWidth = 2;
    context.arc(...this.#at, 9, 0, 2 * Math.PI);
    context.stroke();
  }
}

const parts = (event) => {
  const between = event.getCoalescedEvents?.() ?? [];
  return between.length ? between : [event];
};

function trace(context, strokes, width, place) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...place(stroke[0]));
    for (const point of stroke.length > 1 ? stroke : [stroke[0], stroke[0]]) context.lineTo(...place(point));
    context.stroke();
  }
}

/** A field of 32×32, and the pen's width in it: about that of the pens behind the images. */
const FIELD = 32;
const WIDTH = 6;

/** A digit is at most this wide, so that a narrow one stays narrow. */
const WIDEST = 24;

/**
 * How the images that the model learnt from were made (the NIST forms behind scikit-learn's digits): the
 * digit is as high as the field and its ink balanced in the middle, and each of 8×8 pixels counts the ink
 * of its 4×4, from 0 to 16.
 */
export function image(strokes) {
  const context = new OffscreenCanvas(FIELD, FIELD).getContext("2d", { willReadFrequently: true });
  const points = strokes.flat();
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  // A dot is no digit: what is lower than this is not blown up to the field's height.
  const scale = Math.min((FIELD - WIDTH) / Math.max(bottom - top, 40), (WIDEST - WIDTH) / Math.max(right - left, 1));
  const ink = (shift) => {
    context.clearRect(0, 0, FIELD, FIELD);
    const place = ([x, y]) => [shift + (x - left) * scale, FIELD / 2 + (y - (top + bottom) / 2) * scale];
    trace(context, strokes, WIDTH, place);
    return context.getImageData(0, 0, FIELD, FIELD).data.filter((_, index) => index % 4 === 3);
  };
  const middle = (FIELD - (right - left) * scale) / 2;
  return count(ink(middle + FIELD / 2 - balance(ink(middle))));
}

/** Where the ink is, on average, from the left. */
function balance(ink) {
  let [sum, moment] = [0, 0];
  ink.forEach((value, index) => {
    sum += value;
    moment += value * ((index % FIELD) + 0.5);
  });
  return sum ? moment / sum : FIELD / 2;
}

function count(ink) {
  const pixels = new Float32Array(64);
  ink.forEach((value, index) => {
    const [x, y] = [index % FIELD, Math.floor(index / FIELD)];
    pixels[(y >> 2) * 8 + (x >> 2)] += value / 255;
  });
  return pixels;
}
