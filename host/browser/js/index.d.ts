/** The datatypes of the Open Inference Protocol. */
export type Datatype =
  | "BOOL" | "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT8" | "INT16" | "INT32" | "INT64"
  | "FP16" | "FP32" | "FP64" | "BYTES";

export type NumberArray =
  | Uint8Array | Uint16Array | Uint32Array | BigUint64Array
  | Int8Array | Int16Array | Int32Array | BigInt64Array
  | Float32Array | Float64Array;

/**
 * A named tensor, row-major. FP16 is a `Uint16Array` of its bits. A `Uint8Array` is taken as the tensor's
 * bytes, little-endian, whatever the datatype.
 */
export interface Input {
  name: string;
  datatype: Datatype;
  shape: readonly number[];
  data: NumberArray | readonly (number | bigint | boolean | string | Uint8Array)[];
}

export interface Output {
  name: string;
  datatype: Datatype;
  shape: number[];
  /** The typed array of the datatype; for BYTES a list with the bytes of each element. */
  data: NumberArray | Uint8Array[];
}

/** What a model declares for one tensor; −1 is a size that it leaves open. */
export interface TensorSpec {
  name: string;
  datatype: Datatype;
  shape: number[];
}

/** Bytes so far; `total` is missing where the server does not say. */
export interface Progress {
  received: number;
  total?: number;
}

export interface LoadOptions {
  /** SHA-256 of the whole file, lower-case hexadecimal. Another file is refused. */
  sha256?: string;
  /** Keep the file in this browser, under its digest. Default: true. */
  cache?: boolean;
  /** Keep what a call leaves in the model's memory for the next one. Default: false. */
  reuse?: boolean;
  onProgress?: (progress: Progress) => void;
}

export interface InferOptions {
  /** The wanted outputs in the wanted order; all of them without it. */
  outputs?: string[];
  /** Default: 60000. What computes for longer is stopped. */
  timeoutMs?: number;
}

/** Why an attempt failed, in the words of `fallback.on`. */
export type Trigger = "trap" | "failed" | "deadline" | "memory" | "overload" | "breaker" | "load" | "guard";

/** Why there is no answer. Without a trigger the request itself is wrong. */
export class Failure extends Error {
  readonly trigger?: Trigger;
  /** Of a deployment: everybody who was asked. */
  readonly attempts?: Attempt[];
}

/** A modelet on this device, in a worker of its own. */
export interface Modelet {
  readonly name: string;
  readonly version?: string;
  readonly labels: Record<string, string>;
  readonly engine: string;
  readonly tool: string;
  readonly inputs: TensorSpec[];
  readonly outputs: TensorSpec[];
  /** SHA-256 of the whole file: the digest that `modelet inspect` and the server show. */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly fromCache: boolean;
  readonly compileMs: number;
  /** `ms` is what the model took, without the way to the worker and back. */
  infer(inputs: Input[], options?: InferOptions): Promise<{ outputs: Output[]; ms: number }>;
  /** Downloads and compiles if that has not happened, or has to happen again. */
  ready(): Promise<void>;
  /** For demonstrations: overwrites the model's memory before each call, so that it fails for real. */
  damage(on?: boolean): Promise<void>;
  close(): void;
}

/**
 * Downloads a modelet, checks it, compiles it and starts it. Rejects what is no modelet, has another
 * digest, or says other things of itself than its file does.
 */
export function load(url: string | URL, options?: LoadOptions): Promise<Modelet>;

/** Where a version is: on this device, or at a server of the Open Inference Protocol. */
export type Place =
  | ({ url: string } & Omit<LoadOptions, "onProgress">)
  | { server: string; model: string; version?: string };

export interface ModelDescription {
  /** What a `model.toml` holds, as an object: `{ traffic: { weights: { 1: 90, 2: 10 } } }`. */
  policy?: object;
  versions: Record<string, Place>;
  /** Models that are asked when the policy's own chain is at its end, before any static answer. */
  then?: string[];
}

export interface DeploymentDescription {
  models: Record<string, ModelDescription>;
}

export interface Caller extends InferOptions {
  /** A version or a label that is to answer, and no other. */
  version?: string;
  /** Keeps the caller with a version while the weights stay. */
  key?: string;
  /** For the rules and the sticky key of `[traffic]`. */
  headers?: Record<string, string>;
  cookies?: Record<string, string>;
  parameters?: Record<string, string>;
}

export interface Attempt {
  servedBy: string;
  trigger?: Trigger;
  message?: string;
  ms: number;
}

export interface Reply {
  outputs: Output[];
  /** Such as `digits/2`, or `static`. */
  servedBy: string;
  /** Why it was not the version that was asked first. */
  fallbackReason?: Trigger;
  /** All that were asked, the last of them with success unless the answer is a static one. */
  attempts: Attempt[];
  ms: number;
}

/** Versions of models behind one call, with weights, sticky keys, fallback, guards and breakers. */
export class Deployment {
  static open(
    description: DeploymentDescription | string | URL,
    options?: { onProgress?: (progress: Progress & { model: string; version: string }) => void },
  ): Promise<Deployment>;
  infer(model: string, inputs: Input[], caller?: Caller): Promise<Reply>;
  /** A version that is on this device. */
  modelet(model: string, version: string): Modelet | undefined;
  close(): void;
}
