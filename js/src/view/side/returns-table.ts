/** Returns of compared lines, and how they differ from those of the first one. */

import type { Comparison, ComparisonLine } from "../../recording/comparison.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatValue } from "../format.ts";

export interface ReturnsTable {
  el: HTMLElement;
  /** Show lines; `shares`: by env, the share of pixels that differ. */
  update(
    comparison: Comparison,
    lines: readonly ComparisonLine[],
    shares: ReadonlyMap<number, number>,
  ): void;
}

export function createReturnsTable(): ReturnsTable {
  const el = make("table", { class: "rv-paired-table" });
  let shape = "";
  /** By line; the first one of each has the mean. */
  let cells: HTMLElement[][] = [];
  const build = ({ lines, keys }: Comparison) => {
    const head = ["return", "mean", ...keys].map((text) =>
      make("th", { scope: "col" }, text),
    );
    cells = lines.map(() => ["", ...keys].map(() => make("td", {})));
    const rows = lines.map((name, line) =>
      make("tr", {}, make("th", { scope: "row" }, name), ...cells[line]!),
    );
    el.replaceChildren(
      make("thead", {}, make("tr", {}, ...head)),
      make("tbody", {}, ...rows),
    );
  };
  return {
    el,
    update(comparison, lines, shares) {
      const now = JSON.stringify([comparison.lines, comparison.keys]);
      if (now !== shape) build(comparison);
      shape = now;
      for (const [line, { returns, differences, mean, count }] of lines.entries()) {
        const [meanCell, ...own] = cells[line]!;
        for (const [column, value] of returns.entries()) {
          const share = shares.get(comparison.envs[line]![column] ?? -1);
          fill(own[column]!, value, line ? differences[column]! : null, share);
        }
        if (line) fill(meanCell!, null, mean);
        else fill(meanCell!, mean, null);
        meanCell!.title = `of ${count} ${line ? "pairs" : "returns"}`;
      }
    },
  };
}

/** Write a return, its difference and the share of differing pixels into a cell. */
function fill(
  cell: HTMLElement,
  value: number | null,
  difference: number | null,
  share?: number | undefined,
): void {
  const parts = [];
  if (value !== null) parts.push(formatValue(value));
  if (difference !== null && Number.isFinite(difference))
    parts.push(`${difference > 0 ? "+" : ""}${formatValue(difference)}`);
  if (share !== undefined && Number.isFinite(share))
    parts.push(`${(100 * share).toFixed(share && share < 0.1 ? 2 : 1)} %`);
  setText(cell, parts.join(" \u00b7 "));
  const sign = difference === null ? 0 : Math.sign(difference) || 0;
  setAttribute(cell, "data-sign", String(sign));
}
