/**
 * Actions and data of the envs that the user inspects, in runs of rows.
 *
 * Asked of the kernel where they are not here: one question at a time, whose answer
 * covers a run, and while the recording plays or grows only now and then. Never one
 * for each row that is shown.
 */

import type { DetailsMessage, ToKernel, WireBuffer } from "../protocol/messages.ts";
import { parseNumbers } from "../protocol/parse.ts";
import { Emitter } from "../util/emitter.ts";

export interface Value {
  name: string;
  dtype: string;
  shape: readonly number[];
  /** `numbers` are smallest, mean, largest: the array was too large. */
  isSummary: boolean;
  /** What the numbers mean; null: themselves. */
  texts: readonly string[] | null;
  numbers: ArrayLike<number>;
  /** Largest size of each number in the run around it; of many, the same for all. */
  scales: ArrayLike<number>;
}

interface Field extends Omit<Value, "numbers"> {
  all: Uint8Array | Float32Array | Float64Array;
  width: number;
  /** Offset of a row -> its place; null: they are the same. */
  places: Map<number, number> | null;
}

interface Run {
  env: number;
  start: number;
  stop: number;
  /** Rows that were recorded then: what the last one chose was not known yet. */
  numRows: number;
  fields: Field[];
  fault: string;
  numBytes: number;
}

const BUDGET_BYTES = 32 * 1024 * 1024;
/** How the playhead moves, and for how long not to ask again then. */
export type Pace = "rests" | "follows" | "moves";
const WAIT_MS = { rests: 0, follows: 300, moves: 1000 } as const;
/** An answer that does not come within this time was lost, or the kernel is busy. */
const PATIENCE_MS = 15_000;

export class StepDetails {
  readonly onChange = new Emitter();
  readonly #send: ((message: ToKernel) => void) | null;
  readonly #now: () => number;
  // The oldest is dropped first.
  #runs: Run[] = [];
  #asked: { env: number; at: number } | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #later: ReturnType<typeof setTimeout> | null = null;
  numBytes = 0;
  numAsked = 0;

  constructor(
    send: ((message: ToKernel) => void) | null,
    now: () => number = () => performance.now(),
  ) {
    this.#send = send;
    this.#now = now;
  }

  /** Whether a kernel can be asked for what is not here. */
  get canAsk(): boolean {
    return this.#send !== null;
  }

  /** Forget everything: another recording came. */
  clear(): void {
    this.#runs = [];
    this.#asked = null;
    this.numBytes = 0;
  }

  /** What is known of an env in a row; null: it is not here. */
  at(row: number, env: number): Value[] | null {
    const run = this.#find(row, env);
    if (!run) return null;
    const offset = row - run.start;
    const found: Value[] = [];
    for (const { all, width, places, ...field } of run.fields) {
      const place = places ? places.get(offset) : offset;
      if (place === undefined) continue;
      const numbers = all.subarray(place * width, (place + 1) * width);
      found.push({ ...field, numbers });
    }
    return found;
  }

  /** One number of an array; NaN: there is none, or it is not here. */
  number(row: number, env: number, name: string, index: number): number {
    const run = this.#find(row, env);
    const field = run?.fields.find(
      (one) => one.name === name && !one.isSummary && index < one.width,
    );
    if (!run || !field) return Number.NaN;
    const offset = row - run.start;
    const place = field.places ? field.places.get(offset) : offset;
    return place === undefined ? Number.NaN : field.all[place * field.width + index]!;
  }

  /** Why something could not be read around a row. */
  fault(row: number, env: number): string {
    return this.#find(row, env)?.fault ?? "";
  }

  /** Ask for a row if it is not here. `pace`: how soon it will be another. */
  want(row: number, env: number, numRows: number, pace: Pace): void {
    const wait = WAIT_MS[pace];
    if (!this.#send || row >= numRows) return;
    const run = this.#find(row, env);
    // The last row of a run may have been the last of all: its action came later.
    const isStale = run && row === run.stop - 1 && run.stop === run.numRows;
    if (run && !(isStale && numRows > run.numRows)) return;
    const now = this.#now();
    if (this.#asked && now - this.#asked.at < PATIENCE_MS) return;
    const left = wait - (now - this.#askedAt);
    if (left > 0) {
      // A playhead that comes to rest meanwhile asks again then.
      this.#later ??= setTimeout(() => {
        this.#later = null;
        this.onChange.emit();
      }, left);
      return;
    }
    this.#asked = { env, at: now };
    this.#askedAt = now;
    this.numAsked++;
    this.#send({ kind: "inspect", env, start: row - (row % 32) });
  }

  take(answer: DetailsMessage, buffers: WireBuffer[]): void {
    this.#asked = null;
    if (answer.count) this.#keep(answer, buffers);
    this.onChange.emit();
  }

  #keep(answer: DetailsMessage, buffers: WireBuffer[]): void {
    const stop = answer.start + answer.count;
    const fields = answer.fields.map((field, index): Field => {
      const { name, dtype, shape, is_summary: isSummary, format, rows } = field;
      const texts = field.texts ?? null;
      const width = isSummary ? 3 : shape.reduce((product, n) => product * n, 1);
      const count = (rows?.length ?? answer.count) * width;
      const all = parseNumbers(format, count, buffers[index]);
      const places = rows && new Map(rows.map((row, place) => [row, place]));
      const scales = scalesOf(all, width);
      return { name, dtype, shape, isSummary, texts, all, width, places, scales };
    });
    fields.sort((a, b) => rankOf(a) - rankOf(b) || a.name.localeCompare(b.name));
    const numBytes = fields.reduce((sum, field) => sum + field.all.byteLength, 1000);
    // What it covers is newer here.
    this.#drop(
      (run) => run.env === answer.env && run.start >= answer.start && run.stop <= stop,
    );
    const { env, start, num_rows: numRows, fault } = answer;
    this.#runs.push({ env, start, stop, numRows, fields, fault, numBytes });
    this.numBytes += numBytes;
    while (this.numBytes > BUDGET_BYTES && this.#runs.length > 1) {
      const oldest = this.#runs[0];
      this.#drop((run) => run === oldest);
    }
  }

  #drop(isDropped: (run: Run) => boolean): void {
    this.#runs = this.#runs.filter((run) => !isDropped(run));
    this.numBytes = this.#runs.reduce((sum, run) => sum + run.numBytes, 0);
  }

  /** The newest answer that covers a row. */
  #find(row: number, env: number): Run | undefined {
    return this.#runs.findLast(
      (run) => run.env === env && run.start <= row && row < run.stop,
    );
  }
}

/** Action and observation come first, then the other names. */
function rankOf({ name }: Field): number {
  return name === "action" ? 0 : name === "obs" ? 1 : 2;
}

/** Up to so many numbers have a scale of their own: they mean different things. */
const MAX_SCALES = 32;

function scalesOf(all: ArrayLike<number>, width: number): Float64Array {
  const scales = new Float64Array(width);
  for (let i = 0; i < all.length; i++) {
    const size = Math.abs(all[i]!);
    if (Number.isFinite(size) && size > scales[i % width]!) scales[i % width] = size;
  }
  if (width > MAX_SCALES) scales.fill(scales.reduce((a, b) => Math.max(a, b), 0));
  return scales;
}
