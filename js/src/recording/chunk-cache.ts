/**
 * Chunks in the page, within a byte budget: the least recently used are evicted first.
 *
 * A chunk grows by pieces; a whole one replaces them. One that is pending, with some of
 * its pictures, is kept beside them till they are as many. Knows what is missing and
 * when it was asked for last. Knows nothing of pixels or of the wire.
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
  /** Of another chunk of the same block it is another: so is its first frame. */
  version: number;
}

/** As many as are told apart: with a block's number it is a whole number yet. */
const MAX_VERSIONS = 2 ** 20;

/** A block of a slot of which only the first `have` records are here to stay. */
export type ChunkGap = [block: number, slot: number, have: number];

export class ChunkCache {
  readonly #budgetBytes: number;
  // A Map keeps the order of insertion: the first key is the least recently used.
  readonly #cached = new Map<number, CachedChunk>();
  #numTaken = 0;
  numBytes = 0;
  numEvicted = 0;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Take a chunk or piece; returns whether anything new came with it. */
  add(chunk: Chunk, isPending = false): boolean {
    const { block, slot, first, kinds } = chunk;
    const exact = keyOf(block, slot);
    const have = this.#count(exact);
    // A piece was lost, maybe of a pending one: it will be missing.
    if (first > (isPending ? 0 : have)) return false;
    if (first + kinds.length <= have) return false;
    const key = isPending ? besideOf(exact) : exact;
    const cached: CachedChunk = (first && this.#cached.get(key)) || {
      block,
      slot,
      kinds: [],
      records: [],
      repeatedRow: -1,
      numBytes: 0,
      shown: 0,
      isPending,
      version: this.#numTaken++ % MAX_VERSIONS,
    };
    this.#drop(key);
    const from = cached.kinds.length - first;
    cached.kinds.push(...kinds.slice(from));
    cached.records.push(...chunk.records.slice(from));
    cached.shown = shownIn(cached.kinds);
    if (chunk.repeatedRow >= 0) cached.repeatedRow = chunk.repeatedRow;
    cached.numBytes += chunk.numBytes;
    this.numBytes += cached.numBytes;
    this.#cached.set(key, cached);
    // Where the other one has nothing more, it goes.
    const other = this.#cached.get(besideOf(key));
    const isSpare = isPending
      ? !(other && other.shown & ~cached.shown)
      : this.#count(besideOf(key)) <= cached.kinds.length;
    if (isSpare) this.#drop(besideOf(key));
    this.#evict(key);
    return true;
  }

  /** Return the records that have a row's, if any do, and note that they were used. */
  use(row: number, slot: number): CachedChunk | undefined {
    const key = this.#keyAt(row, slot);
    const cached = this.#cached.get(key);
    if (cached) {
      this.#cached.delete(key);
      this.#cached.set(key, cached);
    }
    return cached;
  }

  /** How many records of a block are here, without one that is to come. */
  have(block: number, slot: number): number {
    const key = keyOf(block, slot);
    const pending = this.#cached.get(besideOf(key));
    let count = this.#count(key);
    // There may be more than a pending one has.
    while (pending && count < CHUNK_ROWS - 1 && (pending.shown >>> count) & 1) count++;
    return count;
  }

  /** Bit i: record i of a block is here and shows a picture. */
  shown(block: number, slot: number): number {
    const key = keyOf(block, slot);
    const shownOf = (one: number) => this.#cached.get(one)?.shown ?? 0;
    return shownOf(key) | shownOf(besideOf(key));
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
      for (const slot of slots)
        if (this.have(block, slot) < count)
          found.push([block, slot, this.#count(keyOf(block, slot))]);
    }
    return found;
  }

  /** Whether the record shows a picture; undefined while that is not known here. */
  hasPicture(row: number, slot: number): boolean | undefined {
    const cached = this.#cached.get(this.#keyAt(row, slot));
    const index = row % CHUNK_ROWS;
    if (cached === undefined || index >= cached.kinds.length) return undefined;
    const isShown = ((cached.shown >>> index) & 1) === 1;
    return isShown || !cached.isPending ? isShown : undefined;
  }

  /** Whether an earlier row's picture is shown again, because there is none of this. */
  isRepeated(row: number, slot: number): boolean {
    const cached = this.#cached.get(this.#keyAt(row, slot));
    const index = row % CHUNK_ROWS;
    if (!cached || !this.hasPicture(row, slot)) return false;
    const isMarked = cached.kinds[index] === EQUAL && cached.records[index]!.length > 0;
    return isMarked || cached.repeatedRow === index;
  }

  clear(): void {
    this.#cached.clear();
    this.numBytes = 0;
  }

  #count(key: number): number {
    return this.#cached.get(key)?.kinds.length ?? 0;
  }

  /** The key of what has a row's record: a pending one only where no other does. */
  #keyAt(row: number, slot: number): number {
    const key = keyOf(Math.floor(row / CHUNK_ROWS), slot);
    return row % CHUNK_ROWS < this.#count(key) ? key : besideOf(key);
  }

  #drop(key: number): void {
    this.numBytes -= this.#cached.get(key)?.numBytes ?? 0;
    this.#cached.delete(key);
  }

  #evict(keep: number): void {
    for (const key of this.#cached.keys()) {
      if (this.numBytes <= this.#budgetBytes) return;
      if (key === keep) continue;
      this.#drop(key);
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

/** The key of the pending chunk beside a chunk, and back. */
function besideOf(key: number): number {
  return -1 - key;
}
