/** Decoded pictures onto canvases, each slot in its cell. */

import type { Picture } from "../decode/worker-pool.ts";
import { type Cell, insetIn, reducedTo } from "./cells.ts";
import type { Size } from "./layout.ts";
import type { StandIn } from "./previews.ts";

/** Where pixels go: canvases, or a fake in tests. */
export interface Surface {
  /** Put pixels into a cell; `x` and `y` are in the cell. */
  put(
    cell: Cell,
    pixels: Uint8ClampedArray<ArrayBuffer>,
    width: number,
    x: number,
    y: number,
  ): void;
  /** Put what stands in for a picture into a cell, scaled to a size. */
  draw(cell: Cell, standIn: StandIn, x: number, y: number, size: Size): void;
  /** Clear a cell: it has no picture, or one of another size. */
  clear(cell: Cell): void;
}

export function putPicture(
  surface: Surface,
  { patches, pixels }: Picture,
  cellOf: (slot: number) => Cell | undefined,
  sizes: ReadonlyMap<number, Size>,
): void {
  for (const { slot, x, y, width, height, offset } of patches) {
    const cell = cellOf(slot);
    if (!cell) continue;
    const inset = insetIn(cell, sizes.get(slot)!);
    const patch = new Uint8ClampedArray(pixels, offset, width * height * 4);
    surface.put(cell, patch, width, inset.x + x, inset.y + y);
  }
}

/** Put what stands in for a slot's picture into its cell. */
export function putStandIn(
  surface: Surface,
  standIn: StandIn,
  cell: Cell,
  size: Size,
): void {
  surface.clear(cell);
  const { x, y } = insetIn(cell, size);
  surface.draw(cell, standIn, x, y, reducedTo(size, cell.reduction));
}
