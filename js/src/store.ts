/**
 * What the page knows of a recording: its manifest, step data and chunks.
 *
 * One per model, shared by its views. Filled by messages, from a kernel or from an
 * HTML export; asks for nothing itself (feed.ts does).
 */

import { Chunks } from "./chunks.ts";
import { Emitter } from "./emitter.ts";
import {
  CHUNK_ROWS,
  type Data,
  type Manifest,
  PROTOCOL,
  parseChunks,
  parseSteps,
  type WireBuffer,
} from "./protocol.ts";
import { Steps } from "./steps.ts";

/** Chunks kept in the page; what does not fit is asked for again. */
export const CHUNK_BUDGET_BYTES = 256 * 1024 * 1024;

export class Store {
  manifest: Manifest | null = null;
  steps = new Steps(0);
  /** Bytes in the kernel's memory and on its disk, as it told last; 0: none. */
  kernelBytes = 0;
  diskBytes = 0;
  readonly chunks: Chunks;
  /** A manifest came: slots, title, fps or whether it is live may have changed. */
  readonly onManifest = new Emitter();
  /** Rows or pictures came. */
  readonly onData = new Emitter();
  /** Another recording: everything before is gone. */
  readonly onReset = new Emitter();

  constructor(budgetBytes = CHUNK_BUDGET_BYTES) {
    this.chunks = new Chunks(budgetBytes);
  }

  /** Rows that can be shown: first_row..num_rows. */
  get numRows(): number {
    return this.steps.numRows;
  }

  get firstRow(): number {
    return this.manifest?.first_row ?? 0;
  }

  get numBytes(): number {
    return this.chunks.numBytes + this.steps.numBytes;
  }

  setManifest(manifest: Manifest): void {
    if (manifest.protocol !== PROTOCOL) {
      throw new Error(
        `[rollout_viewer] the page speaks protocol ${PROTOCOL}, the kernel ` +
          `${manifest.protocol}: reload the page.`,
      );
    }
    const before = this.manifest;
    this.manifest = manifest;
    if (before?.session !== manifest.session || before.num_envs !== manifest.num_envs) {
      this.steps = new Steps(manifest.num_envs);
      this.chunks.clear();
      this.onReset.emit();
    }
    this.steps.episodes.isLive = manifest.is_live;
    this.onManifest.emit();
  }

  /** Take a data message; returns false if step rows before it were lost. */
  addData(data: Data, buffers: WireBuffer[]): boolean {
    if (!this.manifest) return false;
    this.kernelBytes = data.kernel_nbytes ?? 0;
    this.diskBytes = data.picture_nbytes ?? 0;
    for (const chunk of parseChunks(buffers[4] ?? new ArrayBuffer(0)))
      this.chunks.add(chunk);
    const isWhole = data.count === 0 || data.start <= this.steps.numRows;
    if (isWhole && data.count)
      this.steps.append(parseSteps(data, this.manifest.num_envs, buffers));
    this.onData.emit();
    return isWhole;
  }

  /** Whether the records of a row are here, of all these slots. */
  hasRow(row: number, slots: readonly number[]): boolean {
    return slots.every((slot) => this.chunks.has(row, slot));
  }

  /** Blocks of these slots that are not here, or not whole, in the order given. */
  missing(
    blocks: readonly number[],
    slots: readonly number[],
  ): [block: number, slot: number, have: number][] {
    const found: [number, number, number][] = [];
    for (const block of blocks) {
      const count = Math.min(this.numRows - block * CHUNK_ROWS, CHUNK_ROWS);
      for (const slot of slots) {
        const have = this.chunks.have(block, slot);
        if (have < count) found.push([block, slot, have]);
      }
    }
    return found;
  }

  /** Runs of rows whose pictures are all here, as [start, stop]. */
  buffered(slots: readonly number[]): [number, number][] {
    const runs: [number, number][] = [];
    for (
      let block = Math.floor(this.firstRow / CHUNK_ROWS);
      block * CHUNK_ROWS < this.numRows;
      block++
    ) {
      const start = Math.max(this.firstRow, block * CHUNK_ROWS);
      const have = slots.reduce(
        (least, slot) => Math.min(least, this.chunks.have(block, slot)),
        CHUNK_ROWS,
      );
      const stop = Math.min(block * CHUNK_ROWS + have, this.numRows);
      const last = runs.at(-1);
      if (stop <= start) continue;
      if (last?.[1] === start) last[1] = stop;
      else runs.push([start, stop]);
    }
    return runs;
  }
}
