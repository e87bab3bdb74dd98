/** What says which episodes are listed: words, and menus for outcome and label. */

import {
  type EpisodeQuery,
  OUTCOMES,
  textOfOutcome,
  VERDICTS,
} from "../../recording/episode-query.ts";
import { listen, make, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createMenuButton } from "../parts/menu.ts";

export interface FilterFields {
  /** The field for words. */
  search: HTMLElement;
  menus: HTMLElement[];
  /** Show what is asked for, and offer these labels, and success, to choose from. */
  update(query: EpisodeQuery, labels: readonly string[], isJudged: boolean): void;
  focus(): void;
}

export interface FilterOptions {
  onChange: (changes: Partial<EpisodeQuery>) => void;
  /** Go on to the list. */
  onEnter: () => void;
}

export function createFilterFields(
  { onChange, onEnter }: FilterOptions,
  signal: AbortSignal,
): FilterFields {
  const text = createSearch({ onChange, onEnter }, signal);
  const outcome = createChoice(
    "Outcome",
    "any outcome",
    signal,
    (value) => onChange({ outcome: value as EpisodeQuery["outcome"] }),
    textOfOutcome,
  );
  const success = createChoice("Success", "any success", signal, (value) =>
    onChange({ success: value as EpisodeQuery["success"] }),
  );
  const label = createChoice("Label", "any label", signal, (value) =>
    onChange({ label: value }),
  );
  return {
    search: make("label", { class: "rv-search" }, icon("search"), text),
    menus: [outcome.el, success.el, label.el],
    update(query, labels, isJudged) {
      if (text.value !== query.text) text.value = query.text;
      outcome.update(query.outcome, OUTCOMES);
      success.update(query.success, VERDICTS);
      success.el.hidden = !isJudged;
      label.update(query.label, labels);
    },
    focus: () => text.focus({ preventScroll: true }),
  };
}

function createSearch(
  { onChange, onEnter }: FilterOptions,
  signal: AbortSignal,
): HTMLInputElement {
  const text = make("input", {
    type: "search",
    class: "rv-input rv-filter",
    placeholder: "Filter: env, outcome, label\u2026",
    autocomplete: "off",
    "aria-label": "Filter episodes by words",
  });
  listen(text, "input", signal, () => onChange({ text: text.value }));
  listen(text, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key === "Escape" && text.value) {
      event.stopPropagation(); // the next one leaves the field
      event.preventDefault();
      onChange({ text: "" });
    }
    if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    onEnter();
  });
  return text;
}

/** A menu of values, of which one or any is asked for. */
function createChoice(
  label: string,
  any: string,
  signal: AbortSignal,
  choose: (value: string) => void,
  textOf = (value: string) => value,
) {
  let now = "";
  let values: readonly string[] = [];
  const entry = (value: string) => ({
    text: textOf(value) || any,
    isOn: value === now,
    isRadio: true,
    choose: () => choose(value),
  });
  const entries = () => ["", ...values].map(entry);
  const className = "rv-edged rv-choice-of";
  const menu = createMenuButton({ label, className, entries }, signal);
  return {
    el: menu.el,
    update(value: string, offered: readonly string[]) {
      [now, values] = [value, offered];
      const text = textOf(value) || any;
      setText(menu.text, text);
      // The name has what is written on it.
      menu.button.setAttribute("aria-label", `${label}: ${text}`);
      menu.button.dataset.isOn = String(value !== "");
    },
  };
}
