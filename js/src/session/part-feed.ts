/**
 * Asks the kernel for modules of the page that few need, such as the numbers of an
 * evaluation, and keeps them, packed as they come.
 */

import type { PartAnswer, ToKernel, WireBuffer } from "../protocol/messages.ts";
import { Emitter } from "../util/emitter.ts";

/** An answer that does not come within this time was lost, or the kernel is busy. */
const PATIENCE_MS = 4000;

export class PartFeed {
  readonly onChange = new Emitter();
  readonly #send: ((message: ToKernel) => void) | null;
  readonly #parts = new Map<string, WireBuffer>();
  readonly #askedAt = new Map<string, number>();

  constructor(send: ((message: ToKernel) => void) | null) {
    this.#send = send;
  }

  /** A part, if it is here; else it is asked for, unless it was just now. */
  get(name: string): WireBuffer | null {
    const part = this.#parts.get(name);
    if (part) return part;
    const now = performance.now();
    const asked = this.#askedAt.get(name) ?? Number.NEGATIVE_INFINITY;
    if (this.#send && now - asked >= PATIENCE_MS) {
      this.#askedAt.set(name, now);
      this.#send({ kind: "part", name });
      setTimeout(() => this.#parts.has(name) || this.onChange.emit(), PATIENCE_MS);
    }
    return null;
  }

  take({ name }: PartAnswer, [packed]: WireBuffer[]): void {
    if (packed) this.#parts.set(name, packed);
    this.onChange.emit();
  }
}
