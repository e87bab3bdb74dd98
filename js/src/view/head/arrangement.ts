/**
 * How rows and envs are arranged: chosen in a field, named in a line, and reset again.
 */

import type { Arrangement } from "../../recording/arrangement.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { createButton, createOption, createSelect, named } from "../parts/inputs.ts";
import { arrangementOf, choicesOf, RECORDED } from "./arrangement-choices.ts";

export interface ArrangementPanel {
  /** The field, for the controls. */
  field: HTMLElement;
  /** The line above the pictures, while anything is arranged. */
  el: HTMLElement;
  update(): void;
}

const CHOSEN = "chosen";

export function createArrangementPanel(
  session: Session,
  signal: AbortSignal,
): ArrangementPanel {
  const { store, marks } = session;
  const select = createSelect(
    { class: "rv-input rv-align", ...named("Align tiles by") },
    [],
    (value) => arrange(value),
    signal,
  );
  const title = make("span", {});
  const back = createButton(
    "Back to recorder rows",
    { class: "rv-back-to-rows" },
    () => arrange(RECORDED),
    signal,
  );
  const renewed = createButton(
    null,
    { class: "rv-renew" },
    () => arrange(made.value),
    signal,
  );
  const el = make(
    "div",
    { class: "rv-arranged", role: "status", hidden: true },
    title,
    renewed,
    back,
  );
  // What the field made last; another arrangement is the list's.
  let made: { value: string; arrangement: Arrangement | null; numRows: number } = {
    value: RECORDED,
    arrangement: null,
    numRows: 0,
  };
  let known = "";

  const arrange = (value: string) => {
    const arrangement = arrangementOf(session, value);
    made = { value, arrangement, numRows: store.recorded.steps.numRows };
    session.arrange(arrangement);
  };
  const renew = () => {
    const options = choicesOf(session);
    const key = JSON.stringify(options);
    if (key === known) return;
    known = key;
    select.replaceChildren(
      ...options.map(([value, text]) => createOption(value, text)),
      make("option", { value: CHOSEN, hidden: true }, "chosen"),
    );
  };
  const update = () => {
    const { arrangement } = store;
    renew();
    const chosen = !arrangement
      ? RECORDED
      : arrangement === made.arrangement
        ? made.value
        : CHOSEN;
    if (select.value !== chosen) select.value = chosen;
    el.hidden = !arrangement;
    setText(title, arrangement?.title ?? "");
    // It stays as it was made: tiles should not move while the user watches them.
    const numNew = store.recorded.steps.numRows - made.numRows;
    renewed.hidden = !arrangement || chosen === CHOSEN || numNew <= 0;
    if (!renewed.hidden) setText(renewed, `Take in ${formatCount(numNew)} new rows`);
  };
  store.onManifest.on(update, signal);
  marks.onChange.on(update, signal);
  return { field: select, el, update };
}
