/**
 * All episodes of a recording as columns, and what is known of them beside their rows.
 *
 * Filled row by row by steps.ts; a hundred thousand of them cost some bytes each and
 * no object.
 */

import type { EpisodeInfo } from "../protocol/messages.ts";

/** One episode; `stop` is exclusive, as in Python. */
export interface Episode {
  env: number;
  index: number;
  start: number;
  stop: number;
  length: number;
  total: number;
  /** Rewards that are NaN, and not in the total. */
  numNan: number;
  /** 1 terminated | 2 truncated; 0: cut, or it still runs. */
  ends: number;
  isRunning: boolean;
  /** Rows of it in which its env was idle; undefined: none. */
  idle?: readonly number[] | undefined;
}

export class Episodes {
  count = 0;
  /** Whether the running ones may still grow. */
  isLive = true;
  /** Grows whenever something became known of an episode. */
  infoVersion = 0;
  env = new Int32Array(0);
  index = new Int32Array(0);
  start = new Int32Array(0);
  stop = new Int32Array(0);
  length = new Int32Array(0);
  total = new Float64Array(0);
  numNan = new Int32Array(0);
  ends = new Uint8Array(0);
  isRunning = new Uint8Array(0);
  readonly numEnvs: number;
  /** The numbers of each env's episodes, by index. */
  readonly #ofEnv: number[][];
  readonly #last: Int32Array;
  readonly #idle: number[][] = [];
  #numEmpty = 0;
  readonly #infos = new Map<number, EpisodeInfo>();
  /** Episodes whose success is known, and those of them that succeeded. */
  numJudged = 0;
  numSuccesses = 0;

  constructor(numEnvs: number) {
    this.numEnvs = numEnvs;
    this.#last = new Int32Array(numEnvs).fill(-1);
    this.#ofEnv = Array.from({ length: numEnvs }, () => []);
  }

  // -- filling

  /** Begin an env's episode; one of its own number where it is not the next. */
  begin(env: number, row: number, index = this.#ofEnv[env]!.length): void {
    this.end(env, 0);
    const number = this.count++;
    this.#makeRoom(this.count);
    const own = this.#ofEnv[env]!;
    this.env[number] = env;
    this.index[number] = index;
    this.start[number] = row;
    this.isRunning[number] = 1;
    own[index] = number;
    this.#last[env] = number;
    this.grow(env, row, 0, 0);
  }

  grow(
    env: number,
    row: number,
    length: number,
    total: number,
    numNan = 0,
    isIdle?: boolean,
  ): void {
    const number = this.#last[env]!;
    if (isIdle) {
      this.#idle[number] ??= [];
      this.#idle[number].push(row);
    }
    this.stop[number] = row + 1;
    this.length[number] = length;
    this.total[number] = total;
    this.numNan[number] = numNan;
  }

  end(env: number, ends: number): void {
    const number = this.#last[env]!;
    if (number < 0 || !this.isRunning[number]) return;
    this.isRunning[number] = 0;
    this.ends[number] = ends;
    if (!this.length[number]) this.#numEmpty++;
  }

  describe(env: number, index: number, info: EpisodeInfo): void {
    this.#countSuccess(this.info(env, index), -1);
    this.#countSuccess(info, 1);
    this.#infos.set(index * this.numEnvs + env, info);
    this.infoVersion++;
  }

  // -- reading

  at(number: number): Episode {
    return {
      env: this.env[number]!,
      index: this.index[number]!,
      start: this.start[number]!,
      stop: this.stop[number]!,
      length: this.length[number]!,
      total: this.total[number]!,
      numNan: this.numNan[number]!,
      ends: this.ends[number]!,
      isRunning: this.isRunning[number] === 1,
      idle: this.#idle[number],
    };
  }

  /** Whether an episode has a step, or may get one: a reset alone is none. */
  isListed(number: number): boolean {
    return this.length[number]! > 0 || (this.isLive && this.isRunning[number] === 1);
  }

  get numListed(): number {
    const unlisted = this.#last.filter(
      (number) => number >= 0 && this.isRunning[number] === 1 && !this.isListed(number),
    );
    return this.count - this.#numEmpty - unlisted.length;
  }

  /** Number of an env's episode; null: it has not begun. */
  numberOf(env: number, index: number): number | null {
    return this.#ofEnv[env]?.[index] ?? null;
  }

  numOf(env: number): number {
    return this.#ofEnv[env]?.length ?? 0;
  }

  info(env: number, index: number): EpisodeInfo {
    return this.#infos.get(index * this.numEnvs + env) ?? NOTHING;
  }

  /** What is known of any episodes. */
  infos(): Iterable<EpisodeInfo> {
    return this.#infos.values();
  }

  labels(env: number, index: number): Record<string, unknown> {
    return this.info(env, index).labels ?? {};
  }

  #countSuccess({ success }: EpisodeInfo, by: 1 | -1): void {
    if (success == null) return;
    this.numJudged += by;
    if (success) this.numSuccesses += by;
  }

  #makeRoom(count: number): void {
    if (count <= this.env.length) return;
    const capacity = Math.max(2 * this.env.length, 64);
    const grow = <T extends Int32Array | Float64Array | Uint8Array>(old: T): T => {
      const fresh = new (old.constructor as new (size: number) => T)(capacity);
      fresh.set(old as never);
      return fresh;
    };
    this.env = grow(this.env);
    this.index = grow(this.index);
    this.start = grow(this.start);
    this.stop = grow(this.stop);
    this.length = grow(this.length);
    this.total = grow(this.total);
    this.numNan = grow(this.numNan);
    this.ends = grow(this.ends);
    this.isRunning = grow(this.isRunning);
  }
}

const NOTHING: EpisodeInfo = {};

/** Whether an episode succeeded, in a word; "": that is not known. */
export function verdictOf({ success }: EpisodeInfo): "success" | "failure" | "" {
  return success == null ? "" : success ? "success" : "failure";
}

const marked = new WeakMap<EpisodeInfo, Record<string, unknown>>();

/** The labels of an episode, and its success as one; the same object each time. */
export function marksOf(info: EpisodeInfo): Record<string, unknown> | undefined {
  const verdict = verdictOf(info);
  if (!verdict) return info.labels;
  if (!marked.has(info)) marked.set(info, { [verdict]: true, ...info.labels });
  return marked.get(info);
}

/** A label as it is shown: "failure", "train_step=100". */
export function textOfLabel([name, value]: readonly [string, unknown]): string {
  return value === true ? name : `${name}=${textOf(value)}`;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
