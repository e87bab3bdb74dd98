/** Drawing a trace: as a line, as an area, or as a band around a line. */

import type { Scale, Trace } from "../../recording/downsample.ts";
import { formatValue } from "../format.ts";
import type { Colour } from "./palette.ts";
import { type Sheet, useSmallFont } from "./sheet.ts";

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
export function fillTrace(
  { context, palette }: Sheet,
  { length, x, low, high }: Trace,
  y: Height,
  colour: Colour,
): void {
  if (!length) return;
  const zero = y(0);
  context.fillStyle = palette.colours[colour];
  context.beginPath();
  context.moveTo(x[0]!, zero);
  for (let i = 0; i < length; i++) {
    // What is farther from zero; both where a column has both sides of it.
    if (high[i]! > 0 || low[i]! >= 0) context.lineTo(x[i]!, y(high[i]!));
    if (low[i]! < 0) context.lineTo(x[i]!, y(low[i]!));
  }
  context.lineTo(x[length - 1]!, zero);
  context.fill();
}

/** Fill between the least of a low trace and the most of a high one. */
export function fillBand(
  { context, palette }: Sheet,
  lower: Trace,
  upper: Trace,
  y: Height,
  colour: Colour,
): void {
  context.fillStyle = palette.colours[colour];
  context.beginPath();
  for (let i = 0; i < upper.length; i++) context.lineTo(upper.x[i]!, y(upper.high[i]!));
  for (let i = lower.length - 1; i >= 0; i--)
    context.lineTo(lower.x[i]!, y(lower.low[i]!));
  context.fill();
}

/** Draw a line through a trace's values; `dash` in CSS pixels. */
export function strokeTrace(
  { context, density, palette }: Sheet,
  { length, x, low, high }: Trace,
  y: Height,
  colour: Colour,
  dash: readonly number[] = [],
): void {
  context.strokeStyle = palette.colours[colour];
  context.lineWidth = 1.25 * density;
  context.lineJoin = "round";
  context.setLineDash(dash.map((length) => length * density));
  context.beginPath();
  for (let i = 0; i < length; i++) {
    context.lineTo(x[i]! + 0.5, y(low[i]!));
    if (high[i]! !== low[i]!) context.lineTo(x[i]! + 0.5, y(high[i]!));
  }
  context.stroke();
  context.setLineDash([]);
}

/** A line at zero, behind the others. */
export function drawZero(sheet: Sheet, { min, max }: Scale, y: Height): void {
  if (min >= 0 || max <= 0) return;
  const { context, width, density, palette } = sheet;
  context.fillStyle = palette.colours["--rv-line"];
  context.fillRect(0, Math.round(y(0)), width, Math.max(1, Math.round(density)));
}

/** Write the values at the upper and the lower edge. */
export function drawScale(sheet: Sheet, { min, max }: Scale): void {
  const { context, height, density, palette } = sheet;
  useSmallFont(sheet);
  context.textAlign = "left";
  context.fillStyle = palette.colours["--rv-muted"];
  context.strokeStyle = palette.colours["--rv-bg"];
  context.lineWidth = 3 * density;
  for (const [value, baseline, at] of [
    [max, "top", 3 * density],
    [min, "bottom", height - 2 * density],
  ] as const) {
    context.textBaseline = baseline;
    context.strokeText(formatValue(value), 4 * density, at);
    context.fillText(formatValue(value), 4 * density, at);
  }
}
