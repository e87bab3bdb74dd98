/**
 * Where tiles go: columns, their size on screen, the gaps between them. Pure.
 *
 * A tile is a picture and the caption below it. All tiles have the size of the largest
 * frame, and each frame is as large as its tile allows: CSS scales a canvas that has
 * exact pixels, or means of squares of them where the screen shows fewer. How many
 * canvases there are: cells.ts.
 */

export interface Size {
  width: number;
  height: number;
}

export interface Layout {
  columns: number;
  rows: number;
  /** The largest frame, in its own pixels. */
  cell: Size;
  /** CSS pixels for each pixel of the largest frame. */
  scale: number;
  /** A tile's picture, in CSS pixels. */
  tileWidth: number;
  tileHeight: number;
  /** Between tiles, in CSS pixels. */
  gapX: number;
  gapY: number;
  /** Height of the caption below a picture; 0: there is none. */
  caption: number;
  /** By how much the largest frame is reduced on a canvas. */
  reduction: number;
  /** Between tiles in canvas pixels, where one canvas has all; 0: each has its own. */
  canvasGap: number;
  /** Frames of any size have one scale: a pixel is a whole number of device pixels. */
  isActual: boolean;
}

export interface Space {
  /** CSS pixels across; the grid takes no more. */
  width: number;
  /** CSS pixels that the grid should stay within, unless its tiles were tiny. */
  height: number;
  /** Device pixels for each CSS pixel. */
  density: number;
  /** False: no tile has a caption, however much room there is. */
  hasCaptions?: boolean;
}

/** From so many tiles on they are close together, and without captions. */
export const MANY = 40;
export const CAPTION_PX = 24;
const [GAP_PX, NARROW_GAP_PX] = [8, 2];
/** Below this width a caption has no room for a name and a return. */
const MIN_CAPTION_WIDTH_PX = 90;
/** A grid of smaller tiles scrolls. */
const MIN_TILE_PX = 40;
/** How far above a whole scale one may be to become it: then pixels are equal. */
const SNAP = 1.04;

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
  const frames = { count: Math.max(1, sizes.length), cell: cellOf(sizes) };
  const gap = gapOf(frames.count);
  const fit = (caption: number) =>
    fitGrid(frames, { ...space, gap, caption }, columns, together);
  const captioned = fit(mayHaveCaptions(frames.count, space) ? CAPTION_PX : 0);
  const isNarrow = frames.cell.width * captioned.scale < MIN_CAPTION_WIDTH_PX;
  const fitted = isNarrow ? fit(0) : captioned;
  const layout = build(frames, fitted, space, isNarrow ? 0 : undefined);
  // Whole canvas pixels between tiles may be more than the gap that was planned.
  const excess = widthOf(layout) / space.width;
  if (!layout.canvasGap || excess <= 1) return layout;
  return build(frames, { ...fitted, scale: fitted.scale / excess }, space, 0);
}

/** Lay out one frame alone: every pixel, never reduced. */
export function layOutAlone(size: Size, space: Space): Layout {
  return { ...layOut([size], space, 1), reduction: 1 };
}

/** Enlarge a layout; a canvas has as many pixels as are seen, or as there are. */
export function zoomed(
  layout: Layout,
  count: number,
  factor: number,
  space: Space,
): Layout {
  if (factor === 1) return layout;
  const { columns, cell, scale } = layout;
  return build({ count, cell }, { columns, scale: scale * factor }, space);
}

/** Show each frame pixel as a whole number of device pixels, as near to one CSS pixel. */
export function actual(layout: Layout, count: number, space: Space): Layout {
  const scale = actualScale(space.density);
  const { columns, cell } = layout;
  return { ...build({ count, cell }, { columns, scale }, space), isActual: true };
}

export function actualScale(density: number): number {
  return Math.max(1, Math.round(density)) / density;
}

export function widthOf({ columns, tileWidth, gapX }: Layout): number {
  return columns * (tileWidth + gapX) - gapX;
}

export function heightOf({ rows, tileHeight, caption, gapY }: Layout): number {
  return rows * (tileHeight + caption + gapY) - gapY;
}

/** Where a frame of a size is in its tile, in CSS pixels, and how it is scaled. */
export function pictureIn(layout: Layout, size: Size, density: number) {
  const { tileWidth, tileHeight, isActual, cell } = layout;
  const isLargest = size.width === cell.width && size.height === cell.height;
  const scale =
    isActual || layout.canvasGap
      ? layout.scale
      : Math.min(tileWidth / size.width, tileHeight / size.height);
  const width = isLargest ? tileWidth : size.width * scale;
  const height = isLargest ? tileHeight : size.height * scale;
  return {
    left: snap((tileWidth - width) / 2, density),
    top: snap((tileHeight - height) / 2, density),
    width,
    height,
    scale,
    reduction: isLargest ? layout.reduction : reductionAt(scale, density),
  };
}

/** Left top corner of a tile, in CSS pixels. */
export function cornerOf(layout: Layout, index: number): { x: number; y: number } {
  const [column, row] = [index % layout.columns, Math.floor(index / layout.columns)];
  return {
    x: column * (layout.tileWidth + layout.gapX),
    y: row * (layout.tileHeight + layout.caption + layout.gapY),
  };
}

/** A run of columns and rows of the grid, both stops exclusive. */
export interface GridPart {
  columns: readonly [first: number, stop: number];
  rows: readonly [first: number, stop: number];
}

/** The tiles that a window of the grid, in CSS pixels, shows any of. */
export function partIn(
  { columns, rows, tileWidth, tileHeight, caption, gapX, gapY }: Layout,
  window: { x: number; y: number; width: number; height: number },
): GridPart {
  const run = (
    from: number,
    length: number,
    tile: number,
    gap: number,
    count: number,
  ) => {
    const first = Math.floor((from + gap) / (tile + gap));
    const stop = Math.ceil((from + length) / (tile + gap));
    const start = Math.min(count - 1, Math.max(0, first));
    return [start, Math.max(start + 1, Math.min(count, stop))] as const;
  };
  return {
    columns: run(window.x, window.width, tileWidth, gapX, columns),
    rows: run(window.y, window.height, tileHeight + caption, gapY, rows),
  };
}

/** Indices of the tiles in a part. */
export function indicesIn(
  layout: Layout,
  count: number,
  { columns, rows }: GridPart,
): number[] {
  const indices: number[] = [];
  for (let row = rows[0]; row < rows[1]; row++)
    for (let column = columns[0]; column < columns[1]; column++) {
      const index = row * layout.columns + column;
      if (index < count) indices.push(index);
    }
  return indices;
}

/** Index of the tile at a point of the grid in CSS pixels; null: none is there. */
export function tileAt(
  layout: Layout,
  count: number,
  x: number,
  y: number,
): number | null {
  const [column, acrossX] = stepsTo(x, layout.tileWidth, layout.gapX);
  const [row, acrossY] = stepsTo(y, layout.tileHeight + layout.caption, layout.gapY);
  if (column < 0 || column >= layout.columns || row < 0) return null;
  if (acrossX > 1 || acrossY > 1) return null;
  const index = row * layout.columns + column;
  return index < count ? index : null;
}

/** A point of one layout, where it is in another one of the same tiles. */
export function movedPoint(
  from: Layout,
  to: Layout,
  { x, y }: { x: number; y: number },
): { x: number; y: number } {
  const move = (
    at: number,
    tile: number,
    gap: number,
    next: number,
    nextGap: number,
  ) => {
    const [count, across] = stepsTo(at, tile, gap);
    return count * (next + nextGap) + Math.min(1, across) * next;
  };
  return {
    x: move(x, from.tileWidth, from.gapX, to.tileWidth, to.gapX),
    y: move(
      y,
      from.tileHeight,
      from.caption + from.gapY,
      to.tileHeight,
      to.caption + to.gapY,
    ),
  };
}

/** How many tiles are before a point, and what share of the next one. */
function stepsTo(at: number, tile: number, gap: number): [number, number] {
  const count = Math.floor(at / (tile + gap));
  return [count, (at - count * (tile + gap)) / tile];
}

interface Frames {
  count: number;
  /** The size of the largest. */
  cell: Size;
}

interface Fitted {
  columns: number;
  scale: number;
}

function build(
  { count, cell }: Frames,
  { columns, scale }: Fitted,
  space: Space,
  wantedCaption?: number,
): Layout {
  const { width, height, density } = space;
  const device = (length: number) =>
    Math.max(1, Math.round(length * density + 1e-6)) / density;
  const [tileWidth, tileHeight] = [
    device(cell.width * scale),
    device(cell.height * scale),
  ];
  const isWide = tileWidth >= MIN_CAPTION_WIDTH_PX;
  const hasCaption = isWide && mayHaveCaptions(count, space);
  const caption = wantedCaption ?? (hasCaption ? CAPTION_PX : 0);
  const gap = gapOf(count);
  const inSight = (length: number, tile: number) =>
    Math.ceil(length / (tile + gap)) + 1;
  const numSeen = inSight(width, tileWidth) * inSight(height, tileHeight);
  const isShared = Math.min(count, numSeen) >= MANY;
  const reduction = reductionAt(scale, density);
  // CSS pixels of a canvas pixel.
  const [across, down] = [
    tileWidth / Math.ceil(cell.width / reduction),
    tileHeight / Math.ceil(cell.height / reduction),
  ];
  const canvasGap = isShared ? Math.max(1, Math.round(gap / across)) : 0;
  return {
    columns,
    rows: Math.ceil(count / columns),
    cell,
    scale,
    tileWidth,
    tileHeight,
    gapX: isShared ? canvasGap * across : gap,
    gapY: isShared ? canvasGap * down : gap,
    caption,
    reduction,
    canvasGap,
    isActual: false,
  };
}

function mayHaveCaptions(count: number, { hasCaptions = true }: Space): boolean {
  return hasCaptions && count < MANY;
}

function reductionAt(scale: number, density: number): number {
  return Math.max(1, Math.floor(1 / (scale * density) + 1e-6));
}

function snap(length: number, density: number): number {
  return Math.round(length * density) / density;
}

function gapOf(count: number): number {
  return count < MANY ? GAP_PX : NARROW_GAP_PX;
}

function cellOf(sizes: readonly Size[]): Size {
  const [width, height] = sizes.reduce(
    ([wide, high], size) => [Math.max(wide, size.width), Math.max(high, size.height)],
    [1, 1],
  );
  return { width, height };
}

/** A space, and what tiles have around their pictures. */
interface Frame extends Space {
  gap: number;
  caption: number;
}

/** The columns and the scale that make tiles largest; a grid of tiny ones scrolls. */
function fitGrid(
  frames: Frames,
  space: Frame,
  columns: number | null,
  together: number,
): Fitted {
  const { count, cell } = frames;
  const best = columns ?? bestColumns(frames, space, together);
  const numColumns = Math.max(1, Math.min(best, count));
  const scale = scaleToFit(numColumns, frames, space);
  const larger = Math.max(cell.width, cell.height);
  if (larger * scale >= MIN_TILE_PX)
    return { columns: numColumns, scale: snapped(scale, space.density) };
  const least = MIN_TILE_PX / larger;
  const across = Math.floor(
    (space.width + space.gap) / (cell.width * least + space.gap),
  );
  const fitting = Math.min(count, across - (across % together));
  const scrolled = columns === null ? Math.max(together, fitting) : numColumns;
  const oneRow = { ...frames, count: scrolled };
  const wide = scaleToFit(scrolled, oneRow, space);
  return { columns: scrolled, scale: wide > 0 ? wide : least };
}

function bestColumns(frames: Frames, space: Frame, together: number): number {
  const { count } = frames;
  let [best, bestScale] = [together, 0];
  for (let columns = together; columns <= count; columns += together) {
    const rows = Math.ceil(count / columns);
    const fewer = columns - together;
    if (fewer > 0 && Math.ceil(count / fewer) === rows) continue; // no gain
    const scale = scaleToFit(columns, frames, space);
    if (scale > bestScale * 1.001) [best, bestScale] = [columns, scale];
  }
  return best;
}

/** CSS pixels for each frame pixel; not above 0: there is no room. */
function scaleToFit(columns: number, { count, cell }: Frames, space: Frame): number {
  const rows = Math.ceil(count / columns);
  const { gap, caption } = space;
  const across = space.width - gap * (columns - 1);
  const down = space.height - gap * (rows - 1) - caption * rows;
  return Math.min(across / (columns * cell.width), down / (rows * cell.height));
}

/** A scale a little above a whole number of device pixels, or a whole part of one. */
function snapped(scale: number, density: number): number {
  const pixels = scale * density;
  const whole = pixels >= 1 ? Math.floor(pixels) : 1 / Math.ceil(1 / pixels);
  return pixels / whole <= SNAP ? whole / density : scale;
}
