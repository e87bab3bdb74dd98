/** The keys, on request. */

import { make } from "./dom.ts";
import { icon } from "./icons.ts";
import { BINDINGS } from "./keymap.ts";
import { createButton } from "./parts/inputs.ts";

export interface Help {
  el: HTMLElement;
  toggle(isOpen?: boolean): void;
  readonly isOpen: boolean;
}

export function createHelp(signal: AbortSignal): Help {
  const close = createButton(
    icon("close"),
    { class: "rv-bare", "aria-label": "Close help" },
    () => toggle(false),
    signal,
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
  return {
    el,
    toggle,
    get isOpen() {
      return !el.hidden;
    },
  };
}
