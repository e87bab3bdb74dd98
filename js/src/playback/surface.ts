/** Decoded pictures onto a canvas, each slot in its cell of the layout. */

import type { Picture } from "../decode/worker-pool.ts";
import { type Layout, originOf, type Size } from "./layout.ts";

/** Where pixels go; a 2d canvas context, or a fake in tests. */
export interface Surface {
  resize(width: number, height: number): void;
  put(
    pixels: Uint8ClampedArray<ArrayBuffer>,
    width: number,
    x: number,
    y: number,
  ): void;
  clear(x: number, y: number, width: number, height: number): void;
}

/** The slots on a canvas: which tile each of them is. */
export interface SlotTiles {
  layout: Layout;
  indices: ReadonlyMap<number, number>;
}

export function putPicture(
  surface: Surface,
  { patches, pixels }: Picture,
  { layout, indices }: SlotTiles,
  sizes: ReadonlyMap<number, Size>,
): void {
  for (const { slot, x, y, width, height, offset } of patches) {
    const origin = originOf(layout, indices.get(slot)!, sizes.get(slot)!);
    const patch = new Uint8ClampedArray(pixels, offset, width * height * 4);
    surface.put(patch, width, origin.x + x, origin.y + y);
  }
}

/** Clear the cell of a slot: it has no picture, or one of another size. */
export function clearSlot(
  surface: Surface,
  slot: number,
  { layout, indices }: SlotTiles,
): void {
  const index = indices.get(slot)!;
  const { cellWidth, cellHeight, columns } = layout;
  const x = (index % columns) * cellWidth;
  const y = Math.floor(index / columns) * cellHeight;
  surface.clear(x, y, cellWidth, cellHeight);
}
