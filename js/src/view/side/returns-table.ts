/**
 * Returns of compared recordings, one a column; beside each but the first, how it differs
 * from the first one.
 */

import type { Comparison, ComparisonLine } from "../../recording/comparison.ts";
import { make, setText } from "../dom.ts";
import { lookOfLine } from "../timeline/draw-track.ts";
import { decimalsOf, formatFixed } from "./aligned.ts";

export interface ReturnsTable {
  el: HTMLElement;
  /** Show lines; `shares`: by env, the share of pixels that differ; null: not asked. */
  update(
    comparison: Comparison,
    lines: readonly ComparisonLine[],
    shares: ReadonlyMap<number, number> | null,
  ): void;
}

/** The cells of one recording in one row of the table. */
interface Cells {
  value: HTMLElement;
  difference: HTMLElement | null;
  share: HTMLElement | null;
}

export function createReturnsTable(): ReturnsTable {
  const el = make("table", { class: "rv-paired-table" });
  let shape = "";
  /** By row, then by recording; the last row has the means. */
  let cells: Cells[][] = [];
  let decimals = 0;
  const build = ({ lines, keys }: Comparison, hasShares: boolean) => {
    decimals = 0;
    cells = [...keys, "mean"].map(() =>
      lines.map((_, line) => createCells(line > 0, line > 0 && hasShares)),
    );
    const rows = [...keys, "mean"].map((key, index) => createRow(key, cells[index]!));
    el.replaceChildren(
      make("thead", {}, createHead(lines, hasShares)),
      make("tbody", {}, ...rows.slice(0, -1)),
      make("tfoot", {}, rows.at(-1)!),
    );
  };
  return {
    el,
    update(comparison, lines, shares) {
      const now = JSON.stringify([comparison.lines, comparison.keys, shares !== null]);
      if (now !== shape) build(comparison, shares !== null);
      shape = now;
      const all = lines.flatMap((one) => [
        ...one.returns,
        meanOf(one.returns),
        one.mean,
      ]);
      // Never fewer than before: columns do not move while it plays.
      decimals = Math.max(decimals, decimalsOf(all));
      for (const [line, one] of lines.entries()) {
        for (const [row, value] of one.returns.entries()) {
          const share = shares?.get(comparison.envs[line]![row] ?? -1);
          fill(cells[row]![line]!, value, one.differences[row]!, share, decimals);
        }
        const last = cells.at(-1)![line]!;
        fill(last, meanOf(one.returns), one.mean, undefined, decimals);
        if (last.difference) last.difference.title = `of ${one.count} pairs`;
      }
    },
  };
}

function createHead(names: readonly string[], hasShares: boolean): HTMLElement {
  const heads = names.flatMap((name, line) => {
    const { colour, dash } = lookOfLine(line);
    const key = make("i", {
      class: "rv-key",
      "data-dash": dash.length ? String(dash) : null,
      style: `--rv-key: var(${colour})`,
    });
    const own = createHeader(make("span", { class: "rv-paired-name" }, key, name));
    if (!line) return [own];
    const difference = createHeader("difference");
    difference.title = `${name}, less ${names[0]}`;
    return [own, difference, ...(hasShares ? [createHeader("pixels")] : [])];
  });
  return make("tr", {}, createHeader("return"), ...heads);
}

function createHeader(content: Node | string): HTMLElement {
  return make("th", { scope: "col" }, content);
}

function createCells(hasDifference: boolean, hasShare: boolean): Cells {
  const cell = (className: string) => make("td", { class: className });
  return {
    value: cell("rv-paired-value"),
    difference: hasDifference ? cell("rv-paired-difference") : null,
    share: hasShare ? cell("rv-paired-share") : null,
  };
}

function createRow(key: string, cells: readonly Cells[]): HTMLElement {
  const all = cells.flatMap((one) => [one.value, one.difference, one.share]);
  return make("tr", {}, make("th", { scope: "row" }, key), ...all);
}

function fill(
  { value, difference, share }: Cells,
  own: number,
  against: number,
  part: number | undefined,
  decimals: number,
): void {
  setText(value, formatFixed(own, decimals));
  const sign = against > 0 ? "+" : "";
  if (difference) setText(difference, sign + formatFixed(against, decimals));
  if (share) setText(share, part === undefined ? "" : percent(part));
}

function percent(share: number): string {
  if (!Number.isFinite(share)) return "";
  return `${(100 * share).toFixed(share && share < 0.1 ? 2 : 1)} %`;
}

function meanOf(numbers: readonly number[]): number {
  const known = numbers.filter(Number.isFinite);
  return known.reduce((sum, number) => sum + number, 0) / known.length;
}
