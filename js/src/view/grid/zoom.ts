/**
 * Zooming and moving the pictures: the window is a scrolled element, so that scroll
 * bars, fingers and the wheel move it as they move anything else.
 *
 * By Ctrl and the wheel (a pinch on a touchpad is that, too), two fingers, dragging.
 */

import { scaleOf } from "../../util/scale.ts";
import { listen, setText } from "../dom.ts";

export interface Zoom {
  readonly factor: number;
  /** Zoom so that what is in the middle, or at a point of the page, stays there. */
  set(factor: number, at?: { x: number; y: number }): void;
  reset(): void;
}

const MAX_FACTOR = 32;
/** A factor so near to one is one. */
const SNAP = 1.04;
const DRAG_PX = 4;
/** A notch of the wheel zooms by a fifth. */
const WHEEL_RATE = 0.0018;
const KEY_FACTOR = 1.25;

export const [ZOOM_IN, ZOOM_OUT] = [KEY_FACTOR, 1 / KEY_FACTOR];

export interface ZoomParts {
  /** The element that scrolls, and the one inside it that it shows a part of. */
  el: HTMLElement;
  inner: HTMLElement;
  /** Give `inner` its size for a factor. */
  onZoom: (factor: number) => void;
  onMove: () => void;
  signal: AbortSignal;
}

export function createZoom({ el, inner, onZoom, onMove, signal }: ZoomParts): Zoom {
  let factor = 1;

  const set = (wanted: number, at?: { x: number; y: number }) => {
    const bounded = Math.max(1, Math.min(MAX_FACTOR, wanted));
    const next = bounded < SNAP ? 1 : bounded;
    if (next === factor) return;
    const box = el.getBoundingClientRect();
    const point = at ?? { x: box.left + box.width / 2, y: box.top + box.height / 2 };
    const before = inner.getBoundingClientRect();
    // Where the point lies in the pictures: the same share of them stays below it.
    const [x, y] = [
      (point.x - before.left) / (before.width || 1),
      (point.y - before.top) / (before.height || 1),
    ];
    factor = next;
    onZoom(factor);
    const after = inner.getBoundingClientRect();
    const scale = scaleOf(el); // scroll positions are the element's own pixels
    el.scrollLeft += (after.left + x * after.width - point.x) / scale;
    el.scrollTop += (after.top + y * after.height - point.y) / scale;
    el.classList.toggle("rv-zoomed", factor > 1);
    onMove();
  };

  listen(
    el,
    "wheel",
    signal,
    (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault(); // the browser would zoom the page
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 33 : 1;
      const amount = Math.max(-300, Math.min(300, event.deltaY * lines));
      set(factor * Math.exp(-amount * WHEEL_RATE), {
        x: event.clientX,
        y: event.clientY,
      });
    },
    { passive: false },
  );
  listen(el, "scroll", signal, onMove);
  const overflows = () =>
    el.scrollWidth > el.clientWidth || el.scrollHeight > el.clientHeight;
  followDrag(el, overflows, signal);
  followPinch(el, () => factor, set, signal);
  return {
    get factor() {
      return factor;
    },
    set,
    reset: () => set(1),
  };
}

/** Dragging with the mouse moves the pictures; fingers scroll without help. */
function followDrag(el: HTMLElement, isOn: () => boolean, signal: AbortSignal): void {
  let from: { x: number; y: number; left: number; top: number } | null = null;
  let isDragged = false;
  listen(el, "pointerdown", signal, (event: PointerEvent) => {
    isDragged = false;
    if (event.button !== 0 || event.pointerType !== "mouse" || !isOn()) return;
    const { clientX: x, clientY: y } = event;
    from = { x, y, left: el.scrollLeft, top: el.scrollTop };
  });
  listen(
    window as unknown as EventTarget,
    "pointermove",
    signal,
    (event: PointerEvent) => {
      if (!from) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (!isDragged && Math.hypot(dx, dy) < DRAG_PX) return;
      isDragged = true;
      el.classList.add("rv-dragged");
      const scale = scaleOf(el);
      el.scrollTo(from.left - dx / scale, from.top - dy / scale);
    },
  );
  const end = () => {
    from = null;
    el.classList.remove("rv-dragged");
  };
  listen(window as unknown as EventTarget, "pointerup", signal, end);
  listen(window as unknown as EventTarget, "pointercancel", signal, end);
  // The end of a drag is not a click.
  const stop = (event: MouseEvent) => {
    if (!isDragged) return;
    event.stopPropagation();
    isDragged = false;
  };
  listen(el, "click", signal, stop, { capture: true });
}

/** Two fingers zoom about the point between them. */
function followPinch(
  el: HTMLElement,
  factorNow: () => number,
  set: Zoom["set"],
  signal: AbortSignal,
): void {
  let begun: { distance: number; factor: number } | null = null;
  const [x, y] = ["clientX", "clientY"] as const;
  const measure = ({ touches: [a, b] }: TouchEvent) => ({
    distance: Math.hypot(a![x] - b![x], a![y] - b![y]),
    middle: { x: (a![x] + b![x]) / 2, y: (a![y] + b![y]) / 2 },
  });
  const begin = (event: TouchEvent) => {
    begun =
      event.touches.length === 2
        ? { distance: measure(event).distance || 1, factor: factorNow() }
        : null;
  };
  const move = (event: TouchEvent) => {
    if (!begun || event.touches.length !== 2) return;
    event.preventDefault();
    const { distance, middle } = measure(event);
    set((begun.factor * distance) / begun.distance, middle);
  };
  listen(el, "touchstart", signal, begin);
  listen(el, "touchend", signal, begin);
  listen(el, "touchmove", signal, move, { passive: false });
}

/** Show a zoom's factor, as "2.5×". */
export function showFactor(el: Element, factor: number): void {
  setText(
    el,
    `${factor < 10 ? Math.round(factor * 10) / 10 : Math.round(factor)}\u00d7`,
  );
}
