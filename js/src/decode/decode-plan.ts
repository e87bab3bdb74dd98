/**
 * Which records a decoder needs to show a row: pure.
 *
 * A decoder holds, for each slot, one frame and maybe the first frame of that frame's
 * chunk. The plan follows what it holds, so rows one after the other cost one decode
 * each, rows that are equal cost nothing, and a seek at most eight (the codec's
 * limit) and the chunk's first frame.
 */

import { DamageError } from "../protocol/damage.ts";
import { FIRST, INTRA, PREV, RAW } from "../protocol/messages.ts";
import { type CachedChunk, sourceOf } from "../recording/chunk-cache.ts";

/** What a slot's decoder holds: the frame of a record, and a block's first frame. */
export interface DecoderState {
  block: number;
  index: number;
  firstBlock: number;
}

/** One decode. `target`: what it makes; "both" also keeps it as the first frame. */
export interface Op {
  kind: typeof RAW | typeof INTRA | typeof PREV | typeof FIRST;
  target: "frame" | "first" | "both";
  record: Uint8Array;
}

/** More blocks than any recording has. */
const VERSION = 2 ** 32;

export const NOTHING: DecoderState = { block: -1, index: -1, firstBlock: -1 };

/**
 * Return the decodes that lead from `state` to record `index`, and what is held then.
 *
 * The record must be there and have a picture.
 */
export function plan(
  chunk: CachedChunk,
  index: number,
  state: DecoderState,
): { ops: Op[]; state: DecoderState } {
  const target = sourceOf(chunk, index);
  if (target < 0) throw new DamageError(`a picture in record ${index}`, "none");
  if (state.block === chunk.block && state.index === target) return { ops: [], state };

  const deltas: Op[] = [];
  let base = target;
  while (
    chunk.kinds[base] === PREV &&
    !(state.block === chunk.block && state.index === base)
  ) {
    deltas.unshift(opOf(chunk, base, "frame"));
    base = sourceOf(chunk, base - 1);
  }
  const ops: Op[] = [];
  // A chunk that came anew, with more pictures, has another first frame.
  const own = chunk.block + chunk.version * VERSION;
  let firstBlock = state.firstBlock;
  if (!(state.block === chunk.block && state.index === base)) {
    const first = chunk.kinds.findIndex((kind) => kind === RAW || kind === INTRA);
    if (chunk.kinds[base] === FIRST && firstBlock !== own) {
      ops.push(opOf(chunk, first, "first"));
      firstBlock = own;
    }
    // Kept as the first frame too where a later record will ask for it.
    const isKept = base === first && chunk.kinds.includes(FIRST);
    if (isKept) firstBlock = own;
    ops.push(opOf(chunk, base, isKept ? "both" : "frame"));
  }
  ops.push(...deltas);
  return { ops, state: { block: chunk.block, index: target, firstBlock } };
}

function opOf(chunk: CachedChunk, index: number, target: Op["target"]): Op {
  const kind = chunk.kinds[index];
  const record = chunk.records[index];
  if (record === undefined || kind === undefined || kind < RAW || kind > FIRST)
    throw new DamageError("a record of a known kind", `${kind}`);
  return { kind: kind as Op["kind"], target, record };
}
