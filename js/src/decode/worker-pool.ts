/**
 * Decoding workers, each with its share of the slots; the page itself where workers
 * are refused. Tasks of a worker run in order. Knows nothing of what is decoded.
 */

import runScript from "decoder-script";
import type { Op } from "./decode-plan.ts";
import type { Decoder, Patch, Result, Task, TaskSlot } from "./decoder.ts";
import { startWorker } from "./start-worker.ts";

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
  #local: Promise<Decoder> | null = null;
  #id = 0;
  numDecodes = 0;

  constructor(numWorkers: number, signal: AbortSignal) {
    for (let index = 0; index < numWorkers; index++)
      this.#channels.push(this.#open(signal));
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

  #open(signal: AbortSignal): Channel {
    const own = new Map<number, Task>();
    let hasAnswered = false;
    const onAnswer = ({ data }: MessageEvent) => {
      hasAnswered = true;
      own.delete(data.id);
      this.#settle(data);
    };
    const onError = (text: string) => {
      const left = [...own.values()];
      own.clear();
      // A page's policy refuses a worker only here, before it ever answered.
      if (hasAnswered) {
        for (const { id } of left)
          this.#settle({ id, error: `the decoder stopped: ${text}` });
        return;
      }
      worker = next();
      for (const message of left) post(message, []);
    };
    const next = startWorker(onAnswer, onError, signal);
    let worker = next();
    const post = (message: Task, transfer: ArrayBuffer[]) => {
      if (!worker) return this.#runHere(message);
      own.set(message.id, message);
      // Copied, not handed over, as long as the worker may still be refused.
      worker.postMessage(message, hasAnswered ? transfer : []);
    };
    return { post };
  }

  async #runHere(message: Task): Promise<void> {
    try {
      this.#local ??= runScript().Decoder.open();
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
