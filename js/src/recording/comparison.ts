/**
 * What is compared with what: lines of tiles, and the tile of the first line above each.
 *
 * Returns are those at a row, an episode that is over keeping its own. Pure.
 */

import type { Manifest } from "../protocol/messages.ts";
import type { Arrangement } from "./arrangement.ts";
import type { Steps } from "./steps.ts";

/** A table of tiles: `envs[line][column]`, as they are numbered now; null: none. */
export interface Comparison {
  lines: string[];
  keys: string[];
  envs: (number | null)[][];
}

/** One line against the first: returns, their differences, and the mean of these. */
export interface ComparisonLine {
  name: string;
  returns: number[];
  differences: number[];
  mean: number;
  /** How many pairs the mean is of; of the first line how many returns. */
  count: number;
}

/** Return the table of compared tiles; null: nothing is compared. */
export function comparisonOf(
  manifest: Manifest | null,
  arrangement: Arrangement | null,
  maxColumns = 16,
): Comparison | null {
  if (arrangement?.kind === "compared") {
    const { lines, keys, lanes } = arrangement;
    if (lines.length < 2 || !keys.length) return null;
    const envs = lines.map((_, line) =>
      keys.map((_, column) => {
        const lane = line * keys.length + column;
        return lanes[lane]!.parts.length ? lane : null;
      }),
    );
    return { lines, keys, envs };
  }
  const groups = manifest?.groups ?? [];
  if (groups.length < 2) return null;
  const most = Math.min(maxColumns, Math.max(...groups.map(([, , count]) => count)));
  const columns = [...Array(most).keys()];
  return {
    lines: groups.map(([name]) => name),
    keys: columns.map((column) => `env ${column}`),
    envs: groups.map(([, first, count]) =>
      columns.map((column) => (column < count ? first + column : null)),
    ),
  };
}

/** The tile that an env is compared with; null: it is of the first line, or alone. */
export function referenceOf({ envs }: Comparison, env: number): number | null {
  for (const line of envs.slice(1)) {
    const column = line.indexOf(env);
    if (column >= 0) return envs[0]![column] ?? null;
  }
  return null;
}

/** Returns at a row, each against that of the first line. */
export function returnsOf(
  { lines, envs }: Comparison,
  steps: Steps,
  row: number,
): ComparisonLine[] {
  const returns = envs.map((line) =>
    line.map((env) => (env === null ? Number.NaN : steps.lastTotal(row, env))),
  );
  return lines.map((name, line) => {
    const own = returns[line]!;
    const differences = own.map((value, column) => value - returns[0]![column]!);
    const of = (line ? differences : own).filter(Number.isFinite);
    const sum = of.reduce((total, value) => total + value, 0);
    const mean = of.length ? sum / of.length : Number.NaN;
    return { name, returns: own, differences, mean, count: of.length };
  });
}

/**
 * Write where a tile differs from another: black where it does not, brighter where it
 * does more, and never so dark that one level is overlooked. Both are RGBA, of a
 * picture `width` pixels wide. Returns the share of pixels that differ; NaN: one of
 * them shows nothing.
 */
export function differ(
  from: Uint8ClampedArray,
  to: Uint8ClampedArray,
  out: Uint8ClampedArray,
): number {
  let [count, seen] = [0, 0];
  for (let i = 0; i < to.length; i += 4) {
    if (!from[i + 3] || !to[i + 3]) {
      out[i + 3] = 0;
      continue;
    }
    seen++;
    const most = Math.max(
      Math.abs(from[i]! - to[i]!),
      Math.abs(from[i + 1]! - to[i + 1]!),
      Math.abs(from[i + 2]! - to[i + 2]!),
    );
    const level = most ? 96 + most * 0.62 : 0;
    if (most) count++;
    out[i] = level;
    out[i + 1] = level * 0.62;
    out[i + 2] = level * 0.12;
    out[i + 3] = 255;
  }
  return seen ? count / seen : Number.NaN;
}
