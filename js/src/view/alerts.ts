/** The lines above the pictures: errors, and that the kernel has ended. */

import type { Session } from "../session/session.ts";
import { listen, make } from "./dom.ts";
import { icon } from "./icons.ts";

export interface Alerts {
  els: HTMLElement[];
  update(): void;
}

const CUT =
  "The kernel has ended. What is in the page still plays; run the cell again " +
  "for the rest, and to dump.";

export function createAlerts(session: Session, signal: AbortSignal): Alerts {
  const errors = make("div", { class: "rv-alerts" });
  const cut = make("div", { class: "rv-cut", role: "status", hidden: true }, CUT);
  const showErrors = () => {
    const lines = session.errors.map((text) => createError(text, session, signal));
    errors.replaceChildren(...lines);
  };
  session.onError.on(showErrors, signal);
  showErrors();
  return {
    els: [errors, cut],
    update() {
      cut.hidden = !session.isCut;
    },
  };
}

/** An error, until the user closes it. */
function createError(text: string, session: Session, signal: AbortSignal): HTMLElement {
  const close = make(
    "button",
    { type: "button", class: "rv-button rv-bare", "aria-label": "Close" },
    icon("close"),
  );
  listen(close, "click", signal, () => {
    session.errors.splice(session.errors.indexOf(text), 1);
    session.onError.emit();
  });
  return make(
    "div",
    { class: "rv-alert", role: "alert" },
    make("span", {}, text),
    close,
  );
}
