/**
 * Zooming and moving the pictures: the window is a scrolled element, so that scroll
 * bars, fingers and the wheel move it as they move anything else.
 *
 * By Ctrl and the wheel (a pinch on a touchpad is that, too), two fingers, dragging.
 */

import { actualScale, type Layout, movedPoint } from "../../playback/layout.ts";
import { scaleOf } from "../../util/scale.ts";
import { listen } from "../dom.ts";

export interface Zoom {
  /** How much larger tiles are than those that fit. */
  readonly factor: number;
  /** Each pixel of a picture is a whole number of the screen's. */
  readonly isActual: boolean;
  /** Zoom so that a point of the page stays; none: so that the selected tile, or what
   * is in the middle, is in the middle. */
  set(factor: number, at?: Point): void;
  /** As large as fits. */
  reset(): void;
  /** Show pixels as they are: 1:1. */
  showActual(): void;
}

interface Point {
  x: number;
  y: number;
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
  /** The layout of `inner` now. */
  layout: () => Layout | null;
  /** CSS pixels for each frame pixel at a factor of 1. */
  fitScale: () => number;
  /** The point of `inner` that keys and buttons zoom to; null: what is in the middle. */
  middle: () => Point | null;
  /** Give `inner` its size. */
  onZoom: () => void;
  onMove: () => void;
  signal: AbortSignal;
}

export function createZoom(parts: ZoomParts): Zoom {
  const { el, onMove, fitScale, signal } = parts;
  let [factor, isActual] = [1, false];
  const actualFactor = () => actualScale(devicePixelRatio || 1) / fitScale();
  const factorNow = () => (isActual ? actualFactor() : factor);

  const change = (next: number, isNextActual: boolean, at?: Point) => {
    if (isNextActual === isActual && next === factor) return;
    [factor, isActual] = [next, isNextActual];
    keepPoint(parts, at);
    const isLarge = isActual || factor > 1;
    el.classList.toggle("rv-zoomed", isLarge);
    onMove();
  };
  const set = (wanted: number, at?: Point) => {
    const least = Math.min(1, actualFactor());
    const bounded = Math.max(least, Math.min(MAX_FACTOR, wanted));
    const isFit = bounded < SNAP && bounded > 1 / SNAP;
    change(isFit ? 1 : bounded, false, at);
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
      set(factorNow() * Math.exp(-amount * WHEEL_RATE), {
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
  followPinch(el, factorNow, set, signal);
  return {
    get factor() {
      return factorNow();
    },
    get isActual() {
      return isActual;
    },
    set,
    reset: () => change(1, false),
    showActual: () => change(1, true),
  };
}

/** Zoom, and scroll so that a point of the page shows what it did before. */
function keepPoint({ el, inner, layout, middle, onZoom }: ZoomParts, at?: Point) {
  const scale = scaleOf(el); // scroll positions are the element's own pixels
  const box = el.getBoundingClientRect();
  const center = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  const point = at ?? center;
  const before = inner.getBoundingClientRect();
  const from = layout();
  const here = (!at && middle()) || {
    x: (point.x - before.left) / scale,
    y: (point.y - before.top) / scale,
  };
  onZoom();
  const to = layout();
  if (!from || !to) return;
  const there = movedPoint(from, to, here);
  const after = inner.getBoundingClientRect();
  el.scrollLeft += (after.left - point.x) / scale + there.x;
  el.scrollTop += (after.top - point.y) / scale + there.y;
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
