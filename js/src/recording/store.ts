/**
 * What the page knows of a recording: its manifest, step data and chunks.
 *
 * One per model, shared by its views. Filled by messages, from a kernel or from an
 * HTML export; asks for nothing itself (session/feed.ts does).
 */

import {
  CHUNK_ROWS,
  type DataMessage,
  type Manifest,
  PROTOCOL,
  type WireBuffer,
} from "../protocol/messages.ts";
import { parseChunks, parseSteps } from "../protocol/parse.ts";
import { Emitter } from "../util/emitter.ts";
import { ArrangedStore } from "./arranged-store.ts";
import { type Arrangement, recordedAt } from "./arrangement.ts";
import { ChunkCache, type ChunkGap } from "./chunk-cache.ts";
import { Steps } from "./steps.ts";
import { type Recording, Tiles } from "./tiles.ts";

/** Chunks kept in the page; what does not fit is asked for again. */
export const CHUNK_BUDGET_BYTES = 256 * 1024 * 1024;

export class Store {
  /** What was recorded, however it is arranged now. */
  readonly recorded: Recording = {
    manifest: null,
    steps: new Steps(0),
  };
  #tiles: Tiles | null = null;
  #arranged: ArrangedStore | null = null;
  /** Bytes in the kernel's memory and on its disk, as last reported; 0: none. */
  kernelBytes = 0;
  diskBytes = 0;
  readonly chunks: ChunkCache;
  /** A manifest came: slots, title, fps or whether it is live may have changed. */
  readonly onManifest = new Emitter();
  /** Rows or pictures came. */
  readonly onData = new Emitter();
  /** Another recording replaced the one before, or it was arranged anew. */
  readonly onReset = new Emitter();

  constructor(budgetBytes = CHUNK_BUDGET_BYTES) {
    this.chunks = new ChunkCache(budgetBytes);
  }

  /** What is shown, a slot for each tile: the recording's, or an arrangement's. */
  get manifest(): Manifest | null {
    return this.#arranged?.manifest ?? this.#tiles?.manifest ?? null;
  }

  get steps(): Steps {
    return this.#arranged?.steps ?? this.recorded.steps;
  }

  get arrangement(): Arrangement | null {
    return this.#arranged?.arrangement ?? null;
  }

  /** Show rows and envs arranged anew; null: as they were recorded. */
  arrange(arrangement: Arrangement | null): void {
    const tiles = this.#tiles;
    this.#arranged =
      arrangement && tiles
        ? new ArrangedStore(arrangement, this.recorded, tiles, this.chunks)
        : null;
    this.onReset.emit();
    this.onManifest.emit();
  }

  /** The recorder's row and env of what an env shows in a row; null: nothing. */
  recordedAt(row: number, env: number): { row: number; env: number } | null {
    const { arrangement } = this;
    return arrangement ? recordedAt(arrangement, row, env) : { row, env };
  }

  /** The recorder's row and slot of what a slot shows in a row; null: nothing. */
  recordedSlotAt(row: number, slot: number): { row: number; slot: number } | null {
    if (this.#arranged) return this.#arranged.recordedSlotAt(row, slot);
    return { row, slot: this.#tiles?.slotAt(row, slot) ?? slot };
  }

  /** The recorder's slot of an env's picture in one of the recorder's rows; -1: none. */
  recordedSlotOf(row: number, env: number): number {
    const tile = this.#tiles?.tileOf(env) ?? -1;
    return tile < 0 ? -1 : this.#tiles!.slotAt(row, tile);
  }

  /** Rows that can be shown: first_row..num_rows. */
  get numRows(): number {
    return this.steps.numRows;
  }

  /** Nothing came yet of rows that there may be. */
  get isAwaited(): boolean {
    const { manifest, steps } = this.recorded;
    return manifest?.num_rows !== 0 && !steps.numRows;
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
    this.#tiles = new Tiles(manifest, this.recorded, this.chunks);
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
  addData(data: DataMessage, buffers: WireBuffer[]): boolean {
    const { manifest, steps } = this.recorded;
    if (!manifest) return false;
    this.kernelBytes = data.kernel_nbytes ?? 0;
    this.diskBytes = data.picture_nbytes ?? 0;
    // All of it is parsed before any is kept: a message that was cut changes nothing.
    const chunks = parseChunks(buffers[4] ?? new ArrayBuffer(0));
    const rows = data.count ? parseSteps(data, manifest.num_envs, buffers) : null;
    const pending = new Set(data.pending?.map(([block, slot]) => `${block}:${slot}`));
    for (const chunk of chunks)
      this.chunks.add(chunk, pending.has(`${chunk.block}:${chunk.slot}`));
    const isWhole = !rows || rows.start <= steps.numRows;
    if (isWhole && rows) steps.append(rows);
    this.onData.emit();
    return isWhole;
  }

  /** Whether a slot's record of a row is here; what shows nothing needs none. */
  has(row: number, slot: number): boolean {
    const place = this.recordedSlotAt(row, slot);
    return !place || this.chunks.has(place.row, place.slot);
  }

  /** Why a picture cannot be rendered; "": it can, or is there. */
  whyNotReproducible(row: number, env: number): string {
    const place = this.recordedAt(row, env);
    const found = this.recorded.manifest?.not_reproducible?.find(
      ([of, start, stop]) =>
        of === place?.env && start <= place.row && place.row < stop,
    );
    return found?.[3] ?? "";
  }

  /** Whether an earlier row's picture is shown again, because there is none of this. */
  isRepeated(row: number, slot: number): boolean {
    const place = this.recordedSlotAt(row, slot);
    return place !== null && this.chunks.isRepeated(place.row, place.slot);
  }

  /** Whether the records of a row are here, of all these slots. */
  hasRow(row: number, slots: readonly number[]): boolean {
    return slots.every((slot) => this.has(row, slot));
  }

  /** Blocks that are missing for a row of these slots and `numAhead` blocks after it. */
  missingFrom(row: number, slots: readonly number[], numAhead: number): ChunkGap[] {
    if (this.#arranged) return this.#arranged.missingFrom(row, slots, numAhead);
    const { numRows } = this.recorded.steps;
    const block = Math.floor(row / CHUNK_ROWS);
    const last = Math.floor((numRows - 1) / CHUNK_ROWS);
    const blocks = Array.from({ length: numAhead + 1 }, (_, n) => block + n);
    const known = blocks.filter((n) => n === block || n <= last);
    return this.#tiles?.missing(known, slots, numRows) ?? [];
  }

  /** Runs of rows whose pictures are all here, as [start, stop]. */
  buffered(slots: readonly number[]): [number, number][] {
    if (this.#arranged) return this.#arranged.buffered(slots);
    const runs: [number, number][] = [];
    for (
      let block = Math.floor(this.firstRow / CHUNK_ROWS);
      block * CHUNK_ROWS < this.numRows;
      block++
    ) {
      const start = Math.max(this.firstRow, block * CHUNK_ROWS);
      const have = slots.reduce(
        (least, slot) => Math.min(least, this.#tiles?.have(block, slot) ?? 0),
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
