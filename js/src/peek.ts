/**
 * One small picture of any row, beside what is shown: for thumbnails.
 *
 * Decoded only from what is in the page, by the workers of the grid, under a slot
 * number of its own. Asks nobody.
 */

import type { Decoding } from "./farm.ts";
import { NOTHING, plan } from "./plan.ts";
import { CHUNK_ROWS } from "./protocol.ts";
import type { Store } from "./store.ts";

/** Beyond every slot that a recording has. */
const PEEK_SLOT = 1 << 24;

export interface Peeked {
  pixels: Uint8ClampedArray<ArrayBuffer>;
  width: number;
  height: number;
}

export class Peek {
  readonly #store: Store;
  readonly #farm: Decoding;
  #isBusy = false;
  #next: (() => void) | null = null;

  constructor(store: Store, farm: Decoding) {
    this.#store = store;
    this.#farm = farm;
  }

  /**
   * Show a picture at most about `width` pixels wide; null: none is in the page.
   *
   * While one is decoded only the newest request waits; the others are never shown.
   */
  show(
    row: number,
    slot: number,
    width: number,
    then: (picture: Peeked | null) => void,
  ): void {
    if (this.#isBusy) {
      this.#next = () => this.show(row, slot, width, then);
      return;
    }
    this.#isBusy = true;
    this.#decode(row, slot, width)
      .catch(() => null) // the grid says what cannot be decoded
      .then((picture) => {
        this.#isBusy = false;
        const next = this.#next;
        this.#next = null;
        if (next) next();
        else then(picture);
      });
  }

  async #decode(row: number, slot: number, target: number): Promise<Peeked | null> {
    const { chunks, manifest } = this.#store;
    const size = manifest?.slots[slot];
    const at = this.#store.placeOf(row, slot);
    const chunk = at && chunks.use(Math.floor(at.row / CHUNK_ROWS), at.slot);
    if (!size || !chunk || !chunks.hasPicture(at.row, at.slot)) return null;
    const { ops } = plan(chunk, at.row % CHUNK_ROWS, NOTHING);
    const { width, height } = size;
    const reduction = Math.max(1, Math.round(width / target));
    const task = { slot: PEEK_SLOT, width, height, reduction, isFull: true, ops };
    const [picture] = await this.#farm.run([task]);
    const patch = picture?.patches[0];
    if (!picture || !patch) return null;
    const numBytes = patch.width * patch.height * 4;
    const pixels = new Uint8ClampedArray(picture.pixels.slice(0, numBytes));
    this.#farm.recycle(picture);
    return { pixels, width: patch.width, height: patch.height };
  }
}
