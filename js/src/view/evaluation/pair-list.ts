/** Which pairs of an evaluation are looked at: a filter, sorted by difference. Pure. */

import type { PairColumns } from "../../protocol/messages.ts";
import { numberOf } from "./numbers.ts";

export const FILTERS = ["all", "flipped", "gained", "lost"] as const;
export type PairFilter = (typeof FILTERS)[number];

/** The pairs of a policy that a filter lets through, the largest loss first. */
export function filterPairs(
  { line, flip, difference }: PairColumns,
  of: number,
  filter: PairFilter,
): number[] {
  const wanted: Record<PairFilter, (flip: number) => boolean> = {
    all: () => true,
    flipped: (one) => one !== 0,
    gained: (one) => one > 0,
    lost: (one) => one < 0,
  };
  const size = (pair: number) => {
    const found = numberOf(difference[pair]);
    return Number.isNaN(found) ? 0 : found;
  };
  return [...line.keys()]
    .filter((pair) => line[pair] === of && wanted[filter](flip[pair]!))
    .sort((a, b) => size(a) - size(b) || a - b);
}

/** The same pairs as columns: flips first, then the largest differences. */
export function inColumns(
  { seed }: PairColumns,
  pairs: readonly number[],
  seeds: readonly string[],
): number[] {
  const places = new Map(seeds.map((one, place) => [one, place]));
  const placeOf = (pair: number) => places.get(seed[pair]!) ?? seeds.length;
  return [...pairs].sort((a, b) => placeOf(a) - placeOf(b) || a - b);
}
