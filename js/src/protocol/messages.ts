/**
 * The messages between kernel and page, and the constants in them.
 *
 * The specification is the docstring of rollout_viewer/_page/protocol.py; that of the
 * chunks is the one of rollout_viewer/_frames/chunk.py. Wire fields keep their Python
 * names.
 */

export const PROTOCOL = 1;
export const CHUNK_ROWS = 32;

/** Kinds of a row, for each env. */
export const RESET = 0;
export const STEP = 1;
export const IDLE = 2;
export const TERMINAL_MISSING = 3;
/** The file's step data of the row cannot be read. */
export const DAMAGED = 4;
/** Bits of a row's ends. */
export const TERMINATED = 1;
export const TRUNCATED = 2;
/** Beside the two above: the reward of a step is NaN. */
export const NAN_REWARD = 8;
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
  compare?: Beginning;
  /** What tiles are called, where that is not their env: never sent, see arrangement. */
  names?: [string, string | number][];
  data?: DataField[];
  meanings?: string[];
  segments?: [name: string, start: number, stop: number][];
  /** Pictures are rendered where they are looked at, or (false) cannot be here. */
  renders?: boolean;
  /** Rows whose pictures cannot be rendered, and why. */
  not_reproducible?: [env: number, start: number, stop: number, reason: string][];
  /** Of an HTML export: its pictures are so many times smaller each way. */
  reduced?: number;
  /** Counts manifests; not in an HTML export. */
  number?: number;
}

/** Begin with these lines of tiles, a column for each seed; lines null: all groups. */
export interface Beginning extends Partial<EvaluationNumbers> {
  lines: string[] | null;
  seeds: string[];
}

/** A number of Python's; null: it is not known; text: it is infinite. */
export type KnownNumber = number | string | null;

/** What an evaluation found out: nothing of it is computed here. */
export interface EvaluationNumbers {
  policies: ({ policy: string } & Record<string, KnownNumber>)[];
  against: PolicyDifference[];
  pairs: PairColumns;
}

/** A policy against the first one; `finding` says what came out. */
export type PolicyDifference = {
  policy: string;
  against: string;
  finding: string;
} & Record<string, KnownNumber>;

/** Pairs of episodes of one seed: of policies[line], and of the first. */
export interface PairColumns {
  line: number[];
  seed: string[];
  /** Null: the page does not have it. */
  env: (number | null)[];
  episode: (number | null)[];
  env_against: (number | null)[];
  episode_against: (number | null)[];
  return: KnownNumber[];
  return_against: KnownNumber[];
  difference: KnownNumber[];
  /** 1: success was gained; -1: it was lost. */
  flip: number[];
  /** Without a kernel: of each pair what a `PartingAnswer` has. */
  parting?: [by: string, offset: number | null][];
}

/** An array that was recorded beside reward and ends; shape of one env's. */
export interface DataField {
  name: string;
  dtype: string;
  shape: number[];
  /** Of its numbers, in their order. */
  names?: string[];
}

/** All data of an env in a run of rows. */
export interface DetailsMessage {
  kind: "details";
  env: number;
  start: number;
  count: number;
  num_rows: number;
  fields: (DataField & {
    is_summary: boolean;
    format: "u1" | "f4" | "f8";
    rows: number[] | null;
    /** Of dtype "str": what the numbers mean. */
    texts?: string[];
  })[];
  fault: string;
}

/** One number of all envs in a run of rows. */
export interface ColumnMessage {
  kind: "column";
  name: string;
  index: number;
  start: number;
  count: number;
  fault: string;
}

export interface DataMessage {
  kind: "data";
  seq: number;
  num_rows: number;
  start: number;
  count: number;
  /** Of a kernel: bytes in its memory and of the pictures on its disk. */
  kernel_nbytes?: number;
  picture_nbytes?: number;
  /** Chunks that will come again, when more of their pictures were rendered. */
  pending?: [block: number, slot: number][];
  /** Notes of all bookmarks by row, where any changed. */
  bookmarks?: Record<string, string>;
  /** What became known of episodes; `info` is a number in `infos`. */
  episodes?: [env: number, index: number, info: number][];
  infos?: EpisodeInfo[];
  /** Small pictures, not exact, of which the bytes are in buffers[5]. */
  previews?: PreviewPiece[];
  /** Of a kernel: of which recording, and which annotations these are. */
  session?: string;
  about?: [start: number, stop: number];
  marks?: number;
}

/** Rows of a block as one video of tiles side by side. */
export interface PreviewPiece {
  block: number;
  slots: number[];
  /** As WebCodecs names it, or "image/jpeg". */
  codec: string;
  /** Of a tile, in pixels; and how many are side by side. */
  width: number;
  height: number;
  columns: number;
  /** Of the video; and rows of it that came before. */
  number: number;
  first: number;
  /** Bytes of each row. */
  sizes: number[];
  /** Of each slot: bit i: row i has a picture. */
  shown: number[];
}

/** How much was sent, when there is nothing else to send. */
export interface Beat {
  kind: "beat";
  session: string;
  manifest: number;
  num_rows: number;
  about: number;
  marks: number;
}

/** What is known of an episode beside its rows. */
export interface EpisodeInfo {
  success?: boolean | null;
  segment?: string;
  seed?: number;
  options?: unknown;
  labels?: Record<string, unknown>;
}

export interface JobMessage {
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

/** A module of the page, packed, in the buffer. */
export interface PartAnswer {
  kind: "part";
  name: string;
}

/** Where two episodes part: rows after their starts; null: nowhere. */
export interface PartingAnswer extends Omit<PartingQuestion, "kind"> {
  kind: "parting";
  by: string;
  offset: number | null;
}

/** Asks for a module of the page. */
export interface PartQuestion {
  kind: "part";
  name: string;
}

/** Asks where two episodes part, each [env, index]. */
export interface PartingQuestion {
  kind: "parting";
  first: [number, number];
  other: [number, number];
}

/** Asks what the page counted. */
export interface AskStats {
  kind: "stats";
}

export interface KernelError {
  kind: "error";
  message: string;
}

/** `base64`: its buffers, where they come as text. */
export type FromKernel = { base64?: string[] } & (
  | Manifest
  | DetailsMessage
  | ColumnMessage
  | DataMessage
  | Beat
  | JobMessage
  | FilePiece
  | Goto
  | PartAnswer
  | PartingAnswer
  | AskStats
  | KernelError
);

/** What a dump or a download writes; stop is exclusive, envs of null are all. */
export interface ExportedRows {
  start: number;
  stop: number;
  envs: number[] | null;
}

export type ToKernel =
  | {
      kind: "hello";
      protocol: number;
      version: string;
      page: string;
      beginning: number;
      /** Buffers do not arrive: they are to be sent as text. */
      as_text?: boolean;
    }
  | { kind: "hidden"; page: string }
  | {
      kind: "have";
      page: string;
      session: string;
      manifest: number;
      num_rows: number;
      about: number;
      marks: number;
    }
  | { kind: "ack"; seq: number }
  | {
      kind: "need";
      chunks: [block: number, slot: number, have: number][];
      wanted?: [block: number, slot: number, index: number][];
    }
  | {
      kind: "watch";
      codecs: readonly string[];
      rate: number;
      is_resting: boolean;
      num_slots: number;
      reduction: number;
      rows: [block: number, slot: number, index: number][];
      blocks: (readonly number[])[];
    }
  | ({ kind: "dump"; job: number; formats: string[] } & ExportedRows)
  | ({ kind: "download"; job: number; format: string } & ExportedRows)
  | { kind: "cancel"; job: number }
  | { kind: "bookmark"; row: number; note: string | null }
  | { kind: "unbookmark"; row: number }
  | {
      kind: "label";
      env: number;
      episode: number;
      labels: Record<string, unknown>;
    }
  | { kind: "inspect"; env: number; start: number }
  | { kind: "column"; name: string; index: number; start: number }
  | PartQuestion
  | PartingQuestion
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
  /** The row of this chunk whose RAW or INTRA record repeats the picture before; -1: none. */
  repeatedRow: number;
  numBytes: number;
}
