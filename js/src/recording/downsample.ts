/**
 * The timeline's numbers: values and marks of many rows in few pixels. Pure.
 *
 * A pixel column covers a run of rows. It keeps their smallest and largest value,
 * so that a spike of one row stays visible among a hundred thousand.
 */

export interface Trace {
  /** Smallest and largest value in each pixel column; NaN: there is none. */
  low: Float64Array;
  high: Float64Array;
  min: number;
  max: number;
}

/** Return the value range of rows first..stop in each of `width` columns. */
export function minMaxPerPixel(
  value: (row: number) => number,
  first: number,
  stop: number,
  width: number,
): Trace {
  const low = new Float64Array(width).fill(Number.NaN);
  const high = new Float64Array(width).fill(Number.NaN);
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let row = first; row < stop; row++) {
    const v = value(row);
    if (!Number.isFinite(v)) continue;
    const column = columnOf(row, first, stop, width);
    if (!(low[column]! <= v)) low[column] = v;
    if (!(high[column]! >= v)) high[column] = v;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  return { low, high, min, max };
}

/** Return the bits of all rows in each column. */
export function marksOf(
  bits: (row: number) => number,
  rows: readonly number[],
  first: number,
  stop: number,
  width: number,
): Uint8Array {
  const marks = new Uint8Array(width);
  for (const row of rows)
    if (row >= first && row < stop)
      marks[columnOf(row, first, stop, width)]! |= bits(row);
  return marks;
}

/** Pixel column of a row: the first row is at the left edge, the last at the right. */
export function columnOf(
  row: number,
  first: number,
  stop: number,
  width: number,
): number {
  const last = Math.max(1, stop - 1 - first);
  return Math.min(width - 1, Math.round(((row - first) / last) * (width - 1)));
}
