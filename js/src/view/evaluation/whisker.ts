/** An estimate as a dot in its interval, on a scale that others share. */

import type { KnownNumber } from "../../protocol/messages.ts";
import { make } from "../dom.ts";
import { numberOf } from "./numbers.ts";

export type Bounds = readonly [low: number, high: number];

/** A scale that holds these columns of all lines, with some room around them. */
export function scaleOf(
  lines: readonly Record<string, KnownNumber>[],
  names: readonly string[],
): Bounds {
  const all = lines
    .flatMap((line) => names.map((name) => numberOf(line[name])))
    .filter(Number.isFinite);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const room = (high - low) * 0.06 || 1;
  return [low - room, high + room];
}

/** `zero`: draw where no difference is. */
export function createWhisker(
  value: number,
  [low, high]: Bounds,
  [from, to]: Bounds,
  colour: string,
  zero = false,
): HTMLElement {
  const place = (number: number) => {
    const share = (number - from) / (to - from);
    return `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
  };
  const isKnown = [value, low, high].every(Number.isFinite);
  const el = make("span", { class: "rv-whisker", "aria-hidden": "true" });
  if (zero) el.append(make("i", { class: "rv-zero", style: `left: ${place(0)}` }));
  if (!isKnown) return el;
  const span = `left: ${place(low)}; right: calc(100% - ${place(high)})`;
  el.style.setProperty("--rv-key", `var(${colour})`);
  el.append(
    make("i", { class: "rv-span", style: span }),
    make("i", { class: "rv-dot", style: `left: ${place(value)}` }),
  );
  return el;
}
