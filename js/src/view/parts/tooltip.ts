/** What a button does and by which key, shown beside it after a moment. */

import { listen, make, onAbort } from "../dom.ts";
import { type Action, keysOf } from "../keymap.ts";
import { placeBeside } from "./popover.ts";

const WAIT_MS = 400;
/** Beside one that is shown, the next is shown at once. */
const NEXT_MS = 300;

/** `data-tip` says it where it is more than the name; `data-action` has the keys. */
const TIPPED = ".rv-button[aria-label], [data-tip]";

export function createTooltips(root: HTMLElement, signal: AbortSignal): HTMLElement {
  const el = make("div", { class: "rv-tip", popover: "manual", role: "tooltip" });
  let shownFor: Element | null = null;
  let hiddenAt = Number.NEGATIVE_INFINITY;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hide = () => {
    clearTimeout(timer);
    if (!shownFor) return;
    shownFor = null;
    if (!el.matches(":popover-open")) return;
    hiddenAt = performance.now();
    el.hidePopover();
  };
  const show = (target: HTMLElement) => {
    if (!target.isConnected || target.getAttribute("aria-expanded") === "true") return;
    el.replaceChildren(...describe(target));
    el.showPopover();
    placeBeside(el, target);
  };
  const showSoon = (target: HTMLElement) => {
    if (target === shownFor) return;
    hide();
    shownFor = target;
    const isNext = performance.now() - hiddenAt < NEXT_MS;
    timer = setTimeout(() => show(target), isNext ? 0 : WAIT_MS);
  };
  const tipped = ({ target }: Event) =>
    target instanceof Element && !target.closest(".rv-menu")
      ? target.closest<HTMLElement>(TIPPED)
      : null;
  listen(root, "pointerover", signal, (event: PointerEvent) => {
    const target = tipped(event);
    if (!target) hide();
    else if (event.pointerType === "mouse") showSoon(target);
  });
  listen(root, "focusin", signal, (event: FocusEvent) => {
    const target = tipped(event);
    if (target?.matches(":focus-visible")) showSoon(target);
  });
  for (const type of ["pointerleave", "focusout"]) listen(root, type, signal, hide);
  for (const type of ["pointerdown", "keydown", "wheel"])
    listen(root, type, signal, hide, { capture: true, passive: true });
  onAbort(signal, hide);
  return el;
}

function describe(target: HTMLElement): (Node | string)[] {
  const text = target.dataset.tip ?? target.getAttribute("aria-label") ?? "";
  const { action } = target.dataset;
  const isUsable = action && !target.matches(":disabled");
  const keys = isUsable ? keysOf(action as Action) : [];
  return [text, ...keys.map((key) => make("kbd", {}, key))];
}
