/**
 * The edge of the panel that is dragged: beside the pictures it changes the width, and of
 * a sheet below them the height, which closes it where little is left.
 */

import type { ViewOptions } from "../../session/view-options.ts";
import { scaleOf } from "../../util/scale.ts";
import { listen, make, onResize, setAttribute } from "../dom.ts";

export interface SideSizeOptions {
  side: HTMLElement;
  viewOptions: ViewOptions;
  close: () => void;
}

const MIN_WIDTH_PX = 280;
const STEP_PX = 16;
/** A sheet that is dragged to less than this closes. */
const CLOSED_PX = 96;
/** Of the room there is, so that something is left of the pictures. */
const MAX_SHARE = 0.7;

export function createSideEdge(
  { side, viewOptions, close }: SideSizeOptions,
  signal: AbortSignal,
): HTMLElement {
  const edge = make("div", {
    class: "rv-side-edge",
    role: "separator",
    tabindex: 0,
    "aria-label": "Size of the panel",
    title: "Drag, or press arrows: another size. Double click: the usual one",
  });
  const size = createSize(side, viewOptions);
  onResize([side], signal, () => describe(edge, size));
  const keep = () => {
    if (!size.isTooSmall()) return size.keep();
    close();
    side.style.removeProperty("--rv-sheet"); // opened again, it has its usual height
  };
  listenToDrag(edge, side, size, keep, signal);
  listen(edge, "dblclick", signal, () => size.reset());
  listen(edge, "keydown", signal, (event: KeyboardEvent) => {
    const by = { ArrowLeft: 1, ArrowUp: 1, ArrowRight: -1, ArrowDown: -1 }[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // elsewhere they move the playhead
    size.set(size.now() + by * STEP_PX);
    keep();
  });
  return edge;
}

interface Size {
  isSheet(): boolean;
  now(): number;
  max(): number;
  set(px: number): void;
  isTooSmall(): boolean;
  /** Save it. */
  keep(): void;
  reset(): void;
}

function createSize(side: HTMLElement, viewOptions: ViewOptions): Size {
  const isSheet = () => getComputedStyle(side).position === "static";
  const now = () => (isSheet() ? side.offsetHeight : side.offsetWidth);
  const room = () => side.parentElement?.[isSheet() ? "clientHeight" : "clientWidth"];
  const max = () => Math.round((room() ?? 0) * (isSheet() ? 1 : MAX_SHARE));
  return {
    isSheet,
    now,
    max,
    set(px) {
      const least = isSheet() ? 0 : MIN_WIDTH_PX;
      const size = Math.round(Math.min(max(), Math.max(least, px)));
      side.style.setProperty(isSheet() ? "--rv-sheet" : "--rv-side-width", `${size}px`);
    },
    isTooSmall: () => isSheet() && now() < CLOSED_PX,
    keep() {
      if (!isSheet()) viewOptions.set({ panelWidth: side.offsetWidth });
    },
    reset() {
      side.style.removeProperty("--rv-sheet");
      viewOptions.set({ panelWidth: 0 });
    },
  };
}

function describe(edge: HTMLElement, size: Size): void {
  const isSheet = size.isSheet();
  setAttribute(edge, "aria-orientation", isSheet ? "horizontal" : "vertical");
  setAttribute(edge, "aria-valuemin", isSheet ? "0" : String(MIN_WIDTH_PX));
  setAttribute(edge, "aria-valuenow", String(size.now()));
  setAttribute(edge, "aria-valuemax", String(Math.max(size.max(), size.now())));
}

function listenToDrag(
  edge: HTMLElement,
  side: HTMLElement,
  size: Size,
  onEnd: () => void,
  signal: AbortSignal,
): void {
  let from: { at: number; size: number } | null = null;
  const along = (event: PointerEvent) =>
    (size.isSheet() ? event.clientY : event.clientX) / scaleOf(side);
  listen(edge, "pointerdown", signal, (event: PointerEvent) => {
    if (event.button) return;
    from = { at: along(event), size: size.now() };
    edge.setPointerCapture(event.pointerId);
    event.stopPropagation(); // it keeps the focus
  });
  listen(edge, "pointermove", signal, (event: PointerEvent) => {
    if (from) size.set(from.size + from.at - along(event));
  });
  const end = () => {
    if (from && size.now() !== from.size) onEnd();
    from = null;
  };
  for (const type of ["pointerup", "pointercancel"]) listen(edge, type, signal, end);
}
