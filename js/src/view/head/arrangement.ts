/**
 * How rows and envs are arranged: chosen in a menu, named in a line, and reset again.
 */

import type { Arrangement } from "../../recording/arrangement.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { createButton } from "../parts/inputs.ts";
import { createMenuButton, type MenuEntry } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";
import {
  arrangementOf,
  choicesOf,
  EVALUATED,
  RECORDED,
  takeBeginning,
} from "./arrangement-choices.ts";

export interface ArrangementPanel {
  /** The menu, for the head. */
  tool: Tool;
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
  // What the menu made last; another arrangement is the list's.
  let made: { value: string; arrangement: Arrangement | null; numRows: number } = {
    value: RECORDED,
    arrangement: null,
    numRows: 0,
  };
  const arrange = (value: string, isBeginning = false) => {
    const arrangement = arrangementOf(session, value);
    made = { value, arrangement, numRows: store.recorded.steps.numRows };
    session.arrange(arrangement, isBeginning);
  };
  const chosen = () => {
    const { arrangement } = store;
    if (!arrangement) return RECORDED;
    if (arrangement === made.arrangement) return made.value;
    return arrangement.kind === "compared" ? EVALUATED : CHOSEN;
  };
  const entries = () =>
    choicesOf(session).map(
      ([value, text]): MenuEntry => ({
        text,
        isOn: value === chosen(),
        isRadio: true,
        choose: () => arrange(value),
      }),
    );
  const menu = createMenuButton(
    { label: "Arrangement", iconName: "grid", className: "rv-edged rv-align", entries },
    signal,
  );
  const title = make("span", {});
  const button = (text: string | null, name: string, value: () => string) =>
    createButton(text, { class: name }, () => arrange(value()), signal);
  const back = button("Back to recorder rows", "rv-back-to-rows", () => RECORDED);
  const renewed = button(null, "rv-renew", () => made.value);
  const el = make("div", { class: "rv-arranged", hidden: true }, title, renewed, back);
  const update = () => {
    const { arrangement } = store;
    const now = chosen();
    const texts = new Map(choicesOf(session));
    menu.show(texts.get(now) ?? "Chosen episodes");
    el.hidden = !arrangement;
    setText(title, arrangement?.title ?? "");
    // It stays as it was made: tiles should not move while the user watches them.
    const numNew = store.recorded.steps.numRows - made.numRows;
    renewed.hidden =
      !arrangement || now === CHOSEN || now !== made.value || numNew <= 0;
    if (!renewed.hidden) setText(renewed, `Take in ${formatCount(numNew)} new rows`);
  };
  const begin = () => {
    const value = takeBeginning(session);
    if (value) arrange(value, true);
  };
  // Rows, and what is known of their episodes, come one after the other.
  store.onData.on(begin, signal);
  marks.onChange.on(begin, signal);
  begin();
  store.onManifest.on(update, signal);
  marks.onChange.on(update, signal);
  const tool = { el: menu.el, entries: () => ["Arrangement", ...entries()] };
  return { tool, el, update };
}
