/**
 * The root element of a view: its attributes, and what is pressed inside it.
 *
 * Tests and style sheets read the attributes; they change after the row is drawn.
 */

import type { Session } from "../session/session.ts";
import { listen, setAttribute } from "./dom.ts";
import { type Action, actionOf, isOfHost, isUndo } from "./keymap.ts";

export function setUpRoot(root: HTMLElement): void {
  root.classList.add("rollout-viewer");
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Rollout viewer");
  root.dataset.state = "loading";
}

/** `shownRow`: the row that was drawn last; -1: none was yet. */
export function updateRoot(
  root: HTMLElement,
  { store, errors, viewOptions }: Session,
  shownRow: number,
  isLive: boolean,
): void {
  const { manifest, numRows } = store;
  setAttribute(root, "data-num-rows", String(numRows));
  setAttribute(root, "data-num-envs", String(manifest?.num_envs ?? 0));
  if (shownRow >= 0 && numRows) setAttribute(root, "data-row", String(shownRow));
  const isReady = numRows > 0 && shownRow >= 0;
  const working = !isReady ? "loading" : isLive ? "live" : "ready";
  setAttribute(root, "data-state", errors.length ? "error" : working);
  root.classList.toggle("rv-no-labels", !viewOptions.now.hasText);
}

export interface KeyParts {
  root: HTMLElement;
  perform: (action: Action) => void;
  isAnythingOpen: () => boolean;
  canUndo: () => boolean;
  signal: AbortSignal;
}

/** Perform the actions of keys, until the signal. */
export function listenToKeys(parts: KeyParts): void {
  const { root, perform, isAnythingOpen, canUndo, signal } = parts;
  const press = (event: KeyboardEvent) => {
    const isTyped = (event.target as HTMLElement).matches("input[type=text]");
    if (isUndo(event) && !isTyped && canUndo()) {
      event.stopPropagation();
      event.preventDefault();
      perform("undo");
      return;
    }
    if (isOfHost(event)) {
      giveToHost(root);
      return;
    }
    const open = root.querySelector<HTMLElement>(":popover-open:not(.rv-tip)");
    if (event.key === "Escape" && open) {
      event.stopPropagation();
      open.hidePopover();
      return;
    }
    const target = event.target as HTMLElement;
    const isField = target.matches("select, input:not(.rv-scrub)");
    if (event.key === "Escape" && !isField && !isAnythingOpen()) {
      giveToHost(root);
      leaveTo(root);
      return;
    }
    // No other key that is typed here may reach the notebook.
    event.stopPropagation();
    if (isField) {
      if (event.key === "Enter" || event.key === "Escape") root.focus();
      return;
    }
    const isButton = target.matches("button");
    if (isButton && (event.key === " " || event.key === "Enter")) return;
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    perform(action);
  };
  listen(root, "keydown", signal, press);
  // The page is the viewer: keys are its own wherever nothing else has the focus.
  if (root.hasAttribute("data-rollout-viewer"))
    listen(document, "keydown", signal, (event: KeyboardEvent) => {
      if (event.target === document.body) press(event);
    });
  // A click anywhere inside gives the keys to the viewer.
  listen(root, "pointerdown", signal, (event: PointerEvent) => {
    const target = event.target as HTMLElement;
    if (!target.closest("button, input, select, code, dialog"))
      root.focus({ preventScroll: true });
  });
}

const SUPPRESS = "data-lm-suppress-shortcuts";

/** Let JupyterLab have the key of the event that is handled now. */
function giveToHost(root: HTMLElement): void {
  const suppressing = [root, ...root.querySelectorAll(`[${SUPPRESS}]`)];
  for (const el of suppressing) el.removeAttribute(SUPPRESS);
  setTimeout(() => {
    for (const el of suppressing) el.setAttribute(SUPPRESS, "true");
  });
}

/** Give the focus to what is around the viewer. */
function leaveTo(root: HTMLElement): void {
  const around = root.parentElement?.closest<HTMLElement>("[tabindex]");
  if (around) around.focus({ preventScroll: true });
  else (document.activeElement as HTMLElement | null)?.blur();
}
