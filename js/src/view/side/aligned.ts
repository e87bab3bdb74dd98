/** Numbers below each other, with as many decimals each. Pure. */

import { formatValue } from "../format.ts";

const MINUS = "\u2212";

/** A number among others up to `scale`, of a dtype: as many decimals for each. */
export function formatAligned(number: number, scale: number, dtype: string): string {
  if (!Number.isFinite(number)) return formatValue(number);
  if (dtype === "bool") return String(Boolean(number));
  return formatFixed(number, /int/.test(dtype) ? 0 : decimalsFor(scale));
}

/** Decimals that show numbers up to `scale`; -1: they are written as powers of ten. */
export function decimalsFor(scale: number): number {
  if (scale >= 1e7 || (scale > 0 && scale < 0.01)) return -1;
  return scale < 1000 ? 3 : scale < 1e5 ? 1 : 0;
}

/** A number with so many decimals; -1: as it is written alone. */
export function formatFixed(number: number, decimals: number): string {
  if (decimals < 0 || !Number.isFinite(number)) return formatValue(number);
  const text = Math.abs(number).toFixed(decimals);
  return number < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** The fewest decimals, up to two, that columns of these numbers need. */
export function decimalsOf(numbers: Iterable<number>): number {
  let [most, areWhole] = [0, true];
  for (const number of numbers) {
    if (!Number.isFinite(number)) continue;
    most = Math.max(most, Math.abs(number));
    areWhole &&= Number.isInteger(number);
  }
  if (most >= 1e7) return -1;
  if (areWhole) return 0;
  if (most < 0.01) return -1;
  return most < 1 ? 3 : most < 1000 ? 2 : most < 1e5 ? 1 : 0;
}

/** Where the `index`-th number of an array of this shape is. */
export function placesIn(shape: readonly number[], index: number): number[] {
  const places: number[] = [];
  let left = index;
  for (const size of [...shape].reverse()) {
    places.unshift(left % size);
    left = Math.floor(left / size);
  }
  return places.length ? places : [index];
}
