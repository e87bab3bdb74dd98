/**
 * The timeline's numbers: values and marks of many rows in few pixels. Pure.
 *
 * A pixel column covers a run of rows. It keeps their smallest and largest value,
 * so that a spike of one row stays visible among a hundred thousand.
 */

import type { Series } from "./series.ts";

/** Rows in sight, `from` at the left edge and `to` at the right one; any fractions. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What is drawn from left to right: at `x`, everything from `low` to `high`. */
export interface Trace {
  readonly length: number;
  /** Each `x` is a pixel column of many rows, and not one row. */
  readonly isDense: boolean;
  readonly x: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** Of all; min > max: there are no numbers. */
  readonly min: number;
  readonly max: number;
}

/** Pixels from the left edge; a row out of sight is left or right of the plot. */
export function xOf(row: number, { from, to }: Span, width: number): number {
  return to > from ? ((row - from) / (to - from)) * (width - 1) : 0;
}

/** The row at a pixel, any fraction. */
export function rowAtX(x: number, { from, to }: Span, width: number): number {
  return from + (x / Math.max(1, width - 1)) * (to - from);
}

/** Return a series as it is seen in `width` pixels: row by row, or column by column. */
export function traceOf(series: Series, span: Span, width: number): Trace {
  const rowsPerPixel = (span.to - span.from) / Math.max(1, width - 1);
  return rowsPerPixel <= 1
    ? rowByRow(series, span, width)
    : byColumn(series, span, width, rowsPerPixel);
}

/** With the rows beside the edges, so that a line leads out of sight. */
function rowByRow(series: Series, span: Span, width: number): Trace {
  const first = Math.ceil(span.from) - 1;
  const count = Math.floor(span.to) + 2 - first;
  const builder = new TraceBuilder(count, false);
  for (let row = first; row < first + count; row++) {
    const value = series.at(row);
    if (Number.isFinite(value)) builder.add(xOf(row, span, width), value, value);
  }
  return builder;
}

function byColumn(
  series: Series,
  { from }: Span,
  width: number,
  rowsPerPixel: number,
): Trace {
  const builder = new TraceBuilder(width, true);
  let first = Math.ceil(from - rowsPerPixel / 2);
  for (let x = 0; x < width; x++) {
    const stop = Math.ceil(from + (x + 0.5) * rowsPerPixel);
    series.look(first, stop);
    if (!Number.isNaN(series.low)) builder.add(x, series.low, series.high);
    first = stop;
  }
  return builder;
}

class TraceBuilder implements Trace {
  length = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  readonly x: Float64Array;
  readonly low: Float64Array;
  readonly high: Float64Array;

  constructor(
    capacity: number,
    readonly isDense: boolean,
  ) {
    this.x = new Float64Array(capacity);
    this.low = new Float64Array(capacity);
    this.high = new Float64Array(capacity);
  }

  add(x: number, low: number, high: number): void {
    const at = this.length++;
    this.x[at] = x;
    this.low[at] = low;
    this.high[at] = high;
    if (low < this.min) this.min = low;
    if (high > this.max) this.max = high;
  }
}

/** The bits of all rows in each column; `rows` ascend. */
export function marksOf(
  bits: (row: number) => number,
  rows: readonly number[],
  span: Span,
  width: number,
): Uint8Array {
  const marks = new Uint8Array(width);
  for (let at = firstFrom(rows, span.from); at < rows.length; at++) {
    const row = rows[at]!;
    if (row > span.to) break;
    marks[Math.round(xOf(row, span, width))]! |= bits(row);
  }
  return marks;
}

/** Place of the first of ascending rows that is not before `row`. */
export function firstFrom(rows: readonly number[], row: number): number {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle]! < row) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The values at the lower and the upper edge of a track. */
export interface Scale {
  min: number;
  max: number;
}

/**
 * The scale for numbers from min to max.
 *
 * Zero is in it where that costs less than half of the height, and always `withZero`.
 * Of a constant it reaches from zero to the value, so that the value is seen to be high
 * or low; of nothing but zeros, from 0 to 1.
 */
export function scaleFor({ min, max }: Scale, withZero = false): Scale {
  if (!(min <= max)) return { min: 0, max: 1 };
  if (min === 0 && max === 0) return { min: 0, max: 1 };
  const isFlat = min === max;
  const isNearZero = withZero || isFlat || Math.max(-max, min) <= max - min;
  if (!isNearZero) return { min, max };
  return { min: Math.min(0, min), max: Math.max(0, max) };
}

/** Steps of 1, 2 or 5 times a power of ten: the least that is not below `least`. */
export function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return ([1, 2, 5].find((factor) => factor * power >= least) ?? 10) * power;
}
