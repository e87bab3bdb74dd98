/** Drawing what lies at rows: numbers of the ruler, segments, ends, bookmarks. */

import { TERMINATED, TRUNCATED } from "../../protocol/messages.ts";
import { firstFrom, marksOf, roundStep, xOf } from "../../recording/downsample.ts";
import { formatCount } from "../format.ts";
import { type Sheet, useSmallFont } from "./sheet.ts";

type Rows = readonly [start: number, stop: number];

/** Two numbers of the ruler are never closer. */
const LABEL_PX = 88;

/** The rows of the ruler that have a number, and those between with a tick alone. */
export function ticksOf(
  { from, to }: { from: number; to: number },
  widthPx: number,
): { labels: number[]; ticks: number[] } {
  const step = roundStep(((to - from) / Math.max(1, widthPx)) * LABEL_PX);
  const parts = step < 10 ? step : String(step)[0] === "2" ? 4 : 5;
  const small = step / parts;
  const [labels, ticks]: [number[], number[]] = [[], []];
  for (let n = Math.ceil(from / small); n * small <= to; n++)
    (n % parts ? ticks : labels).push(n * small);
  return { labels, ticks };
}

/** Round numbers, and ticks at them and between. */
export function drawRuler(sheet: Sheet): void {
  const { context, width, height, density, span, palette } = sheet;
  const { labels, ticks } = ticksOf(span, width / density);
  const thin = Math.max(1, Math.round(density));
  const tick = (row: number, high: number) =>
    context.fillRect(Math.round(sheet.x(row)), height - high, thin, high);
  context.fillStyle = palette.colours["--rv-edge"];
  for (const row of ticks) tick(row, Math.round(3 * density));
  for (const row of labels) tick(row, Math.round(6 * density));
  useSmallFont(sheet);
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillStyle = palette.colours["--rv-muted"];
  for (const row of labels) {
    const text = formatCount(row);
    const half = context.measureText(text).width / 2 + 4 * density;
    const x = Math.max(half, Math.min(width - half, sheet.x(row)));
    context.fillText(text, x, 4 * density);
  }
}

/** A ribbon at the bottom for each of these rows. */
export function drawBookmarks(sheet: Sheet, rows: readonly number[]): void {
  const { context, density, height, span, palette } = sheet;
  context.fillStyle = palette.colours["--rv-accent"];
  const [half, long] = [4 * density, 10 * density];
  for (let at = firstFrom(rows, span.from); rows[at]! <= span.to; at++) {
    const x = Math.round(sheet.x(rows[at]!));
    const top = height - long;
    context.beginPath();
    context.moveTo(x - half, top);
    context.lineTo(x + half, top);
    context.lineTo(x + half, height);
    context.lineTo(x, height - 3 * density);
    context.lineTo(x - half, height);
    context.fill();
  }
}

/** A band for each segment, with its name where there is room for some of it. */
export function drawSegments(
  sheet: Sheet,
  segments: readonly (readonly [name: string, start: number, stop: number])[],
): void {
  const { context, density, width, height, palette, span } = sheet;
  const { colours } = palette;
  useSmallFont(sheet);
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const [index, [name, start, stop]] of segments.entries()) {
    if (stop <= span.from || start > span.to) continue;
    const from = Math.round(Math.max(0, sheet.x(start)));
    const to = Math.round(Math.min(width, sheet.x(stop)));
    context.fillStyle = colours[index % 2 ? "--rv-raised" : "--rv-active"];
    context.fillRect(from, 0, to - from, height);
    context.fillStyle = colours["--rv-edge"];
    context.fillRect(from, 0, Math.max(1, Math.round(density)), height);
    const text = shortened(context, name, to - from - 12 * density);
    context.fillStyle = colours["--rv-text"];
    context.fillText(text, from + 6 * density, height / 2);
  }
}

/** As much of a text as has room, with an ellipsis; "": next to nothing. */
function shortened(
  context: CanvasRenderingContext2D,
  text: string,
  room: number,
): string {
  const { width } = context.measureText(text);
  if (width <= room) return text;
  const count = Math.floor((text.length * room) / width) - 1;
  return count > 1 ? `${text.slice(0, count)}\u2026` : "";
}

/** The ends of episodes in a lane. */
export interface Ends {
  /** Rows of any ends, ascending. */
  rows: readonly number[];
  /** TERMINATED and TRUNCATED in a row. */
  bits: (row: number) => number;
  /** Rows at which an episode labelled "failure" ended, ascending. */
  failures: readonly number[];
}

/** A bar where episodes terminated, a hollow square where they were truncated. */
export function drawEnds(sheet: Sheet, { rows, bits, failures }: Ends): void {
  const { density, span, width, palette } = sheet;
  const marks = marksOf(bits, rows, span, width);
  const failed = marksOf(() => TERMINATED, failures, span, width);
  // Bars of neighbouring rows stay apart while there is a pixel between them.
  const apart = width / Math.max(1, span.to - span.from);
  const thick = Math.max(1, Math.min(Math.round(2 * density), Math.floor(apart / 2)));
  for (let x = 0; x < width; x++) {
    if (!marks[x]) continue;
    if (marks[x]! & TERMINATED || failed[x]) {
      const colour = failed[x] ? "--rv-danger" : "--rv-terminated";
      drawBar(sheet, x, thick, palette.colours[colour]);
    }
    if (marks[x]! & TRUNCATED) drawSquare(sheet, x);
  }
}

function drawBar(
  { context, height, density }: Sheet,
  x: number,
  thick: number,
  colour: string,
) {
  const pad = Math.round(2 * density);
  context.fillStyle = colour;
  context.fillRect(x - (thick >> 1), pad, thick, height - 2 * pad);
}

function drawSquare({ context, height, density, palette }: Sheet, x: number): void {
  const size = Math.round(7 * density);
  const line = Math.max(1, Math.round(1.5 * density));
  const [left, top] = [x - (size >> 1), (height - size) >> 1];
  context.fillStyle = palette.colours["--rv-bg"];
  context.fillRect(left, top, size, size);
  context.fillStyle = palette.colours["--rv-truncated"];
  for (const [dx, dy, w, h] of [
    [0, 0, size, line],
    [0, size - line, size, line],
    [0, 0, line, size],
    [size - line, 0, line, size],
  ] as const)
    context.fillRect(left + dx, top + dy, w, h);
}

/** A bar low down under the rows whose records are in the page. */
export function drawBuffered(sheet: Sheet, runs: Iterable<Rows>): void {
  const { context, height, density, palette, span, width } = sheet;
  const thick = Math.round(3 * density);
  context.fillStyle = palette.colours["--rv-buffer"];
  for (const [start, stop] of runs) {
    const from = Math.round(xOf(start, span, width));
    const to = Math.round(xOf(stop - 1, span, width));
    context.fillRect(from, height - 2 * thick, Math.max(1, to - from + 1), thick);
  }
}
