/**
 * The canvas pixels of each tile: its own canvas, or a cell of one that all share.
 *
 * Few tiles have a canvas each, which CSS places and scales; many canvases would be
 * slow to draw, so that many tiles share one, with whole pixels between them. Pure.
 */

import {
  type GridPart,
  indicesIn,
  type Layout,
  pictureIn,
  type Size,
} from "./layout.ts";

/** Where a slot's pixels are. */
export interface Cell {
  slot: number;
  /** Index of its tile in the grid. */
  index: number;
  /** On its canvas, in canvas pixels. */
  x: number;
  y: number;
  width: number;
  height: number;
  reduction: number;
}

/** The cells of the tiles in a part of the grid. */
export function cellsIn(
  layout: Layout,
  slots: readonly number[],
  sizes: readonly Size[],
  part: GridPart,
  density: number,
): Cell[] {
  const indices = indicesIn(layout, slots.length, part);
  return indices
    .filter((index) => slots[index]! >= 0)
    .map((index) => {
      const slot = slots[index]!;
      if (layout.canvasGap) return sharedCell(layout, slot, index, part);
      const size = sizes[index]!;
      const { reduction } = pictureIn(layout, size, density);
      return { slot, index, x: 0, y: 0, ...reducedTo(size, reduction), reduction };
    });
}

/** The size of the canvas that all tiles of a part share. */
export function sharedSize(layout: Layout, { columns, rows }: GridPart): Size {
  const cell = reducedTo(layout.cell, layout.reduction);
  const { canvasGap: gap } = layout;
  return {
    width: (columns[1] - columns[0]) * (cell.width + gap) - gap,
    height: (rows[1] - rows[0]) * (cell.height + gap) - gap,
  };
}

/** Where a frame of a size begins in a cell: it is in the middle. */
export function insetIn(cell: Cell, size: Size): { x: number; y: number } {
  const { width, height } = reducedTo(size, cell.reduction);
  return {
    x: Math.floor((cell.width - width) / 2),
    y: Math.floor((cell.height - height) / 2),
  };
}

function sharedCell(layout: Layout, slot: number, index: number, part: GridPart): Cell {
  const { reduction, canvasGap, columns } = layout;
  const size = reducedTo(layout.cell, reduction);
  const column = (index % columns) - part.columns[0];
  const row = Math.floor(index / columns) - part.rows[0];
  const [x, y] = [column * (size.width + canvasGap), row * (size.height + canvasGap)];
  return { slot, index, x, y, ...size, reduction };
}

export function reducedTo({ width, height }: Size, reduction: number): Size {
  return {
    width: Math.ceil(width / reduction),
    height: Math.ceil(height / reduction),
  };
}
