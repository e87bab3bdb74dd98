/**
 * Buffers of messages to typed arrays: step rows, numbers, chunks.
 *
 * The format is that of rollout_viewer/_page/protocol.py, of chunks that of
 * rollout_viewer/_frames/chunk.py. The only file that knows DataView.
 */

import { DamageError } from "./damage.ts";
import {
  ABSENT,
  CHUNK_ROWS,
  type Chunk,
  type DataMessage,
  type StepRows,
  type WireBuffer,
} from "./messages.ts";

export function asBytes(buffer: WireBuffer): Uint8Array {
  return ArrayBuffer.isView(buffer)
    ? new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8Array(buffer);
}

/** Bytes that were written as text: by the browser, where it can; fast before it is hot. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const native = (Uint8Array as Partial<{ fromBase64: typeof fromBase64 }>).fromBase64;
  if (native) return native.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Numbers as a message has them, aligned and ours. */
export function parseNumbers(
  format: "u1" | "f4" | "f8",
  count: number,
  buffer: WireBuffer = new ArrayBuffer(0),
): Uint8Array | Float32Array | Float64Array {
  const bytes = asBytes(buffer).slice();
  if (bytes.length !== count * Number(format[1]))
    throw new DamageError(
      `${count} numbers of format ${format}`,
      `${bytes.length} bytes`,
    );
  if (format === "u1") return bytes;
  return format === "f4"
    ? new Float32Array(bytes.buffer)
    : new Float64Array(bytes.buffer);
}

/** Return the step rows of a data message; throws if the buffers do not fit. */
export function parseSteps(
  data: DataMessage,
  numEnvs: number,
  buffers: WireBuffer[],
): StepRows {
  const size = data.count * numEnvs;
  const [kinds, ends, rewards, envSteps] = [1, 1, 8, 4].map((width, index) => {
    const bytes = asBytes(buffers[index] ?? new ArrayBuffer(0));
    if (bytes.length !== size * width) {
      throw new DamageError(
        `${size * width} bytes in buffer ${index} of a data message`,
        `${bytes.length}`,
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

/** As rollout_viewer/_frames/chunk.py has it. */
export const MAX_FRAME_BYTES = 1 << 28;
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
    const kind = entry & 7;
    if (kind > ABSENT) throw damaged(`a record of kind ${kind}`);
    kinds.push(kind);
    records.push(bytes.subarray(at, at + size));
    at += size;
  }
  if (at + CHECKSUM_BYTES !== bytes.length)
    throw damaged("a table that does not add up");
  const [height, width] = [view.getUint16(6, true), view.getUint16(8, true)];
  if (!(height * width * 3 > 0 && height * width * 3 <= MAX_FRAME_BYTES))
    throw damaged(`frames of ${height}x${width} pixels`);
  return {
    block,
    slot,
    height,
    width,
    first,
    kinds,
    records,
    repeatedRow: view.getUint16(10, true) - 1,
    numBytes: bytes.length,
  };
}

function damaged(what: string): DamageError {
  return new DamageError("an intact chunk of version 1", what);
}
