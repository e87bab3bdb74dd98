/**
 * Recordings for tests: frames, and the chunks that hold them.
 *
 * A record is a zstd frame of one raw block, which needs no compressor: what decodes
 * it is the real thing.
 */

import {
  ABSENT,
  CHUNK_ROWS,
  EQUAL,
  FIRST,
  INTRA,
  type Manifest,
  PREV,
  RAW,
} from "../src/protocol/messages.ts";
import { openSession, type Session } from "../src/session/session.ts";

export type Random = () => number;

/** Numbers in [0, 1) that are the same in every run. */
export function randomOf(seed: number): Random {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

/** Frames that differ in a few pixels, some not at all; null: no picture. */
export function filmOf(
  numRows: number,
  width: number,
  height: number,
  random: Random,
): (Uint8Array | null)[] {
  let frame: Uint8Array = new Uint8Array(width * height * 3).map(() => random() * 256);
  return Array.from({ length: numRows }, () => {
    const what = random();
    if (what < 0.1) return null;
    if (what < 0.2) return frame;
    frame = frame.slice();
    for (let i = 0; i < 3; i++)
      frame[Math.floor(random() * frame.length)] = random() * 256;
    return frame;
  });
}

/** One chunk (or a piece from `first` on) of at most 32 frames, of any legal kinds. */
export function chunkOf(
  frames: readonly (Uint8Array | null)[],
  { width, height, random }: { width: number; height: number; random: Random },
  first = 0,
): Uint8Array {
  const records: Uint8Array[] = [];
  const kinds: number[] = [];
  let [start, last]: (Uint8Array | null)[] = [null, null];
  let depth = 0;
  for (const frame of frames) {
    let kind: number;
    let record = new Uint8Array(0);
    if (!frame) kind = ABSENT;
    else if (last && same(frame, last)) kind = EQUAL;
    else {
      const options = start ? [RAW, INTRA, FIRST] : [RAW, INTRA];
      if (last && depth < 8) options.push(PREV, PREV, PREV);
      kind = options[Math.floor(random() * options.length)] as number;
      depth = kind === PREV ? depth + 1 : 1;
      const base = kind === PREV ? last : kind === FIRST ? start : null;
      const pixels = base ? frame.map((byte, i) => byte ^ base[i]!) : frame;
      record = new Uint8Array(kind === RAW ? pixels : rawBlock(pixels));
    }
    if (frame) {
      start ??= frame;
      last = frame;
    }
    kinds.push(kind);
    records.push(record);
  }
  return packed(kinds.slice(first), records.slice(first), width, height, first);
}

function packed(
  kinds: number[],
  records: Uint8Array[],
  width: number,
  height: number,
  first: number,
): Uint8Array {
  const size = records.reduce((sum, record) => sum + record.length, 0);
  const bytes = Buffer.alloc(12 + 4 * kinds.length + size + 4);
  bytes.write("RV");
  bytes[2] = 1;
  bytes[3] = first;
  bytes[4] = kinds.length;
  bytes.writeUInt16LE(height, 6);
  bytes.writeUInt16LE(width, 8);
  let at = 12 + 4 * kinds.length;
  for (const [i, record] of records.entries()) {
    bytes.writeUInt32LE((record.length << 3) | kinds[i]!, 12 + 4 * i);
    bytes.set(record, at);
    at += record.length;
  }
  return bytes;
}

/** The last buffer of a data message. */
export function bufferOf(chunks: [number, number, Uint8Array][]): Uint8Array {
  return Buffer.concat(
    chunks.flatMap(([block, slot, chunk]) => {
      const head = Buffer.alloc(12);
      head.writeUInt32LE(block, 0);
      head.writeUInt32LE(slot, 4);
      head.writeUInt32LE(chunk.length, 8);
      return [head, chunk, Buffer.alloc(-chunk.length & 3)];
    }),
  );
}

export function manifestOf(fields: Partial<Manifest> = {}): Manifest {
  return {
    kind: "manifest",
    protocol: 1,
    version: "0",
    session: "s",
    num_rows: 0,
    first_row: 0,
    num_envs: 1,
    fps: 30,
    slots: [{ env: 0, camera: "pixels", width: 4, height: 4, shared: false }],
    is_live: false,
    num_lost: 0,
    num_evicted: 0,
    title: "",
    dump_folder: null,
    columns: null,
    follow: false,
    ...fields,
  };
}

/** Step buffers of rows of kind "step" with reward 1, for a data message. */
export function stepBuffers(count: number, numEnvs: number): Uint8Array[] {
  const size = count * numEnvs;
  return [
    new Uint8Array(size).fill(1),
    new Uint8Array(size),
    new Uint8Array(new Float64Array(size).fill(1).buffer),
    new Uint8Array(new Uint32Array(size).buffer),
  ];
}

/** A session that has these films, one a slot, all of it or up to `numRows`. */
export function sessionOf(
  films: readonly (readonly (Uint8Array | null)[])[],
  sizes: readonly { width: number; height: number }[],
  random: Random,
): Session {
  const session = openSession(null);
  const numRows = films[0]!.length;
  const slots = sizes.map((size, env) => ({
    env,
    camera: "pixels",
    shared: false,
    ...size,
  }));
  session.take(
    manifestOf({ num_envs: films.length, num_rows: numRows, slots, session: "film" }),
    [],
  );
  const chunks: [number, number, Uint8Array][] = [];
  for (let block = 0; block * CHUNK_ROWS < numRows; block++)
    for (const [slot, film] of films.entries()) {
      const frames = film.slice(block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS);
      chunks.push([block, slot, chunkOf(frames, { ...sizes[slot]!, random })]);
    }
  session.take({ kind: "data", seq: 0, num_rows: numRows, start: 0, count: numRows }, [
    ...stepBuffers(numRows, films.length),
    bufferOf(chunks),
  ]);
  return session;
}

function rawBlock(pixels: Uint8Array): Buffer {
  const head = Buffer.alloc(3);
  head.writeUIntLE(1 | (pixels.length << 3), 0, 3); // last block, raw, its size
  return Buffer.concat([head, pixels]);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
