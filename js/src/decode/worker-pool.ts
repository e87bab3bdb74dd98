/**
 * Decoding workers, each with its share of the slots; the page itself where workers
 * are refused. Tasks of a worker run in order. Knows nothing of what is decoded.
 */

import source from "worker-source";
import type { Op } from "./decode-plan.ts";
import type { Decoder, Patch, Result, Task, TaskSlot } from "./decoder.ts";

export interface SlotPlan extends Omit<TaskSlot, "ops"> {
  ops: Op[];
}

export interface Picture {
  patches: Patch[];
  pixels: ArrayBuffer;
}

interface Pending {
  resolve: (result: Result) => void;
  reject: (error: Error) => void;
  message: Task;
}

interface Channel {
  post(message: Task, transfer: ArrayBuffer[]): unknown;
}

/** Decodes plans, in order; a pool, or a fake in tests. */
export type Decoding = Pick<WorkerPool, "run" | "recycle" | "numDecodes">;

/** Return the task for some plans: their records in one buffer that can be moved. */
export function pack(
  id: number,
  plans: readonly SlotPlan[],
  spare: ArrayBuffer | null,
): Task & { bytes: Uint8Array<ArrayBuffer> } {
  let size = 0;
  for (const { ops } of plans) for (const op of ops) size += op.record.length;
  const bytes = new Uint8Array(size);
  let offset = 0;
  const slots = plans.map((plan) => ({
    ...plan,
    ops: plan.ops.map(({ kind, target, record }) => {
      bytes.set(record, offset);
      offset += record.length;
      return { kind, target, offset: offset - record.length, size: record.length };
    }),
  }));
  return { id, slots, bytes, spare };
}

/** Decoding takes whole cores; more than four gain nothing at 60 rows a second. */
const MAX_WORKERS = 4;

export function numDecodeWorkers(): number {
  return Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency));
}

export class WorkerPool {
  readonly #channels: Channel[] = [];
  readonly #pending = new Map<number, Pending>();
  readonly #spare: ArrayBuffer[] = [];
  readonly #url: string;
  #local: Promise<Decoder> | null = null;
  #id = 0;
  numDecodes = 0;

  constructor(numWorkers: number, signal: AbortSignal) {
    this.#url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    for (let index = 0; index < numWorkers; index++)
      this.#channels.push(this.#open(this.#url, signal));
    signal.addEventListener("abort", () => URL.revokeObjectURL(this.#url));
  }

  /** Decode the planned records; resolves with what to draw, in any number of parts. */
  async run(plans: readonly SlotPlan[]): Promise<Picture[]> {
    const shares = this.#channels.map((channel, index) => {
      const share = plans.filter((one) => one.slot % this.#channels.length === index);
      return share.length ? this.#send(channel, share) : null;
    });
    const results = await Promise.all(shares.filter((share) => share !== null));
    for (const result of results) this.numDecodes += result.numDecodes;
    return results;
  }

  /** Take a drawn picture's buffer back: fresh pages cost more than decoding. */
  recycle({ pixels }: Picture): void {
    if (this.#spare.length < 8) this.#spare.push(pixels);
  }

  #send(channel: Channel, plans: readonly SlotPlan[]): Promise<Result> {
    const spare = this.#spare.pop() ?? null;
    const task = pack(this.#id++, plans, spare);
    return new Promise((resolve, reject) => {
      this.#pending.set(task.id, { resolve, reject, message: task });
      channel.post(task, spare ? [task.bytes.buffer, spare] : [task.bytes.buffer]);
    });
  }

  #open(url: string, signal: AbortSignal): Channel {
    let worker: Worker;
    try {
      worker = new Worker(url, { type: "module" });
    } catch {
      return { post: (message) => this.#runHere(message) };
    }
    let hasAnswered = false;
    let isRefused = false;
    const own = new Set<number>();
    worker.onmessage = ({ data }) => {
      hasAnswered = true;
      own.delete(data.id);
      this.#settle(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const left = [...own];
      own.clear();
      // A page's policy refuses a worker only here, before it ever answered.
      isRefused = !hasAnswered;
      for (const id of left) {
        const pending = this.#pending.get(id);
        if (isRefused && pending) this.#runHere(pending.message);
        else this.#settle({ id, error: `the decoder stopped: ${event.message}` });
      }
    };
    signal.addEventListener("abort", () => worker.terminate());
    return {
      post: (message, transfer) => {
        if (isRefused) return this.#runHere(message);
        own.add(message.id);
        // Copied, not handed over, as long as the worker may still be refused.
        worker.postMessage(message, hasAnswered ? transfer : []);
      },
    };
  }

  async #runHere(message: Task): Promise<void> {
    try {
      this.#local ??= import(/* @vite-ignore */ this.#url).then((module) =>
        (module.Decoder as typeof Decoder).open(),
      );
      this.#settle((await this.#local).run(message));
    } catch (error) {
      this.#settle({ id: message.id, error: String(error) });
    }
  }

  #settle(answer: Result | { id: number; error: string }): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if ("error" in answer) pending?.reject(new Error(answer.error));
    else pending?.resolve(answer);
  }
}
