/**
 * What the page knows of a recording: its manifest, step data and chunks.
 *
 * One per model, shared by its views. Filled by messages, from a kernel or from an
 * HTML export; asks for nothing itself (feed.ts does).
 */

import {
  type Arrangement,
  manifestOf,
  placeOf,
  slotOf,
  sourcesOf,
  stepsOf,
} from "./arrangement.ts";
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

/** An arrangement as views see it; `cameras`: of each slot its lane and camera. */
interface Arranged {
  arrangement: Arrangement;
  manifest: Manifest;
  steps: Steps;
  cameras: (readonly [lane: number, camera: string])[];
}

export class Store {
  /** What was recorded, however it is arranged now. */
  recorded: { manifest: Manifest | null; steps: Steps } = {
    manifest: null,
    steps: new Steps(0),
  };
  #arranged: Arranged | null = null;
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

  /** What is shown: the recording's, or those of an arrangement. */
  get manifest(): Manifest | null {
    return this.#arranged?.manifest ?? this.recorded.manifest;
  }

  get steps(): Steps {
    return this.#arranged?.steps ?? this.recorded.steps;
  }

  get arrangement(): Arrangement | null {
    return this.#arranged?.arrangement ?? null;
  }

  /** Show rows and envs arranged anew; null: as they were recorded. */
  arrange(arrangement: Arrangement | null): void {
    const { manifest, steps } = this.recorded;
    this.#arranged = arrangement &&
      manifest && {
        arrangement,
        manifest: manifestOf(arrangement, manifest),
        steps: stepsOf(arrangement, steps),
        cameras: sourcesOf(arrangement, manifest).map(
          ([lane, slot]) => [lane, manifest.slots[slot]!.camera] as const,
        ),
      };
    this.onReset.emit();
    this.onManifest.emit();
  }

  /** The recorder's row and env of what an env shows in a row; null: nothing. */
  real(row: number, env: number): { row: number; env: number } | null {
    const { arrangement } = this;
    return arrangement ? placeOf(arrangement, row, env) : { row, env };
  }

  /** The recorder's row and slot of what a slot shows in a row; null: nothing. */
  placeOf(row: number, slot: number): { row: number; slot: number } | null {
    const arranged = this.#arranged;
    if (!arranged) return { row, slot };
    const [lane, camera] = arranged.cameras[slot] ?? [-1, ""];
    const place = placeOf(arranged.arrangement, row, lane);
    if (!place) return null;
    const found = slotOf(this.recorded.manifest!, place.env, camera);
    return found < 0 ? null : { row: place.row, slot: found };
  }

  /** Rows that can be shown: first_row..num_rows. */
  get numRows(): number {
    return this.steps.numRows;
  }

  get firstRow(): number {
    return this.manifest?.first_row ?? 0;
  }

  get numBytes(): number {
    const arranged = this.#arranged?.steps.numBytes ?? 0;
    return this.chunks.numBytes + this.recorded.steps.numBytes + arranged;
  }

  setManifest(manifest: Manifest): void {
    if (manifest.protocol !== PROTOCOL) {
      throw new Error(
        `[rollout_viewer] the page speaks protocol ${PROTOCOL}, the kernel ` +
          `${manifest.protocol}: reload the page.`,
      );
    }
    const before = this.recorded.manifest;
    this.recorded.manifest = manifest;
    if (before?.session !== manifest.session || before.num_envs !== manifest.num_envs) {
      this.#arranged = null;
      this.recorded.steps = new Steps(manifest.num_envs);
      this.chunks.clear();
      this.onReset.emit();
    }
    this.recorded.steps.episodes.isLive = manifest.is_live;
    this.onManifest.emit();
  }

  /** Take a data message; returns false if step rows before it were lost. */
  addData(data: Data, buffers: WireBuffer[]): boolean {
    const { manifest, steps } = this.recorded;
    if (!manifest) return false;
    this.kernelBytes = data.kernel_nbytes ?? 0;
    this.diskBytes = data.picture_nbytes ?? 0;
    for (const chunk of parseChunks(buffers[4] ?? new ArrayBuffer(0)))
      this.chunks.add(chunk);
    const isWhole = data.count === 0 || data.start <= steps.numRows;
    if (isWhole && data.count)
      steps.append(parseSteps(data, manifest.num_envs, buffers));
    this.onData.emit();
    return isWhole;
  }

  /** Whether a slot's record of a row is here; what shows nothing needs none. */
  has(row: number, slot: number): boolean {
    const place = this.placeOf(row, slot);
    return !place || this.chunks.has(place.row, place.slot);
  }

  /** Whether the picture before is shown again because none was delivered. */
  isLate(row: number, slot: number): boolean {
    const place = this.placeOf(row, slot);
    return place !== null && this.chunks.isLate(place.row, place.slot);
  }

  /** Blocks that are not here, for a row of these slots and some blocks after it. */
  missingFrom(
    row: number,
    slots: readonly number[],
    numAhead: number,
  ): [block: number, slot: number, have: number][] {
    const last = Math.floor((this.recorded.steps.numRows - 1) / CHUNK_ROWS);
    const ahead = Array.from({ length: numAhead + 1 }, (_, n) => n);
    if (!this.#arranged) {
      const block = Math.floor(row / CHUNK_ROWS);
      const blocks = ahead
        .map((n) => block + n)
        .filter((n) => n === block || n <= last);
      return this.missing(blocks, slots);
    }
    const found = new Map<string, [number, number, number]>();
    for (const n of ahead)
      for (const slot of slots) {
        const shown = Math.min(row + n * CHUNK_ROWS, this.numRows - 1);
        const place = this.placeOf(shown, slot);
        if (!place) continue;
        const block = Math.floor(place.row / CHUNK_ROWS);
        for (const one of this.missing([block], [place.slot]))
          found.set(`${block}:${place.slot}`, one);
      }
    return [...found.values()];
  }

  /** Whether the records of a row are here, of all these slots. */
  hasRow(row: number, slots: readonly number[]): boolean {
    return slots.every((slot) => this.has(row, slot));
  }

  /** Blocks of these slots that are not here, or not whole, in the order given. */
  missing(
    blocks: readonly number[],
    slots: readonly number[],
  ): [block: number, slot: number, have: number][] {
    const found: [number, number, number][] = [];
    for (const block of blocks) {
      const numRows = this.recorded.steps.numRows;
      const count = Math.min(numRows - block * CHUNK_ROWS, CHUNK_ROWS);
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
    if (this.#arranged) return this.#bufferedRows(slots);
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

  /** As `buffered`, in steps of some rows: what is arranged has no blocks. */
  #bufferedRows(slots: readonly number[]): [number, number][] {
    const runs: [number, number][] = [];
    const step = Math.max(1, Math.ceil(this.numRows / 512));
    for (let row = 0; row < this.numRows; row += step) {
      if (!this.hasRow(row, slots)) continue;
      const stop = Math.min(row + step, this.numRows);
      const last = runs.at(-1);
      if (last?.[1] === row) last[1] = stop;
      else runs.push([row, stop]);
    }
    return runs;
  }
}
