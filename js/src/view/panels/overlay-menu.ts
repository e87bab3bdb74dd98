/** The menu of what is drawn above the pictures: each on or off. */

import type { Session } from "../../session/session.ts";
import { OVERLAYS } from "../../session/view-options.ts";
import { listen, make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "./inputs.ts";

export interface OverlayMenu {
  /** The button, and the menu that it opens. */
  el: HTMLElement;
  update(): void;
}

export function createOverlayMenu(
  { viewOptions }: Session,
  signal: AbortSignal,
): OverlayMenu {
  const button = createButton(
    icon("overlays"),
    {
      "aria-label": "Overlays",
      "aria-expanded": "false",
      title: "Overlays: what stands on the tiles",
    },
    () => {
      toggle();
      if (!panel.hidden) boxes[0]?.box.focus();
    },
    signal,
  );
  const boxes = OVERLAYS.map(({ name, text }) => {
    const box = make("input", { type: "checkbox", "data-overlay": name });
    listen(box, "change", signal, () => viewOptions.setOverlay(name, box.checked));
    return { name, box, el: make("label", {}, box, text) };
  });
  const panel = make(
    "div",
    { class: "rv-menu", role: "group", "aria-label": "Overlays", hidden: true },
    ...boxes.map((one) => one.el),
  );
  const el = make("div", { class: "rv-menu-at" }, button, panel);
  const toggle = (isOpen = panel.hidden) => {
    panel.hidden = !isOpen;
    setAttribute(button, "aria-expanded", String(isOpen));
  };
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key !== "Escape" || panel.hidden) return;
    event.stopPropagation();
    toggle(false);
    button.focus();
  });
  listen(document, "pointerdown", signal, (event: PointerEvent) => {
    // In a shadow root the document sees only its host.
    if (!event.composedPath().includes(el)) toggle(false);
  });
  return {
    el,
    update() {
      for (const { name, box } of boxes) box.checked = viewOptions.shows(name);
    },
  };
}
