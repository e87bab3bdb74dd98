/**
 * The tiles of a recording: one for each env and camera.
 *
 * Where its pictures have several sizes, the recording has a slot for each of them, and
 * at most one of them shows anything in a row. The tile is as large as the largest.
 */

import {
  CHUNK_ROWS,
  type Manifest,
  type Slot,
  TERMINAL_MISSING,
} from "../protocol/messages.ts";
import type { ChunkCache, ChunkGap } from "./chunk-cache.ts";
import type { Steps } from "./steps.ts";

/** What was recorded, filled by messages. */
export interface Recording {
  manifest: Manifest | null;
  steps: Steps;
}

export class Tiles {
  /** The recording's, with a slot for each tile; the same object where no size changes. */
  readonly manifest: Manifest;
  readonly #recorded: Recording;
  readonly #chunks: ChunkCache;
  /** Of each tile the slots of the recording. */
  readonly #slots: readonly (readonly number[])[];

  constructor(manifest: Manifest, recorded: Recording, chunks: ChunkCache) {
    this.#recorded = recorded;
    this.#chunks = chunks;
    this.#slots = slotsOfTiles(manifest.slots);
    const isPlain = this.#slots.length === manifest.slots.length;
    const slots = this.#slots.map((ofTile) =>
      largest(ofTile.map((slot) => manifest.slots[slot]!)),
    );
    this.manifest = isPlain ? manifest : { ...manifest, slots };
  }

  /** The slot of the recording that a tile shows in one of its rows. */
  slotAt(row: number, tile: number): number {
    const slots = this.#slots[tile]!;
    if (slots.length === 1) return slots[0]!;
    let [here, missing] = [-1, -1];
    for (const slot of slots) {
      const hasPicture = this.#chunks.hasPicture(row, slot);
      if (hasPicture) return slot;
      if (hasPicture === undefined) missing = missing < 0 ? slot : missing;
      else here = here < 0 ? slot : here;
    }
    // Of a terminal picture that the env did not have, no slot has anything.
    return here >= 0 && (missing < 0 || this.#isTerminalMissing(row, tile))
      ? here
      : missing;
  }

  #isTerminalMissing(row: number, tile: number): boolean {
    const { env, shared } = this.manifest.slots[tile]!;
    return !shared && this.#recorded.steps.kindOf(row, env) === TERMINAL_MISSING;
  }

  /** How many rows of a block a tile can show, from its first on, or knows as empty. */
  have(block: number, tile: number): number {
    const slots = this.#slots[tile]!;
    if (slots.length === 1) return this.#chunks.have(block, slots[0]!);
    let [shown, ofAll, ofAny] = [0, CHUNK_ROWS, 0];
    for (const slot of slots) {
      const have = this.#chunks.have(block, slot);
      shown |= this.#chunks.shown(block, slot);
      [ofAll, ofAny] = [Math.min(ofAll, have), Math.max(ofAny, have)];
    }
    let count = ofAll;
    while (
      count < ofAny &&
      ((shown >>> count) & 1 ||
        this.#isTerminalMissing(block * CHUNK_ROWS + count, tile))
    )
      count++;
    return count;
  }

  /** Blocks of these tiles that are not here, or not whole, of a recording so long. */
  missing(
    blocks: readonly number[],
    tiles: readonly number[],
    numRows: number,
  ): ChunkGap[] {
    return blocks.flatMap((block) => {
      const count = Math.min(numRows - block * CHUNK_ROWS, CHUNK_ROWS);
      return tiles
        .filter((tile) => this.have(block, tile) < count)
        .flatMap((tile) => this.#chunks.missing([block], this.#slots[tile]!, numRows));
    });
  }

  /** The tile of an env's picture; one that shows all envs is everyone's. -1: none. */
  tileOf(env: number, camera?: string): number {
    return this.manifest.slots.findIndex(
      (slot) =>
        (camera === undefined || slot.camera === camera) &&
        (slot.env === env || slot.shared),
    );
  }
}

function slotsOfTiles(slots: readonly Slot[]): number[][] {
  const found = new Map<string, number[]>();
  for (const [number, { env, camera }] of slots.entries()) {
    const key = `${env}:${camera}`;
    const tile = found.get(key);
    if (tile) tile.push(number);
    else found.set(key, [number]);
  }
  return [...found.values()];
}

/** The first of some slots, in a size that holds the pictures of all. */
export function largest(slots: readonly Slot[]): Slot {
  return {
    ...slots[0]!,
    height: Math.max(...slots.map(({ height }) => height)),
    width: Math.max(...slots.map(({ width }) => width)),
  };
}
