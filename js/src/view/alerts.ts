/** The lines above the pictures: errors, and what the kernel does not do now. */

import type { Session } from "../session/session.ts";
import { make } from "./dom.ts";
import { icon } from "./icons.ts";
import { createButton } from "./parts/inputs.ts";

export interface Alerts {
  els: HTMLElement[];
  update(): void;
}

const CUT =
  "The kernel has ended. What is in the page still plays; run the cell again " +
  "for the rest, and to dump.";

const AS_TEXT =
  "This notebook drops binary data. Everything comes as text, a third more of it.";

export function createAlerts(
  session: Session,
  say: (text: string) => void,
  signal: AbortSignal,
): Alerts {
  const errors = make("div", { class: "rv-alerts" });
  const cut = make(
    "div",
    { class: "rv-cut", hidden: true },
    icon("warning"),
    make("span", {}, CUT),
  );
  const asText = createNote(AS_TEXT, signal);
  let saidAsText = false;
  const showErrors = () => {
    const lines = session.errors.map((text) => createError(text, session, signal));
    errors.replaceChildren(...lines);
  };
  session.onError.on(showErrors, signal);
  showErrors();
  return {
    els: [errors, cut, asText],
    update() {
      if (session.feed.isTextual && !saidAsText) {
        saidAsText = true;
        asText.hidden = false;
        say(AS_TEXT);
      }
      if (cut.hidden && session.isCut) say("Kernel gone");
      cut.hidden = !session.isCut;
    },
  };
}

/** What is so, until the user closes it; hidden at first. */
function createNote(text: string, signal: AbortSignal): HTMLElement {
  const note = make("div", { class: "rv-cut", hidden: true });
  const close = createClose("Close note", () => note.remove(), signal);
  note.append(icon("warning"), make("span", {}, text), close);
  return note;
}

function createClose(label: string, onClick: () => void, signal: AbortSignal) {
  const attributes = { class: "rv-bare", "aria-label": label };
  return createButton(icon("close"), attributes, onClick, signal);
}

/** An error, until the user closes it: "where: what came. What to do." */
function createError(text: string, session: Session, signal: AbortSignal): HTMLElement {
  const forget = () => {
    session.errors.splice(session.errors.indexOf(text), 1);
    session.onError.emit();
  };
  const close = createClose("Close error", forget, signal);
  const [cause, source] = causeFirst(text);
  return make(
    "div",
    { class: "rv-alert", role: "alert" },
    icon("error"),
    make("span", {}, cause, source ? make("small", {}, source) : null),
    close,
  );
}

/** The cause, and the function that reported it: "rollout_viewer: ..." names itself. */
function causeFirst(text: string): [cause: string, source: string] {
  const found = /^\[?([A-Za-z_][\w.]*)(?:\]|:) (?=\S)([\s\S]+)$/.exec(text);
  if (!found) return [text, ""];
  const cause = found[2]!;
  return [cause[0]!.toUpperCase() + cause.slice(1), found[1]!];
}
