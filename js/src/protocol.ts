/**
 * What the kernel and the page say to each other: the page's half.
 *
 * The specification is the docstring of rollout_viewer/_protocol.py; that of the
 * chunks is the one of _codec.py. Wire fields keep their Python names. The only file
 * that knows DataView.
 */

export const PROTOCOL = 1;
export const CHUNK_ROWS = 32;

/** Kinds of a row, for each env. */
export const RESET = 0;
export const STEP = 1;
export const IDLE = 2;
export const TERMINAL_MISSING = 3;
/** Bits of a row's ends. */
export const TERMINATED = 1;
export const TRUNCATED = 2;
/** Kinds of a record in a chunk. */
export const EQUAL = 0;
export const RAW = 1;
export const INTRA = 2;
export const PREV = 3;
export const FIRST = 4;
export const ABSENT = 5;

export interface Slot {
  env: number;
  camera: string;
  height: number;
  width: number;
  shared: boolean;
}

export interface Manifest {
  kind: "manifest";
  protocol: number;
  version: string;
  session: string;
  num_rows: number;
  first_row: number;
  num_envs: number;
  fps: number;
  slots: Slot[];
  is_live: boolean;
  follow: boolean;
  num_lost: number;
  num_evicted: number;
  title: string;
  dump_folder: string | null;
  columns: number | null;
  groups?: [name: string, firstEnv: number, numEnvs: number][];
  /** What tiles are called, where that is not their env: never sent, see arrangement. */
  names?: [string, string | number][];
  data?: DataField[];
  meanings?: string[];
  segments?: [name: string, start: number, stop: number][];
}

/** An array that was recorded beside reward and ends; shape of one env's. */
export interface DataField {
  name: string;
  dtype: string;
  shape: number[];
}

/** All data of an env in a run of rows. */
export interface Details {
  kind: "details";
  env: number;
  start: number;
  count: number;
  num_rows: number;
  fields: (DataField & {
    is_summary: boolean;
    format: "u1" | "f4" | "f8";
    rows: number[] | null;
  })[];
  fault: string;
}

/** One number of all envs in a run of rows. */
export interface Column {
  kind: "column";
  name: string;
  index: number;
  start: number;
  count: number;
  fault: string;
}

export interface Data {
  kind: "data";
  seq: number;
  num_rows: number;
  start: number;
  count: number;
  /** Of a kernel: bytes in its memory and of the pictures on its disk. */
  kernel_nbytes?: number;
  picture_nbytes?: number;
  /** Notes of all bookmarks by row, where any changed. */
  bookmarks?: Record<string, string>;
  /** What became known of episodes; `info` is a number in `infos`. */
  episodes?: [env: number, index: number, info: number][];
  infos?: EpisodeInfo[];
}

/** What is known of an episode beside its rows. */
export interface EpisodeInfo {
  segment?: string;
  seed?: number;
  options?: unknown;
  labels?: Record<string, unknown>;
}

export interface Job {
  kind: "job";
  job: number;
  state: "running" | "done" | "failed" | "cancelled";
  progress: number;
  message: string;
  paths: string[];
}

export interface FilePiece {
  kind: "file";
  job: number;
  name: string;
  mime: string;
  offset: number;
  total: number;
}

export interface Goto {
  kind: "goto";
  row: number;
}

/** Asks what the page counted. */
export interface AskStats {
  kind: "stats";
}

export interface KernelError {
  kind: "error";
  message: string;
}

export type FromKernel =
  | Manifest
  | Details
  | Column
  | Data
  | Job
  | FilePiece
  | Goto
  | AskStats
  | KernelError;

/** An env as people call it: "env 3"; among compared recordings, "after 1". */
export function nameOfEnv(
  manifest: Manifest | null,
  env: number,
): [string, string | number] {
  const named = manifest?.names?.[env];
  if (named) return named;
  for (const [name, first, count] of manifest?.groups ?? [])
    if (env >= first && env < first + count) return [name, env - first];
  return ["env", env];
}

export type ToKernel =
  | {
      kind: "hello";
      protocol: number;
      version: string;
      page: string;
      beginning: number;
    }
  | { kind: "ack"; seq: number }
  | { kind: "need"; chunks: [block: number, slot: number, have: number][] }
  | { kind: "dump"; job: number; formats: string[]; start: number; stop: number }
  | { kind: "download"; job: number; format: string; start: number; stop: number }
  | { kind: "cancel"; job: number }
  | { kind: "bookmark"; row: number; note: string }
  | {
      kind: "label";
      env: number;
      episode: number;
      labels: Record<string, unknown>;
    }
  | { kind: "inspect"; env: number; start: number }
  | { kind: "column"; name: string; index: number; start: number }
  | { kind: "stats"; counts: Record<string, number> };

/** What a comm hands over: a view into a larger buffer, of any alignment. */
export type WireBuffer = ArrayBuffer | ArrayBufferView;

/** Step data of `count` rows from `start` on; each array is (count, num_envs). */
export interface StepRows {
  start: number;
  count: number;
  kinds: Uint8Array;
  ends: Uint8Array;
  rewards: Float64Array;
  envSteps: Uint32Array;
}

/** A chunk or a piece of one; `records` are views of the message's bytes. */
export interface Chunk {
  block: number;
  slot: number;
  height: number;
  width: number;
  first: number;
  kinds: number[];
  records: Uint8Array[];
  /** The row of this chunk whose RAW or INTRA record nobody delivered; -1: none. */
  lateRow: number;
  numBytes: number;
}

export function asBytes(buffer: WireBuffer): Uint8Array {
  return ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
}

/** Numbers as a message has them, aligned and ours. */
export function parseNumbers(
  format: "u1" | "f4" | "f8",
  count: number,
  buffer: WireBuffer = new ArrayBuffer(0),
): Uint8Array | Float32Array | Float64Array {
  const bytes = asBytes(buffer).slice();
  if (bytes.length !== count * Number(format[1]))
    throw new Error(
      `[rollout_viewer] expected ${count} numbers of format ${format}, got ` +
        `${bytes.length} bytes. Reload the page.`,
    );
  if (format === "u1") return bytes;
  return format === "f4"
    ? new Float32Array(bytes.buffer)
    : new Float64Array(bytes.buffer);
}

/** Return the step rows of a data message; throws if the buffers do not fit. */
export function parseSteps(
  data: Data,
  numEnvs: number,
  buffers: WireBuffer[],
): StepRows {
  const size = data.count * numEnvs;
  const [kinds, ends, rewards, envSteps] = [1, 1, 8, 4].map((width, index) => {
    const bytes = asBytes(buffers[index] ?? new ArrayBuffer(0));
    if (bytes.length !== size * width) {
      throw new Error(
        `[rollout_viewer] expected ${size * width} bytes in buffer ${index} of a data ` +
          `message, got ${bytes.length}. Reload the page.`,
      );
    }
    return bytes.slice(); // aligned, and ours
  }) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return {
    start: data.start,
    count: data.count,
    kinds,
    ends,
    rewards: new Float64Array(rewards.buffer),
    envSteps: new Uint32Array(envSteps.buffer),
  };
}

/** Return the chunks and pieces in the last buffer of a data message. */
export function parseChunks(buffer: WireBuffer): Chunk[] {
  const bytes = asBytes(buffer);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Chunk[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 12 > bytes.length) throw damaged("a cut head");
    const [block, slot, size] = [0, 4, 8].map((o) => view.getUint32(at + o, true)) as [
      number,
      number,
      number,
    ];
    at += 12;
    if (at + size > bytes.length) throw damaged(`${size} bytes that are not there`);
    // A copy: a view would keep the whole message alive.
    chunks.push(parseChunk(block, slot, bytes.slice(at, at + size)));
    at += size + (-size & 3);
  }
  return chunks;
}

const HEADER_BYTES = 12;
const CHECKSUM_BYTES = 4;

/** Return one chunk. The wire is trusted with its bytes: no checksum is taken. */
export function parseChunk(block: number, slot: number, bytes: Uint8Array): Chunk {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES || view.getUint16(0) !== 0x5256)
    throw damaged(`${bytes.length} bytes that do not begin like one`);
  if (bytes[2] !== 1) throw damaged(`version ${bytes[2]}`);
  const [first, count] = [bytes[3] as number, bytes[4] as number];
  let at = HEADER_BYTES + 4 * count;
  if (first + count > CHUNK_ROWS || at + CHECKSUM_BYTES > bytes.length)
    throw damaged(`${count} records from ${first} on`);
  const kinds: number[] = [];
  const records: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    const entry = view.getUint32(HEADER_BYTES + 4 * index, true);
    const size = entry >>> 3;
    kinds.push(entry & 7);
    records.push(bytes.subarray(at, at + size));
    at += size;
  }
  if (at + CHECKSUM_BYTES !== bytes.length)
    throw damaged("a table that does not add up");
  return {
    block,
    slot,
    height: view.getUint16(6, true),
    width: view.getUint16(8, true),
    first,
    kinds,
    records,
    lateRow: view.getUint16(10, true) - 1,
    numBytes: bytes.length,
  };
}

function damaged(what: string): Error {
  return new Error(
    `[rollout_viewer] expected an intact chunk of version 1, got ${what}. ` +
      "Reload the page.",
  );
}
