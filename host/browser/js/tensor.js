// Between what a page works with, typed arrays and texts, and the bytes of the protocol.

const VIEWS = {
  BOOL: Uint8Array, UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array, UINT64: BigUint64Array,
  INT8: Int8Array, INT16: Int16Array, INT32: Int32Array, INT64: BigInt64Array,
  // The bits: not every browser has half precision.
  FP16: Uint16Array, FP32: Float32Array, FP64: Float64Array,
};

/** A tensor with its data as bytes, little-endian and row-major, as it is sent to whoever answers. */
export function encode({ name, datatype, shape, data }) {
  return { name, datatype, shape: [...shape], data: bytesOf(name, datatype, data) };
}

function bytesOf(name, datatype, data) {
  if (data instanceof Uint8Array && datatype !== "BYTES") return data.slice();
  if (ArrayBuffer.isView(data)) {
    const View = VIEWS[datatype];
    if (View && data.BYTES_PER_ELEMENT !== View.BYTES_PER_ELEMENT) {
      throw new TypeError(`tensor \`${name}\`: ${datatype} is not the data of a ${data.constructor.name}`);
    }
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  }
  if (!Array.isArray(data)) throw new TypeError(`tensor \`${name}\`: its data are no list and no typed array`);
  if (datatype === "BYTES") return elements(data);
  const View = VIEWS[datatype];
  if (!View) throw new TypeError(`tensor \`${name}\`: there is no datatype ${datatype}`);
  const wide = datatype.endsWith("64") && datatype !== "FP64";
  return new Uint8Array(View.from(data, wide ? BigInt : Number).buffer);
}

/** Each element with its length before it. */
function elements(list) {
  const encoder = new TextEncoder();
  const parts = list.map((element) => (typeof element === "string" ? encoder.encode(element) : element));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length, true);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

/** A tensor with its data as a typed array, or for BYTES as a list of Uint8Array. */
export function decode({ name, datatype, shape, data }) {
  if (datatype === "BYTES") return { name, datatype, shape, data: split(data) };
  const View = VIEWS[datatype];
  if (!View || data.byteLength % View.BYTES_PER_ELEMENT !== 0) throw new TypeError(`output \`${name}\` is damaged`);
  // A copy of its own lies at address 0, where every view may begin.
  return { name, datatype, shape, data: new View(data.slice().buffer) };
}

function split(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const list = [];
  for (let at = 0; at < data.length; ) {
    const length = view.getUint32(at, true);
    list.push(data.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return list;
}
