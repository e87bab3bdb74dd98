/** What the user did last and can undo: a small stack of steps back. */

import type { Clock } from "../playback/clock.ts";
import { Emitter } from "../util/emitter.ts";
import { isSame } from "../util/same.ts";

export interface UndoStep {
  /** What was done, for the user: "Bookmarked row 866". */
  text: string;
  undo: () => void;
}

const MAX_STEPS = 100;
/** A range that rested for so long is one step, however it was dragged. */
const REST_MS = 400;

export class UndoStack {
  /** Something can be undone that could not before. */
  readonly onPush = new Emitter();
  readonly #steps: UndoStep[] = [];
  /** Take a change that has not come to rest, as a step, or as none. */
  flush: () => void = () => {};
  settle: () => void = () => {};
  #isUndoing = false;

  get last(): UndoStep | null {
    this.flush();
    return this.#steps.at(-1) ?? null;
  }

  push(text: string, undo: () => void): void {
    if (this.#isUndoing) return;
    this.#steps.push({ text, undo });
    if (this.#steps.length > MAX_STEPS) this.#steps.shift();
    this.onPush.emit();
  }

  /** Undo the last step; returns it, null: there is none. */
  undo(): UndoStep | null {
    this.flush();
    const step = this.#steps.pop() ?? null;
    this.#isUndoing = true;
    try {
      step?.undo();
      this.settle(); // what it set back is no step of its own
    } finally {
      this.#isUndoing = false;
    }
    return step;
  }
}

/**
 * Make each change of the marked range a step, once it has come to rest.
 *
 * Until `settle`, which takes a range that came or went with something else.
 */
export function recordRanges(undo: UndoStack, clock: Clock): void {
  let before = { marks: clock.marks, loop: clock.loop };
  let resting: ReturnType<typeof setTimeout> | undefined;
  undo.settle = () => {
    clearTimeout(resting);
    resting = undefined;
    before = { marks: clock.marks, loop: clock.loop };
  };
  undo.flush = () => {
    if (resting === undefined) return;
    const { marks, loop } = before;
    undo.settle();
    if (isSame(marks, before.marks)) return;
    undo.push(describeRange(clock.range), () => {
      clock.setMarks(marks);
      clock.setLoop(loop);
    });
  };
  clock.onChange.on(() => {
    if (!isSame(clock.marks, before.marks)) {
      clearTimeout(resting);
      resting = setTimeout(undo.flush, REST_MS);
    } else if (resting === undefined) before.loop = clock.loop;
  });
}

function describeRange(range: [number, number] | null): string {
  return range ? `Range of rows ${range[0]}\u2013${range[1] - 1}` : "Range removed";
}
