/**
 * The canvases of frame pixels: of the tiles in sight, and no others.
 *
 * Each tile has its own, or all share one (cells.ts). A canvas of a tile that stays in
 * sight keeps its pixels when the grid is laid out anew.
 */

import { type Cell, sharedSize } from "../../playback/cells.ts";
import {
  cornerOf,
  type GridPart,
  type Layout,
  pictureIn,
  type Size,
} from "../../playback/layout.ts";
import type { StandIn } from "../../playback/previews.ts";
import type { Surface } from "../../playback/surface.ts";
import { make } from "../dom.ts";

/** What is shown, and where. */
export interface Placed {
  layout: Layout;
  part: GridPart;
  cells: readonly Cell[];
  /** Sizes of the frames of all tiles in the grid, by index. */
  sizes: readonly Size[];
  density: number;
}

type Context = CanvasRenderingContext2D;

interface Held {
  cell: Cell;
  context: Context;
}

/** From so many device pixels for each frame pixel on, these stay squares. */
const SQUARES = 2;

export class Frames implements Surface {
  readonly el: HTMLElement;
  #held = new Map<number, Held>();
  #placed: Placed | null = null;

  constructor(className = "rv-frames") {
    this.el = make("div", { class: className, "aria-hidden": "true" });
  }

  /** Lay out canvases for cells; returns the slots whose pixels are still right. */
  place(placed: Placed): ReadonlySet<number> {
    const before = this.#held;
    this.#placed = placed;
    this.#held = placed.layout.canvasGap
      ? shareCanvas(placed)
      : this.#ownCanvases(placed.cells, before);
    const kept = new Set<number>();
    for (const [slot, held] of this.#held) {
      const old = before.get(slot);
      // Till the pixels come, those that were there stay in their places.
      if (old && old.context !== held.context) drawInto(held, old);
      if (old && isSameSize(old.cell, held.cell)) kept.add(slot);
      if (!placed.layout.canvasGap) this.#placeCanvas(held);
    }
    this.#show();
    return kept;
  }

  put(
    cell: Cell,
    pixels: Uint8ClampedArray<ArrayBuffer>,
    width: number,
    x: number,
    y: number,
  ): void {
    const context = this.#held.get(cell.slot)?.context;
    context?.putImageData(new ImageData(pixels, width), cell.x + x, cell.y + y);
  }

  draw(cell: Cell, from: StandIn, x: number, y: number, to: Size): void {
    const context = this.#held.get(cell.slot)?.context;
    if (context) from.draw(context, cell.x + x, cell.y + y, to.width, to.height);
  }

  clear({ slot, x, y, width, height }: Cell): void {
    this.#held.get(slot)?.context.clearRect(x, y, width, height);
  }

  /** The pixels of a slot as they are on its canvas; null: it is not in sight. */
  read(slot: number): ImageData | null {
    const held = this.#held.get(slot);
    if (!held) return null;
    const { x, y, width, height } = held.cell;
    return held.context.getImageData(x, y, width, height);
  }

  /** What was placed last. */
  get placed(): Placed | null {
    return this.#placed;
  }

  /** Forget all pixels. */
  reset(): void {
    this.#held.clear();
  }

  #ownCanvases(cells: readonly Cell[], before: ReadonlyMap<number, Held>) {
    return new Map(
      cells.map((cell) => {
        const old = before.get(cell.slot);
        const isSame = old && this.#isOwn(old) && isSameSize(old.cell, cell);
        const context = isSame ? old.context : contextOf(cell);
        return [cell.slot, { cell, context }] as const;
      }),
    );
  }

  #isOwn({ cell, context: { canvas } }: Held): boolean {
    return canvas.width === cell.width && canvas.height === cell.height;
  }

  #placeCanvas({ cell, context }: Held): void {
    const { layout, sizes, density } = this.#placed!;
    const corner = cornerOf(layout, cell.index);
    const picture = pictureIn(layout, sizes[cell.index]!, density);
    const { style } = context.canvas;
    style.left = `${corner.x + picture.left}px`;
    style.top = `${corner.y + picture.top}px`;
    style.width = `${picture.width}px`;
    style.height = `${picture.height}px`;
    setSquares(context.canvas, picture.scale * density);
  }

  /** Put the canvases into the page; tests read from the attributes where a tile is. */
  #show(): void {
    const { part, cells, layout } = this.#placed!;
    const canvases = new Set([...this.#held.values()].map((one) => one.context.canvas));
    for (const child of [...this.el.children])
      if (!canvases.has(child as HTMLCanvasElement)) child.remove();
    for (const canvas of canvases) if (!canvas.isConnected) this.el.append(canvas);
    for (const [at, { slot }] of cells.entries())
      if (!layout.canvasGap)
        this.#held.get(slot)!.context.canvas.dataset.place = String(at);
    const { dataset } = this.el;
    dataset.caption = String(layout.caption);
    dataset.columns = String(part.columns[1] - part.columns[0]);
    dataset.reduction = String(layout.reduction);
    dataset.gap = String(layout.canvasGap);
    dataset.cellWidth = String(Math.max(...cells.map((cell) => cell.width), 1));
    dataset.cellHeight = String(Math.max(...cells.map((cell) => cell.height), 1));
  }
}

/** One canvas for all cells. */
function shareCanvas({ layout, part, cells, density }: Placed): Map<number, Held> {
  const size = sharedSize(layout, part);
  const context = contextOf(size);
  const { style } = context.canvas;
  const { columns } = layout;
  const corner = cornerOf(layout, part.rows[0] * columns + part.columns[0]);
  const last = cornerOf(layout, (part.rows[1] - 1) * columns + part.columns[1] - 1);
  style.left = `${corner.x}px`;
  style.top = `${corner.y}px`;
  style.width = `${last.x + layout.tileWidth - corner.x}px`;
  style.height = `${last.y + layout.tileHeight - corner.y}px`;
  setSquares(context.canvas, layout.scale * density);
  return new Map(cells.map((cell) => [cell.slot, { cell, context }]));
}

function setSquares(canvas: HTMLCanvasElement, scale: number): void {
  canvas.classList.toggle("rv-squares", scale >= SQUARES - 1e-6);
}

function contextOf({ width, height }: Size): Context {
  const canvas = make("canvas", { width, height });
  // Patches come from memory and tests read pixels back: no trip to the GPU.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("[rollout_viewer] this browser draws no 2d canvas");
  return context;
}

function isSameSize(a: Cell, b: Cell): boolean {
  return a.width === b.width && a.height === b.height && a.reduction === b.reduction;
}

function drawInto({ context, cell }: Held, old: Held): void {
  context.imageSmoothingEnabled = false;
  const { x, y, width, height } = old.cell;
  const { canvas } = old.context;
  if (!canvas.width || !canvas.height) return;
  context.drawImage(
    canvas,
    ...([x, y, width, height] as const),
    ...([cell.x, cell.y, cell.width, cell.height] as const),
  );
}
