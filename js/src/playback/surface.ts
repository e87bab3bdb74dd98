/** Decoded pictures onto a canvas, each slot in its cell of the layout. */

import { reducedSize } from "../decode/rgba.ts";
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

/** The slots on a canvas: which tile each of them is, and how large its frames are. */
export interface SlotTiles {
  layout: Layout;
  indices: ReadonlyMap<number, number>;
  sizes: readonly Size[];
}

export function putPicture(
  surface: Surface,
  { patches, pixels }: Picture,
  { layout, indices, sizes }: SlotTiles,
): void {
  for (const { slot, x, y, width, height, offset } of patches) {
    const origin = originOf(layout, indices.get(slot)!, sizes[slot]!);
    const patch = new Uint8ClampedArray(pixels, offset, width * height * 4);
    surface.put(patch, width, origin.x + x, origin.y + y);
  }
}

/** Clear the cell of a slot that has no picture. */
export function clearSlot(
  surface: Surface,
  slot: number,
  { layout, indices, sizes }: SlotTiles,
): void {
  const size = sizes[slot]!;
  const { x, y } = originOf(layout, indices.get(slot)!, size);
  surface.clear(
    x,
    y,
    reducedSize(size.width, layout.reduction),
    reducedSize(size.height, layout.reduction),
  );
}
