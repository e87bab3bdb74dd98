/**
 * Step data of every row, and what follows from it: episodes and returns.
 *
 * The rule of rollout_viewer/_recording/rows.py: an episode begins at a reset, or at a
 * step while none runs; it ends with its end, before the next one begins, or before
 * rows that are damaged in the file. Grows by doubling, so that views handed out earlier
 * stay right for the rows they had.
 */

import {
  DAMAGED,
  IDLE,
  NAN_REWARD,
  RESET,
  STEP,
  type StepRows,
  TERMINAL_MISSING,
  TERMINATED,
  TRUNCATED,
} from "../protocol/messages.ts";
import { Episodes } from "./episodes.ts";

/** What one env is in one row. */
export interface Moment {
  kind: number;
  ends: number;
  reward: number;
  envStep: number;
  /** Counts the env's episodes from 0; -1 between episodes. */
  episode: number;
  /** Total reward of the episode so far; NaN between episodes. */
  total: number;
  /** The reward of this step is NaN, and not only missing. */
  isNan: boolean;
  /** Rewards of the episode so far that are NaN, and not in the total. */
  numNan: number;
  /** Ends of this row; between episodes those of the one before. */
  outcome: number;
}

export class Steps {
  readonly numEnvs: number;
  readonly episodes: Episodes;
  numRows = 0;
  /** Rows in which any env's episode ended, ascending. */
  readonly endRows: number[] = [];
  #capacity = 0;
  #kinds = new Uint8Array(0);
  #ends = new Uint8Array(0);
  #rewards = new Float64Array(0);
  #envSteps = new Uint32Array(0);
  #episodes = new Int32Array(0);
  #totals = new Float64Array(0);
  #outcomes = new Uint8Array(0);
  #isNan = new Uint8Array(0);
  #numNans = new Int32Array(0);
  #meanReward = new Float64Array(0);
  #meanTotal = new Float64Array(0);
  #anyEnds = new Uint8Array(0);
  // Per env: whether an episode runs, its number, its total so far, how one ended.
  readonly #isRunning: Uint8Array;
  readonly #episode: Int32Array;
  readonly #total: Float64Array;
  readonly #outcome: Uint8Array;
  readonly #numNan: Int32Array;
  readonly #numbers: number[][] = [];

  constructor(numEnvs: number) {
    this.numEnvs = numEnvs;
    this.episodes = new Episodes(numEnvs);
    this.#isRunning = new Uint8Array(numEnvs);
    this.#episode = new Int32Array(numEnvs).fill(-1);
    this.#total = new Float64Array(numEnvs);
    this.#outcome = new Uint8Array(numEnvs);
    this.#numNan = new Int32Array(numEnvs);
  }

  /** Say what the env's episodes that will come are numbered; before `append`. */
  number(env: number, indices: number[]): void {
    this.#numbers[env] = indices;
  }

  /** Take rows in; those that are here already are passed over. Throws on a gap. */
  append(rows: StepRows): void {
    if (rows.start > this.numRows) {
      throw new Error(
        `[rollout_viewer] expected step rows from ${this.numRows} on, got ${rows.start}`,
      );
    }
    const stop = rows.start + rows.count;
    if (stop <= this.numRows) return;
    this.#makeRoom(stop);
    const n = this.numEnvs;
    const skip = (this.numRows - rows.start) * n;
    const at = this.numRows * n;
    this.#kinds.set(rows.kinds.subarray(skip), at);
    for (const [i, flags] of rows.ends.subarray(skip).entries()) {
      this.#ends[at + i] = flags & (TERMINATED | TRUNCATED);
      this.#isNan[at + i] = flags & NAN_REWARD ? 1 : 0;
    }
    this.#rewards.set(rows.rewards.subarray(skip), at);
    this.#envSteps.set(rows.envSteps.subarray(skip), at);
    for (let row = this.numRows; row < stop; row++) this.#follow(row);
    this.numRows = stop;
  }

  kindOf(row: number, env: number): number {
    return this.#kinds[row * this.numEnvs + env] as number;
  }

  at(row: number, env: number): Moment {
    const index = row * this.numEnvs + env;
    return {
      kind: this.#kinds[index] as number,
      ends: this.#ends[index] as number,
      reward: this.#rewards[index] as number,
      envStep: this.#envSteps[index] as number,
      episode: this.#episodes[index] as number,
      total: this.#totals[index] as number,
      outcome: this.#outcomes[index] as number,
      isNan: this.#isNan[index] === 1,
      numNan: this.#numNans[index] as number,
    };
  }

  /** Reward of an env, or the mean over all (env null), by row. NaN: there is none. */
  reward(env: number | null): (row: number) => number {
    return this.#column(this.#rewards, this.#meanReward, env);
  }

  /** Total reward so far in the episode, of an env or the mean over all. */
  total(env: number | null): (row: number) => number {
    return this.#column(this.#totals, this.#meanTotal, env);
  }

  /** Total reward of the episode that an env is in, or was in last; NaN: in none. */
  lastTotal(row: number, env: number): number {
    const n = this.numEnvs;
    let index = row * n + env;
    while (index >= n && (this.#episodes[index] as number) < 0) index -= n;
    return this.#totals[index] as number;
  }

  /** Ends of an env in a row, or those of all envs together. */
  ends(row: number, env: number | null): number {
    return (
      env === null ? this.#anyEnds[row] : this.#ends[row * this.numEnvs + env]
    ) as number;
  }

  /** The next row after `row` (or before it) with an end of `env`; null: none. */
  findEnd(row: number, direction: 1 | -1, env: number | null): number | null {
    const rows = this.endRows;
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((rows[middle] as number) < row + (direction > 0 ? 1 : 0)) low = middle + 1;
      else high = middle;
    }
    for (
      let i = direction > 0 ? low : low - 1;
      i >= 0 && i < rows.length;
      i += direction
    )
      if (this.ends(rows[i] as number, env)) return rows[i] as number;
    return null;
  }

  /** Row of a step of an episode; of a skipped step, the next one. null: none. */
  find(env: number, episode: number, step: number): number | null {
    const number = this.episodes.numberOf(env, episode);
    if (number === null) return null;
    const { start, stop } = this.episodes.at(number);
    const n = this.numEnvs;
    for (let row = start, index = row * n + env; row < stop; row++, index += n)
      if ((this.#envSteps[index] as number) >= step) return row;
    return null;
  }

  /** Rows of the episode that an env is in, as far as they came; null: in none. */
  episodeAt(row: number, env: number): [start: number, stop: number] | null {
    const here = row < this.numRows ? this.at(row, env).episode : -1;
    const number = this.episodes.numberOf(env, here);
    if (number === null) return null;
    const { start, stop } = this.episodes.at(number);
    return [start, stop];
  }

  get numBytes(): number {
    return this.#capacity * (this.numEnvs * 32 + 17);
  }

  #column(
    all: Float64Array,
    mean: Float64Array,
    env: number | null,
  ): (row: number) => number {
    const n = this.numEnvs;
    return env === null
      ? (row) => mean[row] as number
      : (row) => all[row * n + env] as number;
  }

  #follow(row: number): void {
    const n = this.numEnvs;
    let [sumReward, numReward, sumTotal, numTotal, anyEnds] = [0, 0, 0, 0, 0];
    for (let env = 0; env < n; env++) {
      const index = row * n + env;
      const kind = this.#kinds[index];
      const ends = this.#ends[index] as number;
      const reward = this.#rewards[index] as number;
      const isStep = kind === STEP || kind === TERMINAL_MISSING;
      if (kind === RESET || (isStep && !this.#isRunning[env])) {
        this.#isRunning[env] = 1;
        this.#episode[env] = this.#numbers[env]?.shift() ?? this.#episode[env]! + 1;
        this.#total[env] = this.#numNan[env] = 0;
        this.episodes.begin(env, row, this.#episode[env]);
      }
      if (kind === DAMAGED) {
        // How the episode went on is not known; what follows is another one.
        this.#isRunning[env] = 0;
        this.#outcome[env] = 0;
        this.episodes.end(env, 0);
      }
      if (ends || this.#isRunning[env]) this.#outcome[env] = ends;
      this.#outcomes[index] = this.#outcome[env] as number;
      if (this.#isRunning[env]) {
        if (!Number.isNaN(reward)) this.#total[env]! += reward;
        this.#episodes[index] = this.#episode[env] as number;
        this.#totals[index] = this.#total[env] as number;
        const step = this.#envSteps[index] as number;
        const numNan = this.#numNan[env]! + this.#isNan[index]!;
        this.#numNans[index] = this.#numNan[env] = numNan;
        const total = this.#total[env] as number;
        this.episodes.grow(env, row, step, total, numNan, kind === IDLE);
        sumTotal += this.#total[env] as number;
        numTotal++;
      } else {
        this.#episodes[index] = -1;
        this.#totals[index] = Number.NaN;
      }
      if (!Number.isNaN(reward)) {
        sumReward += reward;
        numReward++;
      }
      anyEnds |= ends;
      if (ends) {
        this.#isRunning[env] = 0;
        this.episodes.end(env, ends);
      }
    }
    this.#meanReward[row] = numReward ? sumReward / numReward : Number.NaN;
    this.#meanTotal[row] = numTotal ? sumTotal / numTotal : Number.NaN;
    this.#anyEnds[row] = anyEnds;
    if (anyEnds) this.endRows.push(row);
  }

  #makeRoom(numRows: number): void {
    if (numRows <= this.#capacity) return;
    const capacity = Math.max(2 * this.#capacity, numRows, 64);
    const n = this.numEnvs;
    const grow = <T extends Uint8Array | Float64Array | Uint32Array | Int32Array>(
      old: T,
      width: number,
    ): T => {
      const fresh = new (old.constructor as new (size: number) => T)(capacity * width);
      fresh.set(old as never);
      return fresh;
    };
    this.#kinds = grow(this.#kinds, n);
    this.#ends = grow(this.#ends, n);
    this.#rewards = grow(this.#rewards, n);
    this.#envSteps = grow(this.#envSteps, n);
    this.#episodes = grow(this.#episodes, n);
    this.#totals = grow(this.#totals, n);
    this.#outcomes = grow(this.#outcomes, n);
    this.#isNan = grow(this.#isNan, n);
    this.#numNans = grow(this.#numNans, n);
    this.#meanReward = grow(this.#meanReward, 1);
    this.#meanTotal = grow(this.#meanTotal, 1);
    this.#anyEnds = grow(this.#anyEnds, 1);
    this.#capacity = capacity;
  }
}
