/**
 * Small pictures of single recorded rows, decoded from the chunks in the page only.
 *
 * They have decoder slots of their own, so that the player's frames stay as they are.
 * Each is decoded from the start of its chunk, one at a time, the newest request first.
 */

import { CHUNK_ROWS } from "../protocol/messages.ts";
import type { Store } from "../recording/store.ts";
import { NOTHING, plan } from "./decode-plan.ts";
import { reducedSize } from "./rgba.ts";
import type { Decoding } from "./worker-pool.ts";

export interface Thumbnail {
  width: number;
  height: number;
  pixels: Uint8ClampedArray<ArrayBuffer>;
}

export interface ThumbnailOptions {
  /** How many pictures are kept. 0: none, and only the newest request waits. */
  cacheSize: 0 | 400;
  /** By how much a picture of this size is reduced; rounded down, at least 1. */
  reduction: (size: { width: number; height: number }) => number;
}

interface Request {
  key: string;
  row: number;
  slot: number;
  onReady: (thumbnail: Thumbnail | null) => void;
}

/** Beyond every slot of a recording. */
const FIRST_DECODER_SLOT = 1 << 24;
const MAX_WAITING = 64;

export class Thumbnails {
  readonly #store: Store;
  readonly #pool: Decoding;
  readonly #options: ThumbnailOptions;
  readonly #cache = new Map<string, Thumbnail | null>();
  #waiting: Request[] = [];
  #isBusy = false;
  /** The decoder slot of each size: decoding does not allocate a frame each time. */
  readonly #decoderSlots = new Map<string, number>();

  constructor(store: Store, pool: Decoding, options: ThumbnailOptions) {
    this.#store = store;
    this.#pool = pool;
    this.#options = options;
  }

  /** A cached picture; null: the row has none. Else decodes it and calls `onReady`. */
  get(row: number, slot: number, onReady: () => void): Thumbnail | null | undefined {
    const key = keyOf(row, slot);
    if (this.#cache.has(key)) return this.#cache.get(key);
    const isWaiting = this.#waiting.some((request) => request.key === key);
    if (!isWaiting && this.#store.chunks.has(row, slot))
      this.request(row, slot, onReady);
    return undefined;
  }

  /** Decode a picture; null: the row has none, or its chunk is not in the page. */
  request(
    row: number,
    slot: number,
    onReady: (thumbnail: Thumbnail | null) => void,
  ): void {
    this.#waiting.push({ key: keyOf(row, slot), row, slot, onReady });
    if (this.#waiting.length > (this.#options.cacheSize ? MAX_WAITING : 1))
      this.#waiting.shift();
    void this.#work();
  }

  clear(): void {
    this.#cache.clear();
    this.#waiting = [];
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    const { cacheSize } = this.#options;
    for (let next = this.#waiting.pop(); next; next = this.#waiting.pop()) {
      // The grid reports what cannot be decoded.
      const thumbnail = await this.#decode(next.row, next.slot).catch(() => null);
      if (cacheSize && thumbnail !== undefined) this.#keep(next.key, thumbnail);
      // Without a cache only the newest one is of use.
      if (cacheSize || !this.#waiting.length) next.onReady(thumbnail ?? null);
    }
    this.#isBusy = false;
  }

  #keep(key: string, thumbnail: Thumbnail | null): void {
    this.#cache.set(key, thumbnail);
    if (this.#cache.size > this.#options.cacheSize)
      this.#cache.delete(this.#cache.keys().next().value!);
  }

  /** undefined: its chunk is not in the page, or was evicted meanwhile. */
  async #decode(row: number, slot: number): Promise<Thumbnail | null | undefined> {
    const { chunks, recorded } = this.#store;
    const chunk = chunks.use(row, slot);
    const size = recorded.manifest?.slots[slot];
    if (!chunk || !size) return undefined;
    if (!chunks.hasPicture(row, slot)) return null;
    const { width, height } = size;
    const reduction = Math.max(1, Math.floor(this.#options.reduction(size)));
    const { ops } = plan(chunk, row % CHUNK_ROWS, NOTHING);
    const task = { slot: this.#decoderSlotOf(size), width, height, reduction, ops };
    const [picture] = await this.#pool.run([{ ...task, isFull: true }]);
    const [w, h] = [reducedSize(width, reduction), reducedSize(height, reduction)];
    const pixels = new Uint8ClampedArray(picture!.pixels.slice(0, w * h * 4));
    this.#pool.recycle(picture!);
    return { width: w, height: h, pixels };
  }

  #decoderSlotOf({ width, height }: { width: number; height: number }): number {
    const size = `${width}x${height}`;
    const slot = this.#decoderSlots.get(size);
    if (slot !== undefined) return slot;
    const next = FIRST_DECODER_SLOT + this.#decoderSlots.size;
    this.#decoderSlots.set(size, next);
    return next;
  }
}

function keyOf(row: number, slot: number): string {
  return `${slot}:${row}`;
}
