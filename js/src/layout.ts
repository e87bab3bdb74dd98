/**
 * Where tiles go: columns, cell size on the canvas, size on screen. Pure.
 *
 * The canvas holds frame pixels only, cell beside cell. Every cell has the size of
 * the largest frame, reduced by a whole number so that it stays at least as large as
 * on screen; smaller frames stand in the middle of their cell.
 */

import { reducedSize } from "./pixels.ts";

export interface Size {
  width: number;
  height: number;
}

export interface Layout {
  columns: number;
  rows: number;
  reduction: number;
  /** A cell on the canvas, in canvas pixels. */
  cellWidth: number;
  cellHeight: number;
  /** A cell on screen, in CSS pixels. */
  tileWidth: number;
  tileHeight: number;
  /** Frames are enlarged: pixels should stay squares. */
  isEnlarged: boolean;
}

export interface Space {
  /** CSS pixels across; the grid takes no more. */
  width: number;
  /** CSS pixels that the grid should stay within; a single column may exceed it. */
  height: number;
  /** Device pixels for each CSS pixel. */
  density: number;
}

const MAX_ENLARGEMENT = 8;
/** How far a scale may be from a whole one that it becomes. */
const SNAP = 1.15;

/** Lay out frames of these sizes; `columns` null: as many as make tiles largest. */
export function layOut(
  sizes: readonly Size[],
  space: Space,
  columns: number | null = null,
): Layout {
  const cell = {
    width: Math.max(1, ...sizes.map((size) => size.width)),
    height: Math.max(1, ...sizes.map((size) => size.height)),
  };
  const across = columns ?? bestColumns(sizes.length, cell, space);
  const numColumns = Math.max(1, Math.min(across, Math.max(1, sizes.length)));
  const numRows = Math.max(1, Math.ceil(sizes.length / numColumns));
  const scale = scaleOf(numColumns, numRows, cell, space);
  // Rounded up as the canvas's cells are, where the width has room for that.
  const wide = Math.ceil(cell.width * scale - 1e-6);
  const isTight = wide * numColumns > space.width;
  const tileWidth = Math.max(1, isTight ? Math.floor(cell.width * scale) : wide);
  const tileHeight = Math.max(1, Math.ceil(cell.height * scale - 1e-6));
  const reduction = Math.max(1, Math.floor(1 / (scale * space.density) + 1e-6));
  return {
    columns: numColumns,
    rows: numRows,
    reduction,
    cellWidth: reducedSize(cell.width, reduction),
    cellHeight: reducedSize(cell.height, reduction),
    tileWidth,
    tileHeight,
    isEnlarged: scale >= 1,
  };
}

/** Lay out one frame alone, at full size: every pixel, never reduced. */
export function layOutAlone(size: Size, space: Space): Layout {
  const layout = layOut([size], { ...space, density: 1 }, 1);
  if (layout.isEnlarged) return layout;
  return {
    ...layout,
    reduction: 1,
    cellWidth: size.width,
    cellHeight: size.height,
    tileWidth: size.width,
    tileHeight: size.height,
    isEnlarged: true,
  };
}

/** Index of the tile at a point of the grid in CSS pixels; null: none is there. */
export function tileAt(
  layout: Layout,
  count: number,
  x: number,
  y: number,
): number | null {
  const column = Math.floor(x / layout.tileWidth);
  const row = Math.floor(y / layout.tileHeight);
  if (column < 0 || column >= layout.columns || row < 0) return null;
  const index = row * layout.columns + column;
  return index < count ? index : null;
}

/** Top left corner of a frame on the canvas: in the middle of its cell. */
export function originOf(
  layout: Layout,
  index: number,
  size: Size,
): { x: number; y: number } {
  const column = index % layout.columns;
  const row = Math.floor(index / layout.columns);
  const inside = (cell: number, frame: number) =>
    Math.floor((cell - reducedSize(frame, layout.reduction)) / 2);
  return {
    x: column * layout.cellWidth + inside(layout.cellWidth, size.width),
    y: row * layout.cellHeight + inside(layout.cellHeight, size.height),
  };
}

function bestColumns(count: number, cell: Size, space: Space): number {
  let [best, bestScale] = [1, 0];
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    if (columns > 1 && Math.ceil(count / (columns - 1)) === rows) continue; // no gain
    const scale = scaleToFit(columns, rows, cell, space);
    if (scale > bestScale * 1.001) [best, bestScale] = [columns, scale];
  }
  return best;
}

/**
 * CSS pixels for each frame pixel.
 *
 * Whole enlargements keep pixels equal, and whole reductions are what the canvas has
 * exactly: a scale near one of them becomes it, if the width allows it.
 */
function scaleOf(columns: number, rows: number, cell: Size, space: Space): number {
  const across = space.width / (columns * cell.width);
  const fit = scaleToFit(columns, rows, cell, space);
  if (fit * SNAP >= 1) {
    const whole = Math.min(MAX_ENLARGEMENT, Math.floor(fit * SNAP));
    return whole <= across ? whole : Math.min(across, Math.max(1, whole - 1));
  }
  const whole = 1 / Math.ceil(1 / (fit * SNAP));
  return whole * SNAP > fit && whole <= across ? whole : fit;
}

function scaleToFit(columns: number, rows: number, cell: Size, space: Space): number {
  const across = space.width / (columns * cell.width);
  return Math.min(across, space.height / (rows * cell.height));
}
