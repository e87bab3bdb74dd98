/**
 * Paired differences as a strip: a bar for each seed, the largest loss first, flips
 * marked. One bar is current: the pointer and the arrow keys move it.
 */

import { listen, make, makeSvg, onResize, setAttribute } from "../dom.ts";
import { type Bar, barAt, shapeOf } from "./strip-shape.ts";

export interface StripOptions {
  /** What a bar is, in words. */
  textOf: (place: number) => string;
  /** A bar became the current one; -1: none is. */
  onMove: (place: number) => void;
  /** A bar was chosen. */
  onChoose: (place: number) => void;
}

export interface Strip {
  el: HTMLElement;
  /** Show bars, in the colours of those below zero and above it. */
  update(bars: readonly Bar[], colours: readonly [below: string, above: string]): void;
  /** Mark a bar as chosen; -1: none is. */
  mark(place: number): void;
}

const HEIGHT_PX = 84;
const PATHS = ["worse", "better", "missing", "gained", "lost"] as const;

/** By how many bars a key moves. */
const MOVES: Record<string, number> = {
  ArrowRight: 1,
  ArrowUp: 1,
  ArrowLeft: -1,
  ArrowDown: -1,
  PageUp: 10,
  PageDown: -10,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

export function createStrip(
  { textOf, onMove, onChoose }: StripOptions,
  signal: AbortSignal,
): Strip {
  const paths = PATHS.map((name) => makeSvg("path", { class: `rv-bars-${name}` }));
  const line = makeSvg("path", { class: "rv-bars-zero" });
  const svg = makeSvg(
    "svg",
    { height: HEIGHT_PX, "aria-hidden": "true" },
    line,
    ...paths,
  );
  const chosen = make("i", { class: "rv-bar-chosen", hidden: true });
  const cursor = make("i", { class: "rv-bar-cursor", hidden: true });
  const el = make("div", {
    class: "rv-pair-strip",
    tabindex: 0,
    role: "slider",
    "aria-label": "Pairs by difference",
    "aria-valuemin": 1,
  });
  el.append(chosen, cursor, svg);
  let bars: readonly Bar[] = [];
  let current = -1;
  let marked = -1;
  let width = 0;
  const draw = () => {
    if (!width) return;
    const shape = shapeOf(bars, width, HEIGHT_PX);
    setAttribute(svg, "width", String(width));
    setAttribute(line, "d", `M0 ${shape.zero}h${width}`);
    for (const [index, name] of PATHS.entries())
      setAttribute(paths[index]!, "d", shape[name]);
    place(chosen, marked);
    place(cursor, current);
  };
  const place = (mark: HTMLElement, bar: number) => {
    mark.hidden = bar < 0;
    if (bar < 0) return;
    const pitch = width / bars.length;
    // No thinner than can be seen.
    const wide = Math.max(3, pitch);
    mark.style.left = `${bar * pitch + (pitch - wide) / 2}px`;
    mark.style.width = `${wide}px`;
  };
  const move = (to: number) => {
    if (to === current) return;
    current = to;
    place(cursor, to);
    if (to >= 0) {
      setAttribute(el, "aria-valuenow", String(to + 1));
      setAttribute(el, "aria-valuetext", textOf(to));
    }
    onMove(to);
  };
  const barOf = (event: PointerEvent) =>
    barAt(event.clientX - svg.getBoundingClientRect().left, width, bars.length);
  listen(el, "pointermove", signal, (event: PointerEvent) => move(barOf(event)));
  listen(el, "pointerleave", signal, () => move(marked));
  listen(el, "click", signal, (event: PointerEvent) => {
    move(barOf(event));
    onChoose(current);
  });
  listen(el, "focus", signal, () => {
    if (current < 0) move(Math.max(0, marked));
  });
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !bars.length) return;
    const by = MOVES[event.key];
    const isChosen = event.key === "Enter" || event.key === " ";
    if (by === undefined && !isChosen) return;
    event.preventDefault();
    event.stopPropagation(); // they move the playhead elsewhere
    if (isChosen) onChoose(Math.max(0, current));
    else move(Math.max(0, Math.min(bars.length - 1, current + by!)));
  });
  onResize([el], signal, () => {
    width = el.clientWidth;
    draw();
  });
  return {
    el,
    update(shown, [below, above]) {
      bars = shown;
      current = marked = -1;
      setAttribute(el, "aria-valuemax", String(bars.length));
      setAttribute(el, "aria-valuenow", "1");
      setAttribute(el, "aria-valuetext", bars.length ? textOf(0) : "");
      el.style.setProperty("--rv-below", `var(${below})`);
      el.style.setProperty("--rv-above", `var(${above})`);
      draw();
    },
    mark(bar) {
      marked = bar;
      place(chosen, bar);
      if (!el.matches(":hover, :focus")) move(bar);
    },
  };
}
