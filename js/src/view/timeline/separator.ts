/** Edges that are moved: by dragging, and by arrow keys. */

import type { Span } from "../../recording/downsample.ts";
import { listen, make, setAttribute } from "../dom.ts";

export interface SeparatorParts {
  className: string;
  label: string;
  /** An arrow was pressed: -1 or 1, tenfold with Shift. */
  onKey: (by: number) => void;
  onDrag: (event: PointerEvent) => void;
  signal: AbortSignal;
}

export function createSeparator(parts: SeparatorParts): HTMLElement {
  const { className, label, onKey, onDrag, signal } = parts;
  const el = make("div", {
    class: className,
    role: "separator",
    tabindex: 0,
    "aria-orientation": "vertical",
    "aria-label": label,
    title: label,
  });
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    onKey(event.shiftKey ? 10 * by : by);
  });
  dragWith(el, signal, onDrag);
  return el;
}

/** Say where something that moves among rows is. */
export function setValue(el: Element, row: number, all: Span, text: string): void {
  setAttribute(el, "aria-valuemin", String(all.from));
  setAttribute(el, "aria-valuemax", String(all.to));
  setAttribute(el, "aria-valuenow", String(row));
  setAttribute(el, "aria-valuetext", text);
}

/** Call back while an element itself, and nothing in it, is dragged. */
export function dragWith(
  el: HTMLElement,
  signal: AbortSignal,
  onMove: (event: PointerEvent) => void,
  onStart: (event: PointerEvent) => void = () => {},
): void {
  listen(el, "pointerdown", signal, (event: PointerEvent) => {
    if (event.button || event.target !== el) return;
    el.setPointerCapture(event.pointerId);
    onStart(event);
  });
  listen(el, "pointermove", signal, (event: PointerEvent) => {
    if (el.hasPointerCapture(event.pointerId)) onMove(event);
  });
}
