/**
 * A recording seen through an arrangement: its step data, manifest and slots, as if it
 * had been recorded in that order.
 *
 * Holds no pictures: they stay in the chunk cache of the recording.
 */

import {
  CHUNK_ROWS,
  IDLE,
  type Manifest,
  NAN_REWARD,
  RESET,
  type Slot,
  type StepRows,
} from "../protocol/messages.ts";
import { type Arrangement, type Lane, recordedAt } from "./arrangement.ts";
import type { ChunkCache, ChunkGap } from "./chunk-cache.ts";
import { Steps } from "./steps.ts";
import { largest, type Recording, type Tiles } from "./tiles.ts";

export class ArrangedStore {
  readonly arrangement: Arrangement;
  readonly manifest: Manifest;
  readonly steps: Steps;
  readonly #recorded: Recording;
  readonly #tiles: Tiles;
  readonly #chunks: ChunkCache;
  /** Of each slot its lane and camera. */
  readonly #cameras: (readonly [lane: number, camera: string])[];

  constructor(
    arrangement: Arrangement,
    recorded: Recording,
    tiles: Tiles,
    chunks: ChunkCache,
  ) {
    this.arrangement = arrangement;
    this.manifest = arrangedManifest(arrangement, tiles);
    this.steps = arrangedSteps(arrangement, recorded.steps);
    this.#recorded = recorded;
    this.#tiles = tiles;
    this.#chunks = chunks;
    this.#cameras = arrangedSlots(arrangement, tiles).map(
      ([lane, slot]) => [lane, slot.camera] as const,
    );
  }

  /** The recorder's row and slot of what a slot shows in a row; null: nothing. */
  recordedSlotAt(row: number, slot: number): { row: number; slot: number } | null {
    const place = this.#placeOf(row, slot);
    return place && { row: place.row, slot: this.#tiles.slotAt(place.row, place.tile) };
  }

  /** The recorder's row and tile of what a slot shows in a row; null: nothing. */
  #placeOf(row: number, slot: number): { row: number; tile: number } | null {
    const [lane, camera] = this.#cameras[slot] ?? [-1, ""];
    const place = recordedAt(this.arrangement, row, lane);
    if (!place) return null;
    const tile = this.#tiles.tileOf(place.env, camera);
    return tile < 0 ? null : { row: place.row, tile };
  }

  /** Blocks that are missing for a row of these slots and `numAhead` blocks after it. */
  missingFrom(row: number, slots: readonly number[], numAhead: number): ChunkGap[] {
    const numRecorded = this.#recorded.steps.numRows;
    const found = new Map<string, ChunkGap>();
    for (let n = 0; n <= numAhead; n++)
      for (const slot of slots) {
        const shown = Math.min(row + n * CHUNK_ROWS, this.steps.numRows - 1);
        const place = this.#placeOf(shown, slot);
        if (!place) continue;
        const block = Math.floor(place.row / CHUNK_ROWS);
        for (const one of this.#tiles.missing([block], [place.tile], numRecorded))
          found.set(`${block}:${one[1]}`, one);
      }
    return [...found.values()];
  }

  /** Runs of rows whose pictures are all here, looked up every few rows. */
  buffered(slots: readonly number[]): [number, number][] {
    const runs: [number, number][] = [];
    const { numRows } = this.steps;
    const step = Math.max(1, Math.ceil(numRows / 512));
    for (let row = 0; row < numRows; row += step) {
      const isHere = slots.every((slot) => {
        const place = this.recordedSlotAt(row, slot);
        return !place || this.#chunks.has(place.row, place.slot);
      });
      if (!isHere) continue;
      const stop = Math.min(row + step, numRows);
      const last = runs.at(-1);
      if (last?.[1] === row) last[1] = stop;
      else runs.push([row, stop]);
    }
    return runs;
  }
}

/** The step data of an arrangement, as if it had been recorded so. */
export function arrangedSteps({ lanes, numRows }: Arrangement, from: Steps): Steps {
  const n = lanes.length;
  const rows: StepRows = {
    start: 0,
    count: numRows,
    kinds: new Uint8Array(numRows * n).fill(IDLE),
    ends: new Uint8Array(numRows * n),
    rewards: new Float64Array(numRows * n).fill(Number.NaN),
    envSteps: new Uint32Array(numRows * n),
  };
  const steps = new Steps(n);
  for (const [lane, { parts }] of lanes.entries()) {
    steps.number(
      lane,
      parts.filter((part) => !part.into).map((part) => part.index),
    );
    for (const { at, env, start, stop, into } of parts) {
      for (let row = start; row < stop; row++) {
        const index = (at + row - start) * n + lane;
        const moment = from.at(row, env);
        // One whose reset was skipped begins here all the same.
        rows.kinds[index] = row === start && !into ? RESET : moment.kind;
        rows.ends[index] = moment.ends | (moment.isNan ? NAN_REWARD : 0);
        rows.rewards[index] = moment.reward;
        rows.envSteps[index] = moment.envStep;
      }
    }
  }
  steps.append(rows);
  for (const [lane, { parts }] of lanes.entries())
    for (const { env, index } of parts)
      steps.episodes.describe(lane, index, from.episodes.info(env, index));
  return steps;
}

/** The manifest of an arrangement: a slot for each lane and camera. */
export function arrangedManifest(arrangement: Arrangement, tiles: Tiles): Manifest {
  const { lanes, kind, columns } = arrangement;
  const real = tiles.manifest;
  return {
    ...real,
    first_row: 0,
    num_rows: arrangement.numRows,
    num_envs: lanes.length,
    slots: arrangedSlots(arrangement, tiles).map(([lane, slot]) => ({
      ...slot,
      env: lane,
      shared: false,
    })),
    columns: kind === "episodes" ? real.columns : columns,
    ...(kind === "episodes" ? {} : { groups: [], names: lanes.map(nameOf) }),
    is_live: false,
    segments: [],
  };
}

/** For each slot of an arrangement its lane, and camera and size of its pictures. */
export function arrangedSlots(
  { lanes }: Arrangement,
  tiles: Tiles,
): [lane: number, slot: Slot][] {
  const { slots } = tiles.manifest;
  const cameras = [...new Set(slots.map((slot) => slot.camera))];
  return lanes.flatMap(({ parts }, lane) =>
    cameras.flatMap((camera) => {
      const envs = [...new Set(parts.map(({ env }) => env))];
      const found = (envs.length ? envs : [0])
        .map((env) => slots[tiles.tileOf(env, camera)])
        .filter((slot) => slot !== undefined);
      return found.length ? [[lane, largest(found)] as [number, Slot]] : [];
    }),
  );
}

function nameOf({ name }: Lane, number: number): [string, string | number] {
  return name ?? ["env", number];
}
