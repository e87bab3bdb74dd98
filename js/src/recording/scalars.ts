/**
 * Scalars by row and env, of what the timeline draws.
 *
 * Reward and return are always here. A number of a data array comes from the kernel,
 * piece after piece, once it is chosen, and stays.
 */

import type { ColumnMessage, ToKernel, WireBuffer } from "../protocol/messages.ts";
import { parseNumbers } from "../protocol/parse.ts";
import { Emitter } from "../util/emitter.ts";
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
}

const BUDGET_BYTES = 128 * 1024 * 1024;
const GROWING_MS = 1000;
const PATIENCE_MS = 15_000;

export function scalarKey({ name, index }: Scalar): string {
  return index < 0 ? name : `${name}[${index}]`;
}

export class Scalars {
  readonly onChange = new Emitter();
  readonly #store: Store;
  readonly #details: StepDetails;
  readonly #send: ((message: ToKernel) => void) | null;
  readonly #now: () => number;
  readonly #cached = new Map<string, CachedScalar>();
  readonly #spreads = new Map<string, Spread>();
  #askedAt: number | null = null;
  #answeredAt = Number.NEGATIVE_INFINITY;
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
      const now = store.recorded.manifest?.session ?? "";
      if (now === recording) return; // only arranged anew
      recording = now;
      this.#cached.clear();
      this.#askedAt = null;
    });
  }

  /** Without a kernel the numbers are those of the inspector: more of them came. */
  #follow(): void {
    for (const [key, spread] of this.#spreads) if (key.endsWith("]")) spread.forget(0);
    this.onChange.emit();
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

  /** What all envs have together. */
  spread(scalar: Scalar): Spread {
    const { numEnvs, numRows } = this.#store.steps;
    const key = scalarKey(scalar);
    const spread = this.#spreads.get(key) ?? new Spread();
    this.#spreads.set(key, spread);
    const here = this.#cached.get(key)?.numRows ?? numRows;
    const known = scalar.index < 0 || this.#store.arrangement ? numRows : here;
    spread.extend(this.read(scalar), numEnvs, known);
    return spread;
  }

  /** Ask for what is missing of a scalar; call it when it is drawn. */
  want(scalar: Scalar): void {
    if (scalar.index < 0 || !this.#send) return;
    const { numRows, numEnvs } = this.#store.recorded.steps;
    const cached = this.#cached.get(scalarKey(scalar));
    const here = cached?.numRows ?? 0;
    if (here >= numRows || cached?.fault) return;
    if (numRows * numEnvs * 4 > BUDGET_BYTES) {
      const fault = "Too many numbers for this page";
      this.#cached.set(scalarKey(scalar), {
        values: new Float32Array(0),
        numRows: 0,
        fault,
      });
      return;
    }
    const now = this.#now();
    if (this.#askedAt !== null && now - this.#askedAt < PATIENCE_MS) return;
    const isGrowing = here > 0 && numRows - here < 256;
    const left = GROWING_MS - (now - this.#answeredAt);
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
    this.#answeredAt = this.#now();
    const n = this.#store.recorded.steps.numEnvs;
    const key = scalarKey(answer);
    const cached = this.#cached.get(key) ?? {
      values: new Float32Array(0),
      numRows: 0,
      fault: "",
    };
    const fresh = parseNumbers("f4", answer.count * n, buffers[0]) as Float32Array;
    if (answer.start <= cached.numRows) {
      const stop = answer.start + answer.count;
      cached.values = withRoom(cached.values, stop * n);
      cached.values.set(fresh, answer.start * n);
      cached.numRows = Math.max(cached.numRows, stop);
      cached.fault = answer.fault;
      this.#spreads.get(key)?.forget(this.#store.arrangement ? 0 : answer.start);
    }
    this.#cached.delete(key);
    this.#cached.set(key, cached);
    for (const [other, { values }] of this.#cached) {
      if (this.numBytes <= BUDGET_BYTES || other === key) break;
      if (values.length) this.#cached.delete(other);
      this.#spreads.delete(other);
    }
    this.onChange.emit();
  }

  /** Without a kernel: what an export has for the inspector. */
  #fromDetails({ name, index }: Scalar): Reader {
    return (row, env) => {
      const at = this.#store.recordedAt(row, env);
      return at ? this.#details.number(at.row, at.env, name, index) : Number.NaN;
    };
  }
}
