/** Python's numbers, as they are shown. Pure. */

import type { KnownNumber } from "../../protocol/messages.ts";
import { formatValue } from "../format.ts";

export const NONE = "\u2013";
const MINUS = "\u2212";

/** A number of Python's; NaN: it is not known. */
export function numberOf(value: KnownNumber | undefined): number {
  return value === null || value === undefined ? Number.NaN : Number(value);
}

/** A number in four digits: more of an estimate says nothing. */
export function shortly(value: number): string {
  return formatValue(Number.isFinite(value) ? Number(value.toPrecision(4)) : value);
}

/** With its sign, also if it is up. */
export function signed(value: number): string {
  return value > 0 ? `+${shortly(value)}` : shortly(value);
}

/** A share, in percent. */
export function percent(share: number): string {
  return Number.isNaN(share) ? NONE : `${Math.round(100 * share)}\u2009%`;
}

/** Both ends of an interval; "": it is not known. */
export function interval(
  low: number,
  high: number,
  write: (value: number) => string,
): string {
  if (Number.isNaN(low) || Number.isNaN(high)) return "";
  return `${write(low)} to ${write(high)}`;
}

/** How likely chance alone gives as much: no p-value is 0. */
export function chance(p: number): string {
  if (Number.isNaN(p)) return NONE;
  return p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(p < 0.1 ? 3 : 2)}`;
}

export { MINUS };
