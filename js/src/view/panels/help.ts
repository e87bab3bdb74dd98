/** The keys, on request. */

import { listen, make } from "../dom.ts";
import { icon } from "../icons.ts";
import { BINDINGS } from "../keymap.ts";

export interface Help {
  el: HTMLElement;
  toggle(isOpen?: boolean): void;
  readonly isOpen: boolean;
}

export function createHelp(signal: AbortSignal): Help {
  const close = make(
    "button",
    { type: "button", class: "rv-button rv-bare", "aria-label": "Close help" },
    icon("close"),
  );
  const keys = BINDINGS.flatMap(({ key, does }) => [
    make("dt", {}, ...key.split("+").map((part) => make("kbd", {}, part))),
    make("dd", {}, does),
  ]);
  const el = make(
    "div",
    { class: "rv-help", role: "dialog", "aria-label": "Keys", hidden: true },
    make("div", { class: "rv-help-head" }, make("b", {}, "Keys"), close),
    make("dl", {}, ...keys),
    make(
      "p",
      {},
      "Click a tile to select it, double click to open it alone. Keys work while the " +
        "viewer has the focus.",
    ),
  );
  const toggle = (isOpen = el.hidden) => {
    el.hidden = !isOpen;
  };
  listen(close, "click", signal, () => toggle(false));
  return {
    el,
    toggle,
    get isOpen() {
      return !el.hidden;
    },
  };
}
