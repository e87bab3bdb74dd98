/**
 * Where tiles go: columns, cell size on the canvas, size on screen. Pure.
 *
 * The canvas holds frame pixels only, cell beside cell. Every cell has the size of
 * the largest frame, reduced by a whole number so that it stays at least as large as
 * on screen; smaller frames are in the middle of their cell.
 */

import { reducedSize } from "../decode/rgba.ts";

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

/**
 * Lay out frames of these sizes; `columns` null: as many as make tiles largest.
 *
 * Of `together` frames in a row, the cameras of an env, all are in one line.
 */
export function layOut(
  sizes: readonly Size[],
  space: Space,
  columns: number | null = null,
  together = 1,
): Layout {
  const cell = cellOf(sizes);
  const across = columns ?? bestColumns(sizes.length, cell, space, together);
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

/** A run of columns and rows of the grid, both stops exclusive. */
export interface GridPart {
  columns: readonly [first: number, stop: number];
  rows: readonly [first: number, stop: number];
}

/** Enlarge a layout; the canvas has as many pixels as are seen, or as there are. */
export function zoomed(
  layout: Layout,
  sizes: readonly Size[],
  factor: number,
  density: number,
): Layout {
  if (factor === 1) return layout;
  const cell = cellOf(sizes);
  const tileWidth = Math.max(1, Math.round(layout.tileWidth * factor));
  const scale = tileWidth / cell.width;
  const reduction = Math.max(1, Math.floor(1 / (scale * density) + 1e-6));
  return {
    ...layout,
    reduction,
    cellWidth: reducedSize(cell.width, reduction),
    cellHeight: reducedSize(cell.height, reduction),
    tileWidth,
    tileHeight: Math.max(1, Math.round(cell.height * scale)),
    isEnlarged: scale >= 1,
  };
}

/** The tiles that a window of the grid, in CSS pixels, shows any of. */
export function partIn(
  { columns, rows, tileWidth, tileHeight }: Layout,
  window: { x: number; y: number; width: number; height: number },
): GridPart {
  const run = (from: number, length: number, tile: number, count: number) => {
    const first = Math.min(count - 1, Math.max(0, Math.floor(from / tile)));
    const stop = Math.ceil((from + length) / tile);
    return [first, Math.max(first + 1, Math.min(count, stop))] as const;
  };
  return {
    columns: run(window.x, window.width, tileWidth, columns),
    rows: run(window.y, window.height, tileHeight, rows),
  };
}

/** Indices of the tiles in a part, and the layout of that part alone. */
export function cutOut(
  layout: Layout,
  count: number,
  { columns, rows }: GridPart,
): { indices: number[]; layout: Layout } {
  const indices: number[] = [];
  for (let row = rows[0]; row < rows[1]; row++)
    for (let column = columns[0]; column < columns[1]; column++) {
      const index = row * layout.columns + column;
      if (index < count) indices.push(index);
    }
  const size = { columns: columns[1] - columns[0], rows: rows[1] - rows[0] };
  return { indices, layout: { ...layout, ...size } };
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

function cellOf(sizes: readonly Size[]): Size {
  const [width, height] = sizes.reduce(
    ([wide, high], size) => [Math.max(wide, size.width), Math.max(high, size.height)],
    [1, 1],
  );
  return { width, height };
}

function bestColumns(
  count: number,
  cell: Size,
  space: Space,
  together: number,
): number {
  let [best, bestScale] = [together, 0];
  for (let columns = together; columns <= count; columns += together) {
    const rows = Math.ceil(count / columns);
    const fewer = columns - together;
    if (fewer > 0 && Math.ceil(count / fewer) === rows) continue; // no gain
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
