/**
 * What a page asks the kernel once and keeps: modules that few pages need, packed as they
 * come, and where the episodes of a pair part.
 */

import type {
  PartAnswer,
  PartingAnswer,
  PartingQuestion,
  PartQuestion,
  ToKernel,
  WireBuffer,
} from "../protocol/messages.ts";
import { Emitter } from "../util/emitter.ts";

type Question = PartQuestion | PartingQuestion;
type Answer = PartAnswer | PartingAnswer;
export interface Answered<T = Answer> {
  message: T;
  buffers: WireBuffer[];
}

/** An answer that does not come within this time was lost, or the kernel is busy. */
const PATIENCE_MS = 4000;

export class Answers {
  readonly onChange = new Emitter();
  readonly #send: ((message: ToKernel) => void) | null;
  readonly #answered = new Map<string, Answered>();
  readonly #askedAt = new Map<string, number>();

  constructor(send: ((message: ToKernel) => void) | null) {
    this.#send = send;
  }

  /** An answer, if it is here; else it is asked for, unless it was just now. */
  get(question: PartQuestion): Answered<PartAnswer> | null;
  get(question: PartingQuestion): Answered<PartingAnswer> | null;
  get(question: Question): Answered | null {
    const key = keyOf(question);
    const answer = this.#answered.get(key);
    if (answer) return answer;
    const now = performance.now();
    const asked = this.#askedAt.get(key) ?? Number.NEGATIVE_INFINITY;
    if (this.#send && now - asked >= PATIENCE_MS) {
      this.#askedAt.set(key, now);
      this.#send(question);
      setTimeout(() => this.#answered.has(key) || this.onChange.emit(), PATIENCE_MS);
    }
    return null;
  }

  /** A module that came, asked for or not. */
  partOf(name: string): WireBuffer | undefined {
    return this.#answered.get(name)?.buffers[0];
  }

  take(message: Answer, buffers: WireBuffer[]): void {
    this.#answered.set(keyOf(message), { message, buffers });
    this.onChange.emit();
  }
}

function keyOf(about: Question | Answer): string {
  return about.kind === "part" ? about.name : String([about.first, about.other]);
}
