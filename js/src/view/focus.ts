/**
 * Keeps the keys working: the focus is never lost from a view.
 *
 * A control that has the focus and is disabled, hidden or removed would leave it on
 * the document, where no key reaches the viewer. And what was clicked with the pointer
 * does not keep it: else Space repeats the button, and arrows change the select.
 */

import { listen } from "./dom.ts";

export interface Focus {
  /**
   * Take back a focus that was lost since it was within the root: once, at the end of
   * what happens now, as it has to be laid out for that.
   */
  restore(): void;
}

/** In these, keys move from one to the next. */
const OWN_KEYS = "[role=menu], [role=tablist], [data-place]";

export function keepFocus(root: HTMLElement, signal: AbortSignal): Focus {
  let last: HTMLElement | null = null;
  const focusRoot = () => root.focus({ preventScroll: true });
  const isLost = () => {
    if (!last || last === root) return false;
    const isUsable =
      last.isConnected && !last.matches(":disabled") && last.checkVisibility();
    if (isUsable) return false;
    const active = focused(root);
    return !active || active === document.body || active === last;
  };
  const restore = () => {
    if (!isLost()) return;
    last = null;
    focusRoot();
  };
  listen(root, "focusin", signal, (event: FocusEvent) => {
    last = event.target as HTMLElement;
  });
  listen(root, "focusout", signal, (event: FocusEvent) => {
    // Elsewhere by the user: nothing was lost.
    if (event.relatedTarget && !root.contains(event.relatedTarget as Node)) last = null;
    else setTimeout(restore);
  });
  listen(root, "click", signal, (event: MouseEvent) => {
    // From the path: what was clicked may be replaced by its own click.
    const button = event.composedPath().find((el) => el instanceof HTMLButtonElement);
    const isByPointer = event.detail > 0;
    // After the click was handled: what it opened may have taken the focus.
    setTimeout(() => {
      restore();
      const hasFocus = button !== undefined && focused(root) === button;
      if (isByPointer && hasFocus && !button.closest(OWN_KEYS)) focusRoot();
    });
  });
  followPointer(root, focusRoot, signal);
  let isDue = false;
  return {
    restore() {
      if (isDue) return;
      isDue = true;
      queueMicrotask(() => {
        isDue = false;
        if (!signal.aborted) restore();
      });
    },
  };
}

/** What was opened or chosen with the pointer gives the focus to the root. */
function followPointer(
  root: HTMLElement,
  focusRoot: () => void,
  signal: AbortSignal,
): void {
  let isByPointer = false;
  const isOurs = (event: Event) => event.composedPath().includes(root);
  listen(
    document,
    "pointerdown",
    signal,
    (event: Event) => {
      isByPointer = isOurs(event);
    },
    { capture: true },
  );
  const byKey = () => {
    isByPointer = false;
  };
  listen(root, "keydown", signal, byKey, { capture: true });
  listen(root, "change", signal, ({ target }: Event) => {
    if (isByPointer && (target as HTMLElement).matches("select")) setTimeout(focusRoot);
  });
  /** What had the focus when it was opened with the pointer, which would get it back. */
  const openers = new Map<Element, Element | null>();
  // Before it closes, not at `toggle`, which comes later: a key that follows at once
  // would be the button's.
  const onToggle = (event: ToggleEvent) => {
    const popover = event.target as HTMLElement;
    if (popover.popover !== "auto") return;
    const active = focused(root);
    if (event.newState === "open") {
      if (isByPointer) openers.set(popover, active);
      return;
    }
    if (!openers.has(popover)) return;
    const had = popover.contains(active) ? openers.get(popover)! : active;
    if (!had || had === document.body || isButton(had)) focusRoot();
    openers.delete(popover);
  };
  listen(root, "beforetoggle", signal, onToggle, { capture: true });
}

/** Return what has the focus, in the page or in the shadow tree around the viewer. */
function focused(root: HTMLElement): Element | null {
  return (root.getRootNode() as Document | ShadowRoot).activeElement;
}

function isButton(element: Element): boolean {
  return element instanceof HTMLButtonElement && element.closest(OWN_KEYS) === null;
}
