/** The chosen range: a band, and its two edges, which the pointer and keys move. */

import type { Clock } from "../../playback/clock.ts";
import { type Span, xOf } from "../../recording/downsample.ts";
import { listen, make, setAttribute } from "../dom.ts";
import { formatCount } from "../format.ts";

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
      for (const [index, edge] of [begin, end].entries()) {
        const row = rows[index]!;
        setAttribute(edge, "aria-valuemin", String(bounds[0]));
        setAttribute(edge, "aria-valuemax", String(bounds[1] - 1));
        setAttribute(edge, "aria-valuenow", String(row));
        setAttribute(edge, "aria-valuetext", `row ${formatCount(row)}`);
      }
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
  const el = make("div", {
    class: `rv-range-edge rv-range-${edge}`,
    role: "separator",
    tabindex: 0,
    "aria-orientation": "vertical",
    "aria-label": edge === "in" ? "Range begins" : "Range ends",
  });
  const rowNow = () => (edge === "in" ? clock.range![0] : clock.range![1] - 1);
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !clock.range) return;
    event.preventDefault();
    event.stopPropagation();
    moveEdge(clock, edge, rowNow() + by * (event.shiftKey ? 10 : 1));
  });
  dragWith(el, signal, (event) => moveEdge(clock, edge, rowAt(event.clientX)));
  return el;
}

/** Call back while an element is dragged. */
export function dragWith(
  el: HTMLElement,
  signal: AbortSignal,
  onMove: (event: PointerEvent) => void,
  onStart: (event: PointerEvent) => void = () => {},
): void {
  listen(el, "pointerdown", signal, (event: PointerEvent) => {
    if (event.button || event.target !== el) return;
    event.stopPropagation();
    el.setPointerCapture(event.pointerId);
    onStart(event);
  });
  listen(el, "pointermove", signal, (event: PointerEvent) => {
    if (el.hasPointerCapture(event.pointerId)) onMove(event);
  });
}
