/**
 * Scalars by row and env, of what the timeline draws.
 *
 * Reward and return are always here. A number of a data array comes from the kernel,
 * piece after piece, once it is chosen, and stays.
 */

import type { ColumnMessage, ToKernel, WireBuffer } from "../protocol/messages.ts";
import { parseNumbers } from "../protocol/parse.ts";
import { Emitter } from "../util/emitter.ts";
import { isSame } from "../util/same.ts";
import { Series } from "./series.ts";
import { type Reader, Spread, withRoom } from "./spread.ts";
import type { StepDetails } from "./step-details.ts";
import type { Store } from "./store.ts";

/** What is drawn: "reward", "return", or a data array's name and place. */
export interface Scalar {
  name: string;
  /** Place in the flattened array; -1: reward or return. */
  index: number;
}

interface CachedScalar {
  values: Float32Array;
  numRows: number;
  fault: string;
  answeredAt: number;
}

/** Numbers that were worked out from a scalar's. */
interface Derived<T> {
  name: string;
  index: number;
  of: T;
}

const BUDGET_BYTES = 128 * 1024 * 1024;
const MAX_DERIVED = 64;
const TOO_MANY = "Too many numbers for this page";
const GROWING_MS = 1000;
const PATIENCE_MS = 15_000;

export function scalarKey({ name, index }: Scalar): string {
  return index < 0 ? name : `${name}[${index}]`;
}

/** The scalar of a key: "reward", "return", "obs[3]". */
export function parseScalar(key: string): Scalar {
  const found = /^(.*)\[(\d+)\]$/.exec(key);
  return found
    ? { name: found[1]!, index: Number(found[2]) }
    : { name: key === "reward" ? "reward" : "return", index: -1 };
}

export class Scalars {
  readonly onChange = new Emitter();
  readonly #store: Store;
  readonly #details: StepDetails;
  readonly #send: ((message: ToKernel) => void) | null;
  readonly #now: () => number;
  readonly #cached = new Map<string, CachedScalar>();
  readonly #spreads = new Map<string, Derived<Spread>>();
  readonly #series = new Map<string, Derived<Series>>();
  /** Keys of the scalars that are drawn: what others hold is dropped first. */
  #shown: readonly string[] = [];
  #askedAt: number | null = null;
  #later: ReturnType<typeof setTimeout> | null = null;

  constructor(
    store: Store,
    details: StepDetails,
    send: ((message: ToKernel) => void) | null,
    now: () => number = () => performance.now(),
  ) {
    this.#store = store;
    this.#details = details;
    this.#send = send;
    this.#now = now;
    if (!send) details.onChange.on(() => this.#follow());
    let recording = "";
    store.onReset.on(() => {
      this.#spreads.clear();
      this.#series.clear();
      const now = store.recorded.manifest?.session ?? "";
      if (now === recording) return; // only arranged anew
      recording = now;
      this.#cached.clear();
      this.#askedAt = null;
    });
  }

  /** Without a kernel the numbers are those of the inspector: more of them came. */
  #follow(): void {
    for (const { index, of } of this.#derived()) if (index >= 0) of.forget(0);
    this.onChange.emit();
  }

  *#derived(): Iterable<Derived<Spread | Series>> {
    yield* this.#spreads.values();
    yield* this.#series.values();
  }

  /** Keep what these need, whatever else is asked for. */
  show(scalars: readonly Scalar[]): void {
    const shown = scalars.map(scalarKey);
    if (isSame(shown, this.#shown)) return;
    this.#shown = shown;
    for (const [key, { fault }] of this.#cached)
      if (fault === TOO_MANY) this.#cached.delete(key);
  }

  get numBytes(): number {
    let sum = 0;
    for (const { values } of this.#cached.values()) sum += values.byteLength;
    return sum;
  }

  /** Numbers of a scalar; NaN: there is none, or it has not come yet. */
  read(scalar: Scalar): Reader {
    const { steps } = this.#store;
    if (scalar.index < 0) {
      const envs = Array.from({ length: steps.numEnvs }, (_, env) =>
        scalar.name === "reward" ? steps.reward(env) : steps.total(env),
      );
      return (row, env) => (row < steps.numRows ? envs[env]!(row) : Number.NaN);
    }
    if (!this.#send) return this.#fromDetails(scalar);
    const n = this.#store.recorded.steps.numEnvs;
    const cached = this.#cached.get(scalarKey(scalar));
    if (!this.#store.arrangement)
      return (row, env) =>
        cached && row < cached.numRows ? cached.values[row * n + env]! : Number.NaN;
    return (row, env) => {
      const at = cached && this.#store.recordedAt(row, env);
      return at && at.row < cached.numRows
        ? cached.values[at.row * n + at.env]!
        : Number.NaN;
    };
  }

  /** Why some of a scalar cannot be shown; "": nothing is wrong. */
  fault(scalar: Scalar): string {
    return this.#cached.get(scalarKey(scalar))?.fault ?? "";
  }

  /** Rows of which the numbers of a scalar are here. */
  #numRowsOf(scalar: Scalar): number {
    const { numRows } = this.#store.steps;
    if (scalar.index < 0 || this.#store.arrangement) return numRows;
    return this.#cached.get(scalarKey(scalar))?.numRows ?? numRows;
  }

  /** What these envs have together; null: all of them. */
  spread(scalar: Scalar, envs: readonly number[] | null = null): Spread {
    const read = this.read(scalar);
    const key = `${scalarKey(scalar)} ${envs ?? "all"}`;
    const { of } = cachedIn(this.#spreads, key, scalar, () => new Spread());
    of.extend(
      envs ? (row, at) => read(row, envs[at]!) : read,
      envs?.length ?? this.#store.steps.numEnvs,
      this.#numRowsOf(scalar),
    );
    return of;
  }

  /**
   * A series of numbers that `read` works out from a scalar, to be drawn.
   *
   * `of` names what it is of; the same scalar and name mean the same numbers.
   */
  series(scalar: Scalar, of: string, read: (row: number) => number): Series {
    const key = `${scalarKey(scalar)} ${of}`;
    const found = cachedIn(this.#series, key, scalar, () => new Series());
    found.of.extend(read, this.#numRowsOf(scalar));
    return found.of;
  }

  /** Ask for what is missing of a scalar; call it when it is drawn. */
  want(scalar: Scalar): void {
    if (scalar.index < 0 || !this.#send) return;
    const { numRows, numEnvs } = this.#store.recorded.steps;
    const cached = this.#cached.get(scalarKey(scalar));
    const here = cached?.numRows ?? 0;
    if (here >= numRows || cached?.fault) return;
    const others = this.#bytesBeside(scalarKey(scalar));
    if (numRows * numEnvs * 4 + others > BUDGET_BYTES) {
      this.#cached.set(scalarKey(scalar), { ...nothing(), fault: TOO_MANY });
      return;
    }
    const now = this.#now();
    if (this.#askedAt !== null && now - this.#askedAt < PATIENCE_MS) return;
    const isGrowing = here > 0 && numRows - here < 256;
    const left = GROWING_MS - (now - (cached?.answeredAt ?? now));
    if (isGrowing && left > 0) {
      // The last rows of all are asked for later.
      this.#later ??= setTimeout(() => {
        this.#later = null;
        this.onChange.emit();
      }, left);
      return;
    }
    this.#askedAt = now;
    const { name, index } = scalar;
    // The newest row's action was not known yet.
    this.#send({ kind: "column", name, index, start: Math.max(0, here - 1) });
  }

  take(answer: ColumnMessage, buffers: WireBuffer[]): void {
    this.#askedAt = null;
    const n = this.#store.recorded.steps.numEnvs;
    const key = scalarKey(answer);
    const cached = this.#cached.get(key) ?? nothing();
    cached.answeredAt = this.#now();
    const fresh = parseNumbers("f4", answer.count * n, buffers[0]) as Float32Array;
    if (answer.start <= cached.numRows) {
      const stop = answer.start + answer.count;
      cached.values = withRoom(cached.values, stop * n);
      cached.values.set(fresh, answer.start * n);
      cached.numRows = Math.max(cached.numRows, stop);
      cached.fault = answer.fault;
      for (const { name, index, of } of this.#derived())
        if (name === answer.name && index === answer.index)
          of.forget(this.#store.arrangement ? 0 : answer.start);
    }
    this.#cached.delete(key);
    this.#cached.set(key, cached);
    for (const [other, { values }] of this.#cached) {
      if (this.numBytes <= BUDGET_BYTES) break;
      if (other === key || !values.length || this.#shown.includes(other)) continue;
      this.#cached.delete(other);
      for (const map of [this.#spreads, this.#series])
        for (const name of map.keys())
          if (name.startsWith(`${other} `)) map.delete(name);
    }
    this.onChange.emit();
  }

  /** Bytes of the other scalars that are drawn. */
  #bytesBeside(key: string): number {
    let sum = 0;
    for (const [other, { values }] of this.#cached)
      if (other !== key && this.#shown.includes(other)) sum += values.byteLength;
    return sum;
  }

  /** Without a kernel: what an export has for the inspector. */
  #fromDetails({ name, index }: Scalar): Reader {
    return (row, env) => {
      const at = this.#store.recordedAt(row, env);
      return at ? this.#details.number(at.row, at.env, name, index) : Number.NaN;
    };
  }
}

const nothing = (): CachedScalar => ({
  values: new Float32Array(0),
  numRows: 0,
  fault: "",
  answeredAt: Number.NEGATIVE_INFINITY,
});

/** Find what was derived from a scalar, or make it; the oldest of many is dropped. */
function cachedIn<T>(
  map: Map<string, Derived<T>>,
  key: string,
  { name, index }: Scalar,
  create: () => T,
): Derived<T> {
  const found = map.get(key) ?? { name, index, of: create() };
  map.delete(key);
  map.set(key, found);
  if (map.size > MAX_DERIVED) map.delete(map.keys().next().value!);
  return found;
}
