/** Decoded pictures onto canvases, each slot in its cell. */

import type { Picture } from "../decode/worker-pool.ts";
import { type Cell, insetIn } from "./cells.ts";
import type { Size } from "./layout.ts";

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
