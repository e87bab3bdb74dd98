/**
 * The playhead: one per model, shared by its views.
 *
 * While it plays, rows follow from the time since an anchor, never from counting
 * timers: a late frame shows the row that is due. Picture number `k` after the anchor,
 * `every` rows on from the one before, is due `k * 1000 / rate` ms after it. Knows no
 * frames and no DOM.
 */

import { Emitter } from "../util/emitter.ts";

/** Until the first manifest comes. */
const DEFAULT_FPS = 30;
export const SPEEDS = [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16] as const;
/** How many rows on the next picture is, as the user may choose. */
export const STRIDES = [1, 2, 3, 5, 10, 25, 100] as const;
export const LOOPS = ["off", "all", "range", "episode"] as const;
export type Loop = (typeof LOOPS)[number];

export class Clock {
  fps = DEFAULT_FPS;
  readonly onChange = new Emitter();
  /** Rows of the episode around a row, for the loop; null: there is none. */
  episodeAt: (row: number) => [start: number, stop: number] | null = () => null;
  #episode: [number, number] | null = null;
  #row = 0;
  #first = 0;
  #stop = 0;
  #isPlaying = false;
  #isFollowing = false;
  #speed = 1;
  #every = 1;
  #loop: Loop = "off";
  #in: number | null = null;
  #out: number | null = null;
  #anchorRow = 0;
  #anchorTime = 0;
  /** Counts anchors: rows asked for under an older one are no longer due. */
  epoch = 0;
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get row(): number {
    return this.#row;
  }
  get isPlaying(): boolean {
    return this.#isPlaying;
  }
  get isFollowing(): boolean {
    return this.#isFollowing;
  }
  get speed(): number {
    return this.#speed;
  }
  /** Every n-th row is played. */
  get every(): number {
    return this.#every;
  }
  get loop(): Loop {
    return this.#loop;
  }
  /** First row and the row after the last one. */
  get bounds(): [number, number] {
    return [this.#first, this.#stop];
  }
  /** The marked range, stop exclusive; null: nothing is marked. */
  get range(): [number, number] | null {
    if (this.#in === null && this.#out === null) return null;
    const start = this.#in ?? this.#first;
    const stop = (this.#out ?? this.#stop - 1) + 1;
    return start < stop ? [start, stop] : null;
  }
  /** The first and the last row as they were marked; null: that one was not. */
  get marks(): [first: number | null, last: number | null] {
    return [this.#in, this.#out];
  }
  /** Pictures a second; each is `every` rows on. */
  get rate(): number {
    return this.fps * this.#speed;
  }

  /** Rows that exist now. Moves the playhead along while it follows the tail. */
  setBounds(first: number, stop: number): void {
    if (first === this.#first && stop === this.#stop) return;
    this.#first = first;
    this.#stop = stop;
    if (this.#isFollowing) this.#row = this.#last;
    this.#row = this.#clamp(this.#row);
    this.onChange.emit();
  }

  /** Go to a row; stops following the tail, continues to play from there. */
  seek(row: number): void {
    this.#isFollowing = false;
    this.#move(row);
  }

  /** One or more rows on or back, as a person steps; pauses. */
  step(rows: number): void {
    this.#isPlaying = false;
    this.seek(this.#row + rows);
  }

  follow(isFollowing = true): void {
    this.#isFollowing = isFollowing;
    if (isFollowing) this.#isPlaying = false;
    this.#move(isFollowing ? this.#last : this.#row);
  }

  play(): void {
    if (this.#isPlaying || this.#stop <= this.#first) return;
    const [start, stop] = this.#span();
    this.#isPlaying = true;
    this.#isFollowing = false;
    this.#move(this.#row >= stop - 1 || this.#row < start ? start : this.#row);
  }

  pause(): void {
    if (!this.#isPlaying) return;
    this.#isPlaying = false;
    this.#move(this.#row);
  }

  toggle(): void {
    if (this.#isPlaying) this.pause();
    else this.play();
  }

  setSpeed(speed: number): void {
    if (!(speed > 0) || speed === this.#speed) return;
    this.#speed = speed;
    this.#move(this.#row);
  }

  /** Play every n-th row, as many pictures a second as before. */
  setEvery(every: number): void {
    if (!Number.isInteger(every) || every < 1 || every === this.#every) return;
    this.#every = every;
    this.#move(this.#row);
  }

  setLoop(loop: Loop): void {
    this.#loop = loop;
    this.#move(this.#row);
  }

  /** Mark the first or the last row of the range; null takes the mark away. */
  mark(edge: "in" | "out", row: number | null): void {
    if (edge === "in") {
      this.#in = row;
      if (row !== null && this.#out !== null && this.#out < row) this.#out = null;
    } else {
      this.#out = row;
      if (row !== null && this.#in !== null && this.#in > row) this.#in = null;
    }
    this.#move(this.#row);
  }

  /** Mark rows start..stop. */
  setRange([start, stop]: readonly [number, number]): void {
    this.#in = start;
    this.#out = stop - 1;
    this.#move(this.#row);
  }

  setMarks([first, last]: readonly [number | null, number | null]): void {
    this.#in = first;
    this.#out = last;
    this.#move(this.#row);
  }

  /** Take both marks away. */
  unmark(): void {
    this.#in = null;
    this.#out = null;
    if (this.#loop === "range") this.#loop = "off";
    this.#move(this.#row);
  }

  // -- while it plays

  /** How many pictures after the anchor are due now. */
  numDue(now: number): number {
    return Math.max(0, Math.floor(((now - this.#anchorTime) * this.rate) / 1000));
  }

  dueTime(k: number): number {
    return this.#anchorTime + (k * 1000) / this.rate;
  }

  /** Row of picture number k after the anchor; null: after the end. */
  rowOf(k: number): number | null {
    const [start, stop] = this.#span();
    const row = this.#anchorRow + k * this.#every;
    if (row < stop) return row;
    if (this.#loop === "off" || stop <= start) return null;
    return start + ((row - start) % (stop - start));
  }

  /** Move the playhead to the row that is due; stops at the end. */
  tick(now: number): void {
    if (!this.#isPlaying) return;
    const row = this.rowOf(this.numDue(now));
    if (row === null) {
      this.#isPlaying = false;
      this.#move(this.#span()[1] - 1);
    } else if (row !== this.#row) {
      this.#row = row;
      this.onChange.emit();
    }
  }

  /** Wait at a row whose pictures are not here yet. */
  hold(row: number): void {
    this.#move(row);
  }

  get #last(): number {
    return Math.max(this.#first, this.#stop - 1);
  }

  #episodeHere(): [number, number] | null {
    const found = this.episodeAt(this.#row);
    return found && [Math.max(this.#first, found[0]), Math.min(this.#stop, found[1])];
  }

  #span(): [number, number] {
    const marked =
      this.#loop === "range"
        ? this.range
        : this.#loop === "episode"
          ? this.#episode
          : null;
    return marked ?? [this.#first, this.#stop];
  }

  #move(row: number): void {
    this.#row = this.#clamp(row);
    this.#anchorRow = this.#row;
    this.#anchorTime = this.#now();
    // Looked up when the playhead is moved, not at each frame: an episode may be long.
    this.#episode = this.#loop === "episode" ? this.#episodeHere() : null;
    this.epoch++;
    this.onChange.emit();
  }

  #clamp(row: number): number {
    return Math.max(this.#first, Math.min(this.#last, Math.round(row)));
  }
}
