/** The field with the row of the playhead, which moves to a row that is typed. */

import { type Address, parseAddress } from "../../recording/address.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";

const GOTO_HINT = "Row number, or a step of an episode: e3 ep12 s733";

export interface GotoField {
  /** The field with its label, and what is wrong with what it has. */
  els: HTMLElement[];
  update(): void;
}

export function createGotoField(session: Session, signal: AbortSignal): GotoField {
  const { clock, marks } = session;
  const row = make("input", {
    type: "text",
    class: "rv-input rv-row",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "go",
    "aria-label": "Row number",
    title: GOTO_HINT,
  });
  const wrong = make("span", { class: "rv-wrong", role: "alert" });
  const count = make("span", { class: "rv-count" });
  /** Go where the field says; returns whether there is such a row. */
  const go = (): boolean => {
    try {
      const address = addressOf(row.value, session);
      setText(wrong, "");
      row.value = String(address?.row ?? clock.row);
      if (address && address.env !== null) marks.select([address.env]);
      if (address) clock.step(address.row - clock.row);
      return true;
    } catch (error) {
      setText(wrong, (error as Error).message);
      return false;
    }
  };
  listen(row, "change", signal, go);
  listen(row, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.stopPropagation(); // where it is wrong, the field keeps the focus
    if (go()) row.closest<HTMLElement>(".rollout-viewer")?.focus();
  });
  listen(row, "focus", signal, () => row.select());
  listen(row, "blur", signal, () => {
    setText(wrong, "");
    update();
  });
  const update = () => {
    const last = Math.max(0, clock.bounds[1] - 1);
    if (document.activeElement !== row && row.value !== String(clock.row))
      row.value = String(clock.row);
    setText(count, ` of ${formatCount(last)}`);
    // As wide as its largest number, so that nothing moves while it counts.
    row.style.width = `${String(last).length + 3.5}ch`;
  };
  const label = make(
    "label",
    { class: "rv-where" },
    make("span", {}, "row "),
    row,
    count,
  );
  return { els: [label, wrong], update };
}

/** What a text addresses; null: it is empty. */
function addressOf(text: string, { clock, marks, store }: Session): Address | null {
  if (!text) return null;
  const env = marks.selection.length === 1 ? marks.selection[0]! : null;
  return parseAddress(text, store.steps, { row: clock.row, env, bounds: clock.bounds });
}
