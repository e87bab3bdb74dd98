/** Short messages above the transport: what was done, and how to undo or use it. */

import { make } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "./inputs.ts";

export interface ToastAction {
  text: string;
  do: () => void;
}

export interface Toast {
  text: string;
  /** "done" and "note" go by themselves; "error" stays until it is closed. */
  kind?: "note" | "done" | "error";
  actions?: readonly ToastAction[];
  /** One of the same key takes its place. */
  key?: string;
}

export interface Toasts {
  el: HTMLElement;
  show(toast: Toast): void;
  close(key: string): void;
}

const SHOWN_MS = 6000;
const MAX_TOASTS = 3;

export function createToasts(signal: AbortSignal): Toasts {
  const el = make("div", { class: "rv-toasts" });
  const close = (key: string) => {
    for (const one of [...el.children] as HTMLElement[])
      if (one.dataset.key === key) one.remove();
  };
  const show = ({ text, kind = "note", actions = [], key = text }: Toast) => {
    close(key);
    const remove = () => toast.remove();
    const toast = make(
      "div",
      { class: "rv-toast", "data-kind": kind, "data-key": key },
      kind === "note" ? null : icon(kind),
      make("span", { class: "rv-toast-text" }, text),
      ...actions.map((action) =>
        createButton(
          action.text,
          { class: "rv-toast-action" },
          () => {
            action.do();
            remove();
          },
          signal,
        ),
      ),
      createButton(
        icon("close"),
        { class: "rv-bare", "aria-label": "Close message", title: "Close" },
        remove,
        signal,
      ),
    );
    if (kind === "error") toast.setAttribute("role", "alert");
    el.append(toast);
    while (el.children.length > MAX_TOASTS) el.firstElementChild!.remove();
    if (kind === "error") return;
    const goUnlessUsed = () => {
      if (toast.matches(":hover, :focus-within")) setTimeout(goUnlessUsed, 1000);
      else remove();
    };
    setTimeout(goUnlessUsed, SHOWN_MS);
  };
  return { el, show, close };
}
