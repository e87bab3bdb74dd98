/**
 * Puts the row of the clock on a canvas: one per view.
 *
 * Asks the pool for what changed since the row before, keeps a few rows in flight
 * while playing, and draws a picture when its row is due. Results are patches upon
 * each other, so they are drawn in the order of the requests; one that is not due is
 * drawn together with the next one that is.
 */

import type { Decoding, Picture } from "../decode/worker-pool.ts";
import type { Store } from "../recording/store.ts";
import { Emitter } from "../util/emitter.ts";
import type { Cell } from "./cells.ts";
import type { Clock } from "./clock.ts";
import type { Previews, StandIn } from "./previews.ts";
import { type DrawnSlots, planRow, type RowPlan } from "./row-plan.ts";
import { putPicture, putStandIn, type Surface } from "./surface.ts";

export type { Surface } from "./surface.ts";

interface FrameRequest extends Omit<RowPlan, "plans"> {
  row: number;
  /** Number after the clock's anchor while playing; -1: it is to be drawn at once. */
  k: number;
  epoch: number;
  isWanted: boolean;
  generation: number;
  pictures: Picture[] | null;
  /** Of `missing`, those that are shown as a preview. */
  previewed: readonly number[];
  standIns: readonly StandIn[];
}

/** Rows in flight while playing: one decoding, one on its way, one to draw. */
const MAX_IN_FLIGHT = 3;
const LEAD_MS = 60;
const FRAME_MS = 1000 / 60;

export class Player {
  /** A row was drawn, or what is missing of it changed. */
  readonly onDraw = new Emitter();
  onError: (error: Error) => void = () => {};
  drawnRow = -1;
  /** Slots of the drawn row that show nothing, and those still to come. */
  absent: readonly number[] = [];
  missing: readonly number[] = [];
  /** Slots of the drawn row that show a preview. */
  previewed: readonly number[] = [];
  /** Where the link is thin. */
  previews: Previews | null = null;
  readonly stats = { drawn: 0, late: 0, decodes: 0, hits: 0, misses: 0 };
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #pool: Decoding;
  readonly #surface: Surface;
  #slots: readonly number[] = [];
  #cells = new Map<number, Cell>();
  /** The generation in which a slot's cell began to be drawn. */
  #since = new Map<number, number>();
  #generation = 0;
  readonly #drawn: DrawnSlots = {
    states: new Map(),
    recorded: new Map(),
    slots: new Set(),
  };
  #requests: FrameRequest[] = [];
  #lastRequest: FrameRequest | null = null;
  #preview: { row: number; epoch: number; from: number } | null = null;

  constructor(store: Store, clock: Clock, pool: Decoding, surface: Surface) {
    this.#store = store;
    this.#clock = clock;
    this.#pool = pool;
    this.#surface = surface;
  }

  get slots(): readonly number[] {
    return this.#slots;
  }

  /** By how much the largest pictures are smaller on the canvas. */
  get reduction(): number {
    const all = [...this.#cells.values()].map(({ reduction }) => reduction);
    return Math.max(1, ...all);
  }

  /** Show these slots, in this order; those in `kept` have their pixels already. */
  setCells(cells: readonly Cell[], kept: ReadonlySet<number> = new Set()): void {
    this.#slots = cells.map(({ slot }) => slot);
    this.#cells = new Map(cells.map((cell) => [cell.slot, cell]));
    this.#generation++;
    const since = (slot: number) =>
      (kept.has(slot) ? this.#since.get(slot) : undefined) ?? this.#generation;
    this.#since = new Map(this.#slots.map((slot) => [slot, since(slot)]));
    for (const slot of this.#drawn.slots)
      if (this.#since.get(slot) === this.#generation || !this.#since.has(slot))
        this.#drawn.slots.delete(slot);
    this.#lastRequest = null;
    this.update();
  }

  /** Forget all frames: another recording came. */
  reset(): void {
    this.#drawn.states.clear();
    this.#drawn.slots.clear();
    this.#since.clear();
    this.#lastRequest = null;
    this.#generation++;
    this.drawnRow = -1;
  }

  /**
   * Show another row while the clock rests, until that moves; null: the clock's.
   *
   * Only one whose pictures are all here: nothing is asked for.
   */
  preview(row: number | null): void {
    const before = this.#row;
    const isHere = row !== null && this.#store.hasRow(row, this.#slots);
    const { epoch, row: from } = this.#clock;
    this.#preview = isHere ? { row, epoch, from } : null;
    if (this.#row !== before) this.update();
  }

  /** The row to show while the clock rests. */
  get #row(): number {
    const { isPlaying, epoch, row } = this.#clock;
    const preview = this.#preview;
    const isOn = preview?.epoch === epoch && preview.from === row && !isPlaying;
    return isOn ? preview.row : row;
  }

  /** Ask for what the clock wants, and draw what has come; any time, any often. */
  update(now = performance.now()): void {
    if (!this.#slots.length || !this.#store.numRows) return;
    if (this.#clock.isPlaying) this.#askAhead(now);
    else this.#askOne();
    this.#drawDue(now);
  }

  #askOne(): void {
    const row = this.#row;
    const last = this.#lastRequest;
    if (last?.row === row && last.generation === this.#generation) {
      // What was missing may have come meanwhile.
      const came = last.missing.some(
        (slot) =>
          this.#store.has(row, slot) ||
          (!last.previewed.includes(slot) && this.previews?.has(row, slot)),
      );
      if (!came) {
        last.isWanted = true;
        return;
      }
    }
    // While a finger drags, only the newest row is worth decoding.
    if (this.#numUndecoded() < 2) this.#ask(row, -1, true);
  }

  #askAhead(now: number): void {
    const clock = this.#clock;
    const rate = clock.rate;
    for (;;) {
      if (
        this.#numUndecoded() >= MAX_IN_FLIGHT ||
        this.#requests.length > MAX_IN_FLIGHT
      )
        return;
      const last = this.#lastRequest;
      const isNext = last !== null && last.epoch === clock.epoch && last.k >= 0;
      const stride = Math.max(1, Math.floor((rate * FRAME_MS) / 1000));
      const k = isNext
        ? Math.max(last.k + stride, clock.numDue(now))
        : clock.numDue(now);
      if (clock.dueTime(k) > now + LEAD_MS) return;
      const row = clock.rowOf(k);
      if (row === null) return;
      if (!this.#hasRow(row)) {
        // Play on when its pictures are here: from the row after the last one, however
        // many are due meanwhile. None is passed over for one that is still to come.
        const isAhead = this.#requests.some(({ epoch }) => epoch === clock.epoch);
        if (clock.dueTime(k) <= now && !isAhead) {
          const next = clock.rowOf(isNext ? last.k + stride : 0) ?? row;
          const isHere = this.#hasRow(next);
          if (!isHere && next !== this.drawnRow) this.#markMissing(next);
          clock.hold(next);
          if (isHere) this.#ask(next, 0, false);
        }
        return;
      }
      this.#ask(row, k, false);
    }
  }

  #has(row: number, slot: number): boolean {
    return this.#store.has(row, slot) || this.previews?.has(row, slot) === true;
  }

  #hasRow(row: number): boolean {
    return this.#slots.every((slot) => this.#has(row, slot));
  }

  /** Whether missing pictures may take long: the row's numbers are shown without. */
  get #isRendered(): boolean {
    return this.#store.manifest?.renders === true;
  }

  #markMissing(row: number): void {
    this.missing = this.#slots.filter((slot) => !this.#has(row, slot));
    if (this.#isRendered) this.drawnRow = row;
    this.onDraw.emit();
  }

  #numUndecoded(): number {
    return this.#requests.filter((request) => !request.pictures).length;
  }

  #ask(row: number, k: number, isWanted: boolean): void {
    const reductionOf = (slot: number) => this.#cells.get(slot)!.reduction;
    const generation = this.#generation;
    const epoch = this.#clock.epoch;
    const found = planRow(this.#store, row, this.#slots, reductionOf, this.#drawn);
    const { plans, missing } = found;
    const previews = this.previews;
    const previewed = missing.filter((slot) => previews?.has(row, slot));
    // Whatever is exact and comes next is drawn whole.
    for (const slot of previewed) this.#drawn.slots.delete(slot);
    const isHere = !plans.length && !previewed.length;
    const pictures: Picture[] | null = isHere ? [] : null;
    if (missing.length) this.stats.misses++;
    else this.stats.hits++;
    const request: FrameRequest = {
      ...found,
      row,
      k,
      epoch,
      isWanted,
      generation,
      pictures,
      previewed,
      standIns: [],
    };
    this.#requests.push(request);
    this.#lastRequest = request;
    if (pictures) return;
    Promise.all([
      plans.length ? this.#pool.run(plans) : [],
      previewed.length ? previews!.read(row, previewed) : [],
    ]).then(
      ([results, standIns]) => {
        request.standIns = standIns;
        request.previewed = standIns.map(({ slot }) => slot);
        request.pictures = results;
        this.stats.decodes = this.#pool.numDecodes;
        if (standIns.length < previewed.length) this.#noteUnread(request);
        this.update();
      },
      (error: Error) => {
        // What the decoder holds is unknown now: begin anew, but do not try again
        // at once, or the same record would fail for ever.
        this.#requests = [];
        this.#drawn.states.clear();
        this.#drawn.slots.clear();
        this.onError(error);
      },
    );
  }

  /** Some previews of a row did not decode: they are missing. */
  #noteUnread({ k, epoch }: FrameRequest): void {
    const clock = this.#clock;
    if (k < 0 || !clock.isPlaying || epoch !== clock.epoch) return;
    // Play on from the first row that was not drawn, when it is here.
    clock.hold(this.#requests.find((one) => one.epoch === epoch)!.row);
  }

  #drawDue(now: number): void {
    const { isPlaying, epoch } = this.#clock;
    let count = 0;
    for (const [index, request] of this.#requests.entries()) {
      if (!request.pictures) break;
      const isDue =
        request.isWanted ||
        (isPlaying &&
          request.epoch === epoch &&
          this.#clock.dueTime(request.k) <= now + 1);
      if (isDue) count = index + 1;
    }
    if (!count) return;
    const requests = this.#requests.splice(0, count);
    for (const request of requests) this.#draw(request);
    const last = requests.at(-1)!;
    // One from before the cells changed is not all that is to be seen of its row.
    if (last.generation === this.#generation) {
      this.absent = last.absent;
      this.previewed = last.previewed;
      this.missing = last.missing.filter((slot) => !last.previewed.includes(slot));
      if (!this.missing.length || this.#isRendered) this.drawnRow = last.row;
    }
    this.stats.drawn++;
    const isOverdue = now - this.#clock.dueTime(last.k) > FRAME_MS;
    if (isPlaying && !last.isWanted && last.epoch === epoch && isOverdue)
      this.stats.late++;
    this.onDraw.emit();
    // A drag went on while this row was decoded.
    const isOld = last.generation !== this.#generation;
    if (!isPlaying && (isOld || this.#row !== last.row)) this.#askOne();
  }

  #draw(request: FrameRequest): void {
    const { generation, pictures, absent, sizes, renewed, standIns } = request;
    // A cell that was kept takes what was requested before it moved, too.
    const cellOf = (slot: number) =>
      (this.#since.get(slot) ?? Number.POSITIVE_INFINITY) <= generation
        ? this.#cells.get(slot)
        : undefined;
    for (const slot of [...absent, ...renewed]) {
      const cell = cellOf(slot);
      if (cell) this.#surface.clear(cell);
    }
    for (const picture of pictures ?? []) {
      putPicture(this.#surface, picture, cellOf, sizes);
      this.#pool.recycle(picture);
    }
    for (const standIn of standIns) {
      const cell = cellOf(standIn.slot);
      const size = this.#store.manifest?.slots[standIn.slot];
      if (cell && size) putStandIn(this.#surface, standIn, cell, size);
    }
  }
}
