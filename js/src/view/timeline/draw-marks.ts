/** Drawing what lies at rows of the timeline: segments, ends, a range, bookmarks. */

import { TERMINATED, TRUNCATED } from "../../protocol/messages.ts";
import type { Sheet } from "./sheet.ts";

type Rows = readonly [start: number, stop: number];

/** A line where each segment begins, and its name where there is room for it. */
export function drawSegments(
  sheet: Sheet,
  segments: readonly (readonly [name: string, start: number, stop: number])[],
  height: number,
): void {
  const { context, density, first, stop, at } = sheet;
  const [line, text] = [sheet.colour("--rv-line"), sheet.colour("--rv-muted")];
  context.font = `${10 * density}px system-ui, sans-serif`;
  context.textBaseline = "top";
  let free = 0;
  for (const [name, from, to] of segments) {
    if (to <= first || from >= stop) continue;
    const x = at(Math.max(first, from));
    context.fillStyle = line;
    context.fillRect(x - density / 2, 0, density, height);
    const end = at(Math.min(stop, to) - 1);
    const wide = context.measureText(name).width + 6 * density;
    if (x < free || end - x < wide) continue;
    context.fillStyle = text;
    context.fillText(name, x + 3 * density, 2 * density);
    free = x + wide;
  }
}

/** Ticks and squares in a lane, from the bits of all rows in each column. */
export function drawEnds(
  sheet: Sheet,
  bits: Uint8Array,
  top: number,
  height: number,
): void {
  const { context, density, first, stop } = sheet;
  const terminated = sheet.colour("--rv-terminated");
  const truncated = sheet.colour("--rv-truncated");
  // Ticks of neighbouring rows stay apart while there is a pixel between them.
  const apart = bits.length / Math.max(1, stop - first - 1);
  const width = Math.max(1, Math.min(Math.round(1.5 * density), Math.floor(apart / 2)));
  for (let x = 0; x < bits.length; x++) {
    const mark = bits[x]!;
    if (mark & TERMINATED) {
      context.fillStyle = terminated;
      // Taller than the other mark: both may be in one column.
      context.fillRect(x - width / 2, top, width, height);
    }
    if (mark & TRUNCATED) {
      context.fillStyle = truncated;
      const size = 2.5 * density;
      context.fillRect(x - size, top + height * 0.5 - size, 2 * size, 2 * size);
    }
  }
}

/** A bar at the bottom below the rows whose records are in the page. */
export function drawBuffered(sheet: Sheet, runs: Iterable<Rows>, thick: number): void {
  const { context, height, at } = sheet;
  context.fillStyle = sheet.colour("--rv-buffer");
  for (const [from, to] of runs) {
    const long = Math.max(1, at(to - 1) - at(from) + 1);
    context.fillRect(at(from), height - thick, long, thick);
  }
}

/** The chosen range, with a line at both of its ends. */
export function drawRange(sheet: Sheet, range: Rows): void {
  const { context, height, density, first, stop, at } = sheet;
  const [from, to] = [at(Math.max(first, range[0])), at(Math.min(stop, range[1]) - 1)];
  context.fillStyle = sheet.colour("--rv-range");
  context.fillRect(from, 0, Math.max(density, to - from), height);
  context.fillStyle = sheet.colour("--rv-accent");
  for (const x of [from, to]) context.fillRect(x - density / 2, 0, density, height);
}

/** A triangle at the top for each of these rows. */
export function drawBookmarks(sheet: Sheet, rows: readonly number[]): void {
  const { context, density, first, stop, at } = sheet;
  context.fillStyle = sheet.colour("--rv-accent");
  for (const row of rows) {
    if (row < first || row >= stop) continue;
    const x = at(row);
    context.beginPath();
    context.moveTo(x - 4 * density, 0);
    context.lineTo(x + 4 * density, 0);
    context.lineTo(x, 6 * density);
    context.fill();
  }
}
