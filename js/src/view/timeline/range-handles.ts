/** The chosen range: a band, and its two edges, which the pointer and keys move. */

import type { Clock } from "../../playback/clock.ts";
import { type Span, xOf } from "../../recording/downsample.ts";
import { make } from "../dom.ts";
import { formatCount } from "../format.ts";
import { createSeparator, setValue } from "./separator.ts";

type Edge = "in" | "out";

export interface RangeHandles {
  el: HTMLElement;
  place(span: Span, width: number): void;
}

export function createRangeHandles(
  clock: Clock,
  rowAt: (clientX: number) => number,
  signal: AbortSignal,
): RangeHandles {
  const begin = createEdge("in", clock, rowAt, signal);
  const end = createEdge("out", clock, rowAt, signal);
  const el = make("div", { class: "rv-range", hidden: true }, begin, end);
  let placed = "";
  return {
    el,
    place(span, width) {
      const { range, bounds } = clock;
      el.hidden = !range;
      if (!range) return;
      const rows = [range[0], range[1] - 1] as const;
      const all = { from: bounds[0], to: bounds[1] - 1 };
      setValue(begin, rows[0], all, `row ${formatCount(rows[0])}`);
      setValue(end, rows[1], all, `row ${formatCount(rows[1])}`);
      const [from, to] = rows.map((row) => Math.round(xOf(row, span, width)));
      const next = `left:${from}px;width:${Math.max(1, to! - from!)}px`;
      if (next !== placed) el.style.cssText = placed = next;
    },
  };
}

/** Move an edge; beyond the other one it takes that along. */
function moveEdge(clock: Clock, edge: Edge, to: number): void {
  const { range, bounds } = clock;
  if (!range) return;
  const row = Math.max(bounds[0], Math.min(bounds[1] - 1, Math.round(to)));
  const [first, last] = [range[0], range[1] - 1];
  if (edge === "in") clock.setRange([row, Math.max(row, last) + 1]);
  else clock.setRange([Math.min(row, first), row + 1]);
}

function createEdge(
  edge: Edge,
  clock: Clock,
  rowAt: (clientX: number) => number,
  signal: AbortSignal,
): HTMLElement {
  const rowNow = () => (edge === "in" ? clock.range![0] : clock.range![1] - 1);
  return createSeparator({
    className: `rv-range-edge rv-range-${edge}`,
    label: edge === "in" ? "Range begins" : "Range ends",
    onKey: (by) => moveEdge(clock, edge, rowNow() + by),
    onDrag: (event) => moveEdge(clock, edge, rowAt(event.clientX)),
    signal,
  });
}
