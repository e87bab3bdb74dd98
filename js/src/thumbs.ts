/**
 * Small pictures of single rows, of what is in the page; never asks the kernel.
 *
 * A decoder of their own: the player's holds what it shows. Each is decoded from the
 * start of its chunk, one after the other, the newest wish first.
 */

import type { Decoding } from "./farm.ts";
import { reducedSize } from "./pixels.ts";
import { NOTHING, plan } from "./plan.ts";
import { CHUNK_ROWS } from "./protocol.ts";
import type { Store } from "./store.ts";

export interface Thumb {
  width: number;
  height: number;
  pixels: Uint8ClampedArray<ArrayBuffer>;
}

const KEPT = 400;
const WAITING = 64;

export class Thumbs {
  readonly #store: Store;
  readonly #farm: Decoding;
  readonly #height: number;
  readonly #kept = new Map<string, Thumb | null>();
  #wanted: { key: string; row: number; slot: number; tell: () => void }[] = [];
  #isBusy = false;
  /** One decoder's frame for each size of picture. */
  readonly #sizes = new Map<string, number>();

  constructor(store: Store, farm: Decoding, height: number) {
    this.#store = store;
    this.#farm = farm;
    this.#height = height;
  }

  /** The picture, if it is ready; else `tell` is called when it is. null: none. */
  get(row: number, slot: number, tell: () => void): Thumb | null | undefined {
    const key = `${slot}:${row}`;
    if (this.#kept.has(key)) return this.#kept.get(key);
    if (!this.#store.chunks.has(row, slot)) return undefined;
    if (!this.#wanted.some((one) => one.key === key)) {
      this.#wanted.push({ key, row, slot, tell });
      if (this.#wanted.length > WAITING) this.#wanted.shift();
    }
    void this.#work();
    return undefined;
  }

  clear(): void {
    this.#kept.clear();
    this.#wanted = [];
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let next = this.#wanted.pop(); next; next = this.#wanted.pop()) {
      const { key, row, slot, tell } = next;
      const thumb = await this.#make(row, slot).catch(() => null);
      if (thumb === undefined) continue; // its chunk went meanwhile
      this.#kept.set(key, thumb);
      if (this.#kept.size > KEPT) this.#kept.delete(this.#kept.keys().next().value!);
      tell();
    }
    this.#isBusy = false;
  }

  async #make(row: number, slot: number): Promise<Thumb | null | undefined> {
    const { chunks, manifest } = this.#store;
    const chunk = chunks.use(Math.floor(row / CHUNK_ROWS), slot);
    const info = manifest?.slots[slot];
    if (!chunk || !info) return undefined;
    if (!chunks.hasPicture(row, slot)) return null;
    const { width, height } = info;
    const size = `${width}x${height}`;
    if (!this.#sizes.has(size)) this.#sizes.set(size, this.#sizes.size);
    const reduction = Math.max(1, Math.floor(height / this.#height));
    const { ops } = plan(chunk, row % CHUNK_ROWS, NOTHING);
    const part = { slot: this.#sizes.get(size)!, width, height, reduction };
    const [picture] = await this.#farm.run([{ ...part, isFull: true, ops }]);
    const [w, h] = [reducedSize(width, reduction), reducedSize(height, reduction)];
    const pixels = new Uint8ClampedArray(picture!.pixels.slice(0, w * h * 4));
    this.#farm.recycle(picture!);
    return { width: w, height: h, pixels };
  }
}
