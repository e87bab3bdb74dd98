/**
 * Chunks in the page, within a byte budget: the least recently used are evicted first.
 *
 * A chunk grows by pieces; a whole one replaces them. Knows what is missing and when
 * it was asked for last. Knows nothing of pixels or of the wire.
 */

import { ABSENT, CHUNK_ROWS, type Chunk, EQUAL } from "../protocol/messages.ts";

/** Records of one block and slot, as far as they came. */
export interface CachedChunk {
  readonly block: number;
  readonly slot: number;
  kinds: number[];
  records: Uint8Array[];
  repeatedRow: number;
  numBytes: number;
  /** Bit i: record i shows a picture. */
  shown: number;
  /** It will come again: pictures of its other records may be rendered. */
  isPending: boolean;
  /** Counts chunks that took the place of this one: their first frame is another. */
  version: number;
}

/** A block of a slot of which only the first `have` records are here. */
export type ChunkGap = [block: number, slot: number, have: number];

export class ChunkCache {
  readonly #budgetBytes: number;
  // A Map keeps the order of insertion: the first key is the least recently used.
  readonly #cached = new Map<number, CachedChunk>();
  numBytes = 0;
  numEvicted = 0;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Take a chunk or piece; returns whether anything new came with it. */
  add(chunk: Chunk, isPending = false): boolean {
    const key = keyOf(chunk.block, chunk.slot);
    const old = this.#cached.get(key);
    const isAnew = chunk.first === 0 && old !== undefined && old.isPending;
    const have = isAnew ? 0 : (old?.kinds.length ?? 0);
    if (chunk.first > have) return false; // a piece was lost: it will be missing
    if (chunk.first + chunk.kinds.length <= have) return false;
    // The start of a chunk of which a later picture came alone: that would go.
    if (isAnew && !isPending && chunk.kinds.length < old.kinds.length) return false;
    const cached: CachedChunk =
      old && chunk.first > 0
        ? old
        : {
            block: chunk.block,
            slot: chunk.slot,
            kinds: [],
            records: [],
            repeatedRow: -1,
            numBytes: 0,
            shown: 0,
            isPending,
            version: (old?.version ?? -1) + 1,
          };
    const from = cached.kinds.length - chunk.first;
    this.numBytes -= old?.numBytes ?? 0;
    cached.kinds.push(...chunk.kinds.slice(from));
    cached.records.push(...chunk.records.slice(from));
    cached.shown = shownIn(cached.kinds);
    cached.isPending = isPending;
    if (chunk.repeatedRow >= 0) cached.repeatedRow = chunk.repeatedRow;
    cached.numBytes += chunk.numBytes;
    this.numBytes += cached.numBytes;
    this.#cached.delete(key);
    this.#cached.set(key, cached);
    this.#evict(key);
    return true;
  }

  /** Return the records of a block, and note that they were used. */
  use(block: number, slot: number): CachedChunk | undefined {
    const key = keyOf(block, slot);
    const cached = this.#cached.get(key);
    if (cached) {
      this.#cached.delete(key);
      this.#cached.set(key, cached);
    }
    return cached;
  }

  /** How many records of a block are here, without one that is to come. */
  have(block: number, slot: number): number {
    const cached = this.#cached.get(keyOf(block, slot));
    if (!cached) return 0;
    const count = cached.kinds.length;
    if (!cached.isPending) return count;
    for (let index = 0; index < count; index++)
      if (!((cached.shown >>> index) & 1)) return index;
    // There may be more than it has.
    return Math.min(count, CHUNK_ROWS - 1);
  }

  /** Bit i: record i of a block is here and shows a picture. */
  shown(block: number, slot: number): number {
    return this.#cached.get(keyOf(block, slot))?.shown ?? 0;
  }

  has(row: number, slot: number): boolean {
    return this.hasPicture(row, slot) !== undefined;
  }

  /** Blocks of these slots that are not here, or not whole, of a recording so long. */
  missing(
    blocks: readonly number[],
    slots: readonly number[],
    numRows: number,
  ): ChunkGap[] {
    const found: ChunkGap[] = [];
    for (const block of blocks) {
      const count = Math.min(numRows - block * CHUNK_ROWS, CHUNK_ROWS);
      for (const slot of slots) {
        const have = this.have(block, slot);
        if (have < count) found.push([block, slot, have]);
      }
    }
    return found;
  }

  /** Whether the record shows a picture; undefined while that is not known here. */
  hasPicture(row: number, slot: number): boolean | undefined {
    const cached = this.#cached.get(keyOf(Math.floor(row / CHUNK_ROWS), slot));
    const index = row % CHUNK_ROWS;
    if (cached === undefined || index >= cached.kinds.length) return undefined;
    const isShown = ((cached.shown >>> index) & 1) === 1;
    return isShown || !cached.isPending ? isShown : undefined;
  }

  /** Whether an earlier row's picture is shown again, because there is none of this. */
  isRepeated(row: number, slot: number): boolean {
    const cached = this.#cached.get(keyOf(Math.floor(row / CHUNK_ROWS), slot));
    const index = row % CHUNK_ROWS;
    if (!cached || !this.hasPicture(row, slot)) return false;
    const isMarked = cached.kinds[index] === EQUAL && cached.records[index]!.length > 0;
    return isMarked || cached.repeatedRow === index;
  }

  clear(): void {
    this.#cached.clear();
    this.numBytes = 0;
  }

  #evict(keep: number): void {
    for (const [key, cached] of this.#cached) {
      if (this.numBytes <= this.#budgetBytes) return;
      if (key === keep) continue;
      this.#cached.delete(key);
      this.numBytes -= cached.numBytes;
      this.numEvicted++;
    }
  }
}

/** Of each record whether it shows a picture, as bits; EQUAL shows the one before. */
function shownIn(kinds: readonly number[]): number {
  let [shown, hasAny] = [0, false];
  for (const [index, kind] of kinds.entries()) {
    hasAny ||= kind !== EQUAL && kind !== ABSENT;
    if (hasAny && kind !== ABSENT) shown |= 1 << index;
  }
  return shown;
}

/** The record whose pixels record `index` shows; -1: none. */
export function sourceOf(cached: CachedChunk, index: number): number {
  let at = index;
  while (at >= 0 && (cached.kinds[at] === EQUAL || cached.kinds[at] === ABSENT)) at--;
  return at;
}

/** One number for a block and a slot: a Map of numbers is faster than one of strings. */
function keyOf(block: number, slot: number): number {
  return block * 65536 + slot;
}
