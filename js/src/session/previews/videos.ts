/** Previews in the page: encoded videos by block and slot, within a byte budget. */

import type { PreviewPiece } from "../../protocol/messages.ts";

/** A video of tiles side by side, as far as it came. */
export interface Video extends Omit<PreviewPiece, "first" | "sizes"> {
  /** Of each row. */
  packets: Uint8Array<ArrayBuffer>[];
  /** It does not decode, though its codec does. */
  isDamaged?: true;
}

/** The least recently used are dropped; the kernel encodes them again. */
const BUDGET_BYTES = 64 * 1024 * 1024;

export class Videos {
  readonly #of = new Map<string, Video>();
  readonly #all = new Map<number, Video>();
  readonly #budgetBytes: number;
  numBytes = 0;

  constructor(budgetBytes = BUDGET_BYTES) {
    this.#budgetBytes = budgetBytes;
  }

  /** Take rows of videos; those of which earlier rows were lost are passed over. */
  take(pieces: readonly PreviewPiece[], bytes: Uint8Array<ArrayBuffer>): void {
    let at = 0;
    for (const { first, sizes, ...piece } of pieces) {
      const packets = sizes.map((size) => {
        at += size;
        return bytes.slice(at - size, at);
      });
      const old = this.#all.get(piece.number);
      if (first !== (old?.packets.length ?? 0)) continue;
      const video = old ?? { ...piece, packets: [] };
      video.packets.push(...packets);
      video.shown = piece.shown;
      for (const packet of packets) this.numBytes += packet.length;
      this.#all.delete(video.number);
      this.#all.set(video.number, video);
      for (const slot of video.slots) this.#of.set(`${video.block}:${slot}`, video);
    }
    this.#evict();
  }

  /** The newest video of a slot in a block. */
  get(block: number, slot: number): Video | undefined {
    return this.#of.get(`${block}:${slot}`);
  }

  /** Drop all of a codec: they do not decode. */
  forget(codec: string): void {
    for (const video of this.#all.values())
      if (video.codec === codec) this.#drop(video);
  }

  clear(): void {
    this.#of.clear();
    this.#all.clear();
    this.numBytes = 0;
  }

  #evict(): void {
    for (const video of this.#all.values()) {
      if (this.numBytes <= this.#budgetBytes || this.#all.size === 1) return;
      this.#drop(video);
    }
  }

  #drop(video: Video): void {
    this.#all.delete(video.number);
    for (const packet of video.packets) this.numBytes -= packet.length;
    for (const slot of video.slots)
      if (this.get(video.block, slot) === video)
        this.#of.delete(`${video.block}:${slot}`);
  }
}
