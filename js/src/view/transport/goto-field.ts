/** The field with the place of the playhead, which moves to a place that is typed. */

import { type Address, parseAddress } from "../../recording/address.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";

const GOTO_HINT = "Row number, or a step of an episode: e3 ep12 s733";

export interface GotoField {
  field: HTMLElement;
  /** The row, and how many there are. */
  count: HTMLElement;
  /** What is wrong with what the field has. */
  wrong: HTMLElement;
  update(): void;
}

export function createGotoField(session: Session, signal: AbortSignal): GotoField {
  const { clock, marks } = session;
  const field = make("input", {
    type: "text",
    class: "rv-input rv-row",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "go",
    "aria-label": "Place: row number, or episode and step",
    "data-tip": GOTO_HINT,
  });
  const wrong = make("span", { class: "rv-wrong", role: "alert" });
  const count = make("span", { class: "rv-count" });
  const complain = (text: string) => {
    setText(wrong, text);
    wrong.style.left = `${field.offsetLeft}px`;
    setAttribute(field, "aria-invalid", String(text !== ""));
  };
  /** Go where the field says; returns whether there is such a row. */
  const go = (): boolean => {
    try {
      const address = addressOf(field.value, session);
      complain("");
      if (address && address.env !== null) marks.select([address.env]);
      if (address) clock.step(address.row - clock.row);
      field.value = describePlace(session);
      return true;
    } catch (error) {
      complain((error as Error).message);
      return false;
    }
  };
  listen(field, "change", signal, go);
  listen(field, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key === "Escape") field.value = describePlace(session);
    if (event.key !== "Enter") return;
    event.stopPropagation(); // where it is wrong, the field keeps the focus
    if (go()) field.closest<HTMLElement>(".rollout-viewer")?.focus();
  });
  listen(field, "focus", signal, () => field.select());
  listen(field, "blur", signal, () => {
    complain("");
    update();
  });
  let width = "";
  const update = () => {
    const last = Math.max(0, clock.bounds[1] - 1);
    if (document.activeElement !== field) {
      const place = session.store.numRows ? describePlace(session) : "";
      if (field.value !== place) field.value = place;
    }
    const place = `row ${formatCount(clock.row)} / ${formatCount(last)}`;
    setText(count, session.store.numRows ? place : "");
    // As wide as the longest text, so that nothing moves while it counts.
    const wanted = `${longestPlace(session)} ${2 * formatCount(last).length + 7}`;
    if (wanted === width) return;
    width = wanted;
    const [inField, inCount] = wanted.split(" ");
    field.style.width = `calc(${inField}ch + 18px)`;
    count.style.minWidth = `${inCount}ch`;
  };
  return { field, count, wrong, update };
}

/** "ep 3 · step 41", with its env where there are several; or the row. */
function describePlace({ store, clock, marks }: Session): string {
  const { row } = clock;
  const env = marks.selection[0] ?? 0;
  if (row >= store.numRows || env >= store.steps.numEnvs) return `row ${row}`;
  const { episode, envStep } = store.steps.at(row, env);
  const [kind, number] = nameOfEnv(store.manifest, env);
  // Only what can be typed is shown.
  const isNamed = kind === "env" && store.steps.numEnvs > 1;
  if (episode < 0) return `row ${row}`;
  const parts = [`ep ${episode}`, `step ${envStep}`];
  return [...(isNamed ? [`env ${number}`] : []), ...parts].join(" \u00b7 ");
}

/** Width of the longest text that the field may have now, in digits: letters are less. */
function longestPlace({ store, clock }: Session): number {
  const { numEnvs, episodes } = store.steps;
  const digits = (count: number) => String(Math.max(0, count)).length;
  const envPart = numEnvs > 1 ? 7 + digits(numEnvs - 1) : 0;
  const rowDigits = digits(clock.bounds[1] - 1);
  const episodeDigits = digits(Math.ceil(episodes.count / numEnvs));
  return Math.ceil(0.85 * (envPart + 11 + episodeDigits + rowDigits));
}

/** What a text addresses; null: it is empty. */
function addressOf(text: string, { clock, marks, store }: Session): Address | null {
  if (!text) return null;
  const env = marks.selection.length === 1 ? marks.selection[0]! : null;
  return parseAddress(text, store.steps, { row: clock.row, env, bounds: clock.bounds });
}
