/**
 * Records to pictures for a canvas: the work of a decoding worker.
 *
 * Holds one frame a slot (and the first of its chunk where deltas are taken from it).
 * The page plans which records it needs (decode-plan.ts), so this side decides nothing.
 */

import { DamageError } from "../protocol/damage.ts";
import { FIRST, INTRA, PREV, RAW } from "../protocol/messages.ts";
import {
  emptyRect,
  type Frame,
  fullRect,
  isEmpty,
  makeFrame,
  type Rect,
  replace,
  skipZeros,
  skipZerosBack,
  union,
  xorInto,
} from "./pixels.ts";
import { expand, reduceRect } from "./rgba.ts";
import { openZstd, type Zstd } from "./zstd.ts";

/** One decode; its record is `size` bytes at `offset` of the task's bytes. */
export interface TaskOp {
  kind: number;
  target: "frame" | "first" | "both";
  offset: number;
  size: number;
}

/** What to do for one slot. `isFull`: draw all of it, changed or not. */
export interface TaskSlot {
  slot: number;
  width: number;
  height: number;
  reduction: number;
  isFull: boolean;
  ops: TaskOp[];
}

export interface Task {
  id: number;
  slots: TaskSlot[];
  bytes: Uint8Array;
  /** A buffer handed back, to be used again. */
  spare: ArrayBuffer | null;
}

/** A rectangle of a slot's picture, RGBA, at `offset` of the result's pixels. */
export interface Patch {
  slot: number;
  x: number;
  y: number;
  width: number;
  height: number;
  offset: number;
}

export interface Result {
  id: number;
  patches: Patch[];
  pixels: ArrayBuffer;
  numDecodes: number;
}

interface SlotFrames {
  frame: Frame;
  first: Frame | null;
  /** Where the frame may differ from `first`. */
  differs: Rect;
}

export class Decoder {
  readonly #zstd: Zstd;
  readonly #frames = new Map<number, SlotFrames>();

  private constructor(zstd: Zstd) {
    this.#zstd = zstd;
  }

  /** `hasWasm` false: as in a page that forbids wasm. */
  static async open(hasWasm = true): Promise<Decoder> {
    return new Decoder(await openZstd(hasWasm));
  }

  run(task: Task): Result {
    let numDecodes = 0;
    let numPixels = 0;
    const changed: { slot: TaskSlot; frame: Frame; rect: Rect }[] = [];
    for (const slot of task.slots) {
      const frames = this.#framesOf(slot);
      let rect = slot.isFull ? fullRect(frames.frame) : emptyRect();
      for (const op of slot.ops) {
        const record = task.bytes.subarray(op.offset, op.offset + op.size);
        rect = union(rect, this.#apply(frames, op, record, slot.isFull));
        numDecodes += op.kind === RAW ? 0 : 1;
      }
      rect = reduceRect(frames.frame, rect, slot.reduction);
      if (isEmpty(rect)) continue;
      changed.push({ slot, frame: frames.frame, rect });
      numPixels += (rect.x1 - rect.x0) * (rect.y1 - rect.y0);
    }
    const pixels =
      task.spare && task.spare.byteLength >= numPixels * 4
        ? task.spare
        : new ArrayBuffer(numPixels * 4);
    const patches: Patch[] = [];
    let offset = 0;
    for (const { slot, frame, rect } of changed) {
      const [width, height] = [rect.x1 - rect.x0, rect.y1 - rect.y0];
      const out = new Uint32Array(pixels, offset, width * height);
      expand(frame, rect, slot.reduction, out);
      patches.push({ slot: slot.slot, x: rect.x0, y: rect.y0, width, height, offset });
      offset += width * height * 4;
    }
    return { id: task.id, patches, pixels, numDecodes };
  }

  #framesOf({ slot, width, height }: TaskSlot): SlotFrames {
    let frames = this.#frames.get(slot);
    if (!frames || frames.frame.width !== width || frames.frame.height !== height) {
      frames = { frame: makeFrame(width, height), first: null, differs: emptyRect() };
      this.#frames.set(slot, frames);
    }
    return frames;
  }

  /** Returns what changed; all of it where `isFull`, as all of it is drawn. */
  #apply(frames: SlotFrames, op: TaskOp, record: Uint8Array, isFull: boolean): Rect {
    const { frame } = frames;
    const numBytes = frame.width * frame.height * 3;
    const words =
      op.kind === RAW
        ? this.#zstd.copy(record, numBytes)
        : this.#zstd.decode(record, numBytes);
    if (op.target !== "frame") {
      frames.first ??= makeFrame(frame.width, frame.height);
      frames.first.words.set(words);
      frames.differs = fullRect(frame);
      if (op.target === "first") return emptyRect();
    }
    let changed: Rect;
    switch (op.kind) {
      case RAW:
      case INTRA:
        changed = fullRect(frame);
        // To look for what changed takes longer than to copy all of it.
        if (isFull) frame.words.set(words);
        else changed = replace(frame, null, words, changed);
        frames.differs = op.target === "both" ? emptyRect() : fullRect(frame);
        return changed;
      case PREV:
        changed = xorInto(frame, words);
        frames.differs = union(frames.differs, changed);
        return changed;
      case FIRST: {
        if (!frames.first) throw new DamageError("a first frame", "none");
        const differs = differenceOf(frame, words);
        changed = replace(frame, frames.first, words, union(frames.differs, differs));
        frames.differs = differs;
        return changed;
      }
      default:
        throw new DamageError("a record of a known kind", `${op.kind}`);
    }
  }
}

/** The rows in which a delta is not zero, as a full-width rectangle. */
function differenceOf(frame: Frame, delta: Uint32Array): Rect {
  const from = skipZeros(delta, 0, delta.length);
  const to = skipZerosBack(delta, from, delta.length);
  if (to <= from) return emptyRect();
  const stride = (frame.width * 3) / 4;
  const y0 = Math.floor(from / stride);
  const y1 = Math.min(frame.height, Math.ceil(to / stride));
  return { x0: 0, y0, x1: frame.width, y1 };
}
