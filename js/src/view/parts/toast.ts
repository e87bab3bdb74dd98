/** Short messages above the timeline: what was done, and how to undo or use it. */

import { scaleOf } from "../../util/scale.ts";
import { make, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "./inputs.ts";
import { createRing, type Ring } from "./ring.ts";

export interface ToastAction {
  text: string;
  /** The message stays after it. */
  stays?: boolean;
  do: () => void;
}

export interface Toast {
  text: string;
  /** A path or the like, to be read letter by letter. */
  code?: string;
  /** "done" and "note" go by themselves, the others stay until they are closed. */
  kind?: "note" | "done" | "error" | "progress";
  /** From 0 to 1, of "progress". */
  progress?: number;
  actions?: readonly ToastAction[];
  /** One of the same key takes its place. */
  key?: string;
  shownMs?: number;
}

export interface Toasts {
  el: HTMLElement;
  show(toast: Toast): void;
  close(key: string): void;
}

const SHOWN_MS = 6000;
const MAX_TOASTS = 3;
const EDGE_PX = 12;

/** `announce` says to screen readers what is shown, errors apart: these are alerts. */
export function createToasts(
  signal: AbortSignal,
  announce: (text: string) => void = () => {},
): Toasts {
  const el = make("div", { class: "rv-toasts" });
  const all = () => [...el.children] as HTMLElement[];
  const close = (key: string) => {
    for (const one of all()) if (one.dataset.key === key) one.remove();
  };
  const rings = new WeakMap<Element, Ring>();
  /** Write progress into the message that shows it: its button keeps the focus. */
  const renew = ({ text, kind, progress = 0, key = text }: Toast) => {
    const shown = all().find((one) => one.dataset.key === key);
    if (kind !== "progress" || shown?.dataset.kind !== kind) return false;
    rings.get(shown)?.update(progress);
    setText(shown.querySelector(".rv-toast-text")!, text);
    return true;
  };
  const show = (toast: Toast) => {
    if (renew(toast)) return;
    const { text, kind = "note", key = text, shownMs = SHOWN_MS } = toast;
    close(key);
    const shown = createToast(toast, rings, signal);
    el.append(shown);
    placeInSight(el);
    const passing = all().filter(({ dataset }) => dataset.kind !== "progress");
    for (const one of passing.slice(0, -MAX_TOASTS)) one.remove();
    if (kind !== "error") announce(text);
    if (kind === "note" || kind === "done") removeLater(shown, shownMs);
  };
  return { el, show, close };
}

function createToast(
  { text, code, kind = "note", progress = 0, actions = [], key = text }: Toast,
  rings: WeakMap<Element, Ring>,
  signal: AbortSignal,
): HTMLElement {
  const remove = () => toast.remove();
  const ring = kind === "progress" ? createRing() : null;
  const sign = ring?.el ?? (kind === "note" || kind === "progress" ? null : icon(kind));
  const toast = make(
    "div",
    {
      class: "rv-toast",
      "data-kind": kind,
      "data-key": key,
      role: kind === "error" ? "alert" : null,
    },
    sign,
    make(
      "span",
      { class: "rv-toast-body" },
      make("span", { class: "rv-toast-text" }, text),
      code ? make("code", { class: "rv-path" }, code) : null,
    ),
    ...actions.map((action) =>
      createButton(
        action.text,
        { class: "rv-toast-action" },
        () => {
          action.do();
          if (!action.stays) remove();
        },
        signal,
      ),
    ),
    kind === "progress"
      ? null
      : createButton(
          icon("close"),
          { class: "rv-bare", "aria-label": "Close message" },
          remove,
          signal,
        ),
  );
  if (ring) {
    rings.set(toast, ring);
    ring.update(progress);
  }
  return toast;
}

/** Above the timeline, or above what cuts the viewer off below. */
function placeInSight(el: HTMLElement): void {
  const main = el.parentElement;
  if (!main) return;
  let lowest = innerHeight;
  for (let around = main.parentElement; around; around = around.parentElement)
    if (/auto|scroll/.test(getComputedStyle(around).overflowY))
      lowest = Math.min(lowest, around.getBoundingClientRect().bottom);
  const hidden = (main.getBoundingClientRect().bottom - lowest) / scaleOf(main);
  el.style.bottom = hidden > 0 ? `${hidden + EDGE_PX}px` : "";
}

function removeLater(toast: HTMLElement, shownMs: number): void {
  const goUnlessUsed = () => {
    if (toast.matches(":hover, :focus-within")) setTimeout(goUnlessUsed, 1000);
    else toast.remove();
  };
  setTimeout(goUnlessUsed, shownMs);
}
