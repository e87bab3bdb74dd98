/**
 * The rows that the timeline shows: all of them, or a window that is zoomed and moved.
 *
 * Follows the playhead where it leaves the window while it plays, and the newest rows
 * while it follows them. Pure.
 */

import type { Span } from "../../recording/downsample.ts";

/** The window is never narrower. */
const LEAST_ROWS = 16;
/** Where the playhead is in a window that moved after it. */
const AHEAD = 0.05;

/** The part of the clock that the window follows. */
export interface Playhead {
  readonly row: number;
  readonly isPlaying: boolean;
  /** It goes to the newest row by itself. */
  readonly isFollowing: boolean;
}

export class RowWindow implements Span {
  from = 0;
  to = 0;
  #row = -1;
  #wasFollowing = false;
  #first = 0;
  #last = 0;
  #isWhole = true;

  /** All rows are in sight, also those that will come. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** The first and the last row that exist. */
  get all(): Span {
    return { from: this.#first, to: this.#last };
  }

  has(row: number): boolean {
    return this.from <= row && row <= this.to;
  }

  setBounds(first: number, stop: number): void {
    const last = Math.max(first, stop - 1);
    if (first === this.#first && last === this.#last) return;
    [this.#first, this.#last] = [first, last];
    if (this.#isWhole) [this.from, this.to] = [first, last];
    else this.set(this.from, this.to);
  }

  /** Show rows from..to, as far as there are any. */
  set(from: number, to: number): void {
    const most = this.#last - this.#first;
    const length = Math.min(most, Math.max(to - from, LEAST_ROWS));
    this.#isWhole = length >= most;
    this.from = Math.max(this.#first, Math.min(from, this.#last - length));
    this.to = this.from + length;
  }

  /** Move one edge, the other stays. */
  setEdge(edge: "from" | "to", row: number): void {
    const { from, to } = this;
    if (edge === "from") this.set(Math.min(row, to - LEAST_ROWS), to);
    else this.set(from, Math.min(this.#last, Math.max(row, from + LEAST_ROWS)));
  }

  /** Show `factor` times as many rows; this one stays where it is. */
  zoom(factor: number, row: number): void {
    const length = this.to - this.from;
    const most = this.#last - this.#first;
    const next = Math.min(most, Math.max(LEAST_ROWS, length * factor));
    const share = length > 0 ? (row - this.from) / length : 0.5;
    const from = row - share * next;
    this.set(from, from + next);
  }

  pan(rows: number): void {
    this.set(this.from + rows, this.to + rows);
  }

  fit(): void {
    this.set(this.#first, this.#last);
  }

  /**
   * Show a playhead that moved out of sight: the next rows while it plays, the newest
   * ones while it follows them. Where the user had moved the window away from it, it is
   * only followed where it was set by hand.
   */
  follow({ row, isPlaying, isFollowing }: Playhead): void {
    const wasInSight = this.has(this.#row);
    const isMoved = row !== this.#row && !this.#isWhole;
    if (isMoved && isFollowing && (wasInSight || !this.#wasFollowing)) this.turnToEnd();
    else if (isMoved && !this.has(row) && isPlaying && wasInSight) this.turnTo(row);
    else if (isMoved && !this.has(row) && !isPlaying && !isFollowing) this.centre(row);
    this.#row = row;
    this.#wasFollowing = isFollowing;
  }

  /** Show the rows from this one on. */
  turnTo(row: number): void {
    const length = this.to - this.from;
    const from = Math.floor(row - AHEAD * length);
    this.set(from, from + length);
  }

  /** Show this row in the middle. */
  centre(row: number): void {
    this.pan(row - (this.from + this.to) / 2);
  }

  /** Show the newest rows. */
  turnToEnd(): void {
    this.pan(this.#last - this.to);
  }
}
