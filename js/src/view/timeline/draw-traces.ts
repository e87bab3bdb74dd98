/** Drawing a trace: as a line, as an area, or as a band around a line. */

import type { Scale, Trace } from "../../recording/downsample.ts";
import type { Colour } from "./palette.ts";
import type { Sheet } from "./sheet.ts";

/** Above the highest value and below the lowest one. */
const PAD_PX = 4;

/** Pixel of a value. */
export type Height = (value: number) => number;

export function heightsOf({ height, density }: Sheet, { min, max }: Scale): Height {
  // In the middle of a pixel: what lies at an edge is a sharp line.
  const pad = Math.round(PAD_PX * density) + 0.5;
  const [top, bottom] = [pad, height - pad];
  return (value) => bottom - ((value - min) / (max - min)) * (bottom - top);
}

/** Fill between a trace and zero. */
export function fillTrace(sheet: Sheet, trace: Trace, y: Height, colour: Colour): void {
  const { length, x, low, high } = trace;
  const zero = y(0);
  sheet.context.fillStyle = sheet.palette.colours[colour];
  if (trace.isDense) {
    for (let i = 0; i < length; i++)
      fillColumn(sheet, x[i]!, Math.min(zero, y(high[i]!)), Math.max(zero, y(low[i]!)));
    return;
  }
  fillShape(sheet, [
    [x[0] ?? 0, zero],
    ...pointsOf(trace, high, y),
    [x[length - 1] ?? 0, zero],
  ]);
}

/** Fill between the least of a low trace and the most of a high one. */
export function fillBand(
  sheet: Sheet,
  lower: Trace,
  upper: Trace,
  y: Height,
  colour: Colour,
): void {
  const { x, length, isDense } = upper;
  sheet.context.fillStyle = sheet.palette.colours[colour];
  if (isDense)
    for (let i = 0; i < length; i++)
      fillColumn(sheet, x[i]!, y(upper.high[i]!), y(lower.low[i]!));
  else
    fillShape(sheet, [
      ...pointsOf(upper, upper.high, y),
      ...pointsOf(lower, lower.low, y).reverse(),
    ]);
}

type Point = readonly [x: number, y: number];

function pointsOf({ x, length }: Trace, values: Float64Array, y: Height): Point[] {
  return Array.from({ length }, (_, i) => [x[i]!, y(values[i]!)]);
}

function fillShape({ context }: Sheet, points: readonly Point[]): void {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.fill();
}

/** On whole pixels: of thousands, that is many times as fast as a path. */
function fillColumn({ context }: Sheet, x: number, top: number, bottom: number): void {
  const from = Math.floor(top);
  context.fillRect(x, from, 1, Math.max(1, Math.ceil(bottom) - from));
}

/** Draw a line through a trace's values; `dash` in CSS pixels. */
export function strokeTrace(
  sheet: Sheet,
  trace: Trace,
  y: Height,
  colour: Colour,
  dash: readonly number[] = [],
): void {
  const { context, density, palette } = sheet;
  if (trace.isDense) {
    context.fillStyle = palette.colours[colour];
    fillColumns(sheet, trace, y, dash);
    return;
  }
  context.strokeStyle = palette.colours[colour];
  context.lineWidth = 1.25 * density;
  context.lineJoin = "round";
  context.setLineDash(dash.map((length) => length * density));
  context.beginPath();
  for (const [x, at] of pointsOf(trace, trace.low, y)) context.lineTo(x + 0.5, at);
  context.stroke();
  context.setLineDash([]);
}

/** Fill from the lowest to the highest value of each column, joined to the one before. */
function fillColumns(
  sheet: Sheet,
  { length, x, low, high }: Trace,
  y: Height,
  dash: readonly number[],
): void {
  const period = dash.reduce((sum, part) => sum + part, 0) * sheet.density;
  const half = Math.max(0.5, 0.625 * sheet.density);
  let [before, after] = [Number.NaN, Number.NaN];
  for (let i = 0; i < length; i++) {
    const [top, bottom] = [y(high[i]!), y(low[i]!)];
    const isGap = period > 0 && x[i]! % period >= period * 0.7;
    // NaN in the first column: there is nothing to be joined to.
    const from = top > after ? after : top;
    const to = bottom < before ? before : bottom;
    if (!isGap) fillColumn(sheet, x[i]!, from - half, to + half);
    [before, after] = [top, bottom];
  }
}

/** A line at zero, behind the others. */
export function drawZero(sheet: Sheet, { min, max }: Scale, y: Height): void {
  if (min >= 0 || max <= 0) return;
  const { context, width, density, palette } = sheet;
  context.fillStyle = palette.colours["--rv-line"];
  context.fillRect(0, Math.round(y(0)), width, Math.max(1, Math.round(density)));
}
