/**
 * Places what opens above the page beside what opened it, flipped at the window's edges.
 *
 * By the `popover` attribute: nothing around the viewer cuts it off, a click elsewhere or
 * Escape closes it, and it is above everything in a whole screen too.
 */

import { scaleOf } from "../../util/scale.ts";
import { listen, make, onAbort, setAttribute } from "../dom.ts";

/** Where it opens: beside an element, or at a point of the window. */
export type Anchor = Element | { x: number; y: number };

export interface Popover {
  el: HTMLElement;
  open(anchor: Anchor): void;
  close(): void;
  readonly isOpen: boolean;
}

const GAP_PX = 4;
const EDGE_PX = 8;

/**
 * Make a popover of `el`; a button that opens it shows whether it is open.
 *
 * `onClose` is called however it closes; the focus is then where it was before.
 */
export function createPopover(
  attributes: Record<string, string>,
  signal: AbortSignal,
  onClose: () => void = () => {},
): Popover {
  const el = make("div", { popover: "auto", ...attributes });
  let opener: Element | null = null;
  listen(el, "toggle", signal, (event: ToggleEvent) => {
    const isOpen = event.newState === "open";
    if (opener) setAttribute(opener, "aria-expanded", String(isOpen));
    if (!isOpen) onClose();
  });
  const close = () => {
    if (el.matches(":popover-open")) el.hidePopover();
  };
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation(); // for this alone
    event.preventDefault();
    close();
  });
  onAbort(signal, close);
  return {
    el,
    close,
    open(anchor) {
      opener = anchor instanceof Element ? anchor : null;
      if (!el.matches(":popover-open")) el.showPopover();
      placeBeside(el, anchor);
    },
    get isOpen() {
      return el.matches(":popover-open");
    },
  };
}

/** Below an element, or above it where that has more room. */
export function placeBeside(el: HTMLElement, anchor: Anchor): void {
  const scale = scaleOf(el);
  const { left, top, right, bottom } =
    anchor instanceof Element
      ? anchor.getBoundingClientRect()
      : { left: anchor.x, right: anchor.x, top: anchor.y, bottom: anchor.y };
  el.style.left = el.style.top = "0";
  el.style.maxHeight = `${(innerHeight - 2 * EDGE_PX) / scale}px`;
  const { width, height } = el.getBoundingClientRect();
  // Below it and from its left edge on, where there is room.
  const fitsRight = left + width <= innerWidth - EDGE_PX;
  const x = fitsRight ? left : Math.max(EDGE_PX, right - width);
  const below = bottom + GAP_PX;
  const fitsBelow = below + height <= innerHeight - EDGE_PX;
  const above = Math.max(EDGE_PX, top - GAP_PX - height);
  const y = fitsBelow || top < innerHeight - bottom ? below : above;
  const lowest = Math.max(EDGE_PX, innerHeight - EDGE_PX - height);
  el.style.left = `${x / scale}px`;
  el.style.top = `${Math.min(y, lowest) / scale}px`;
}
