/** Fields that say which episodes the table lists. */

import { type EpisodeQuery, OUTCOMES } from "../../recording/episode-query.ts";
import { listen, make } from "../dom.ts";

export interface FilterFields {
  els: HTMLElement[];
  /** Offer these labels to choose from. */
  setLabels(names: readonly string[], chosen: string): void;
  focus(): void;
}

export function createFilterFields(
  onChange: (changes: Partial<EpisodeQuery>) => void,
  signal: AbortSignal,
): FilterFields {
  const text = make("input", {
    type: "search",
    class: "rv-field rv-filter",
    placeholder: "filter",
    autocomplete: "off",
    "aria-label": "Filter episodes by words",
  });
  const outcome = createSelect("Outcome", [
    createOption("", "any outcome"),
    ...OUTCOMES.map((one) => createOption(one)),
  ]);
  const label = createSelect("Label", [createOption("", "any label")]);
  listen(text, "input", signal, () => onChange({ text: text.value }));
  listen(outcome, "change", signal, () =>
    onChange({ outcome: outcome.value as EpisodeQuery["outcome"] }),
  );
  listen(label, "change", signal, () => onChange({ label: label.value }));
  let known = "";
  return {
    els: [text, outcome, label],
    setLabels(names, chosen) {
      const key = names.join("\n");
      if (key === known) return;
      known = key;
      label.replaceChildren(
        createOption("", "any label"),
        ...names.map((name) => createOption(name)),
      );
      label.value = chosen;
    },
    focus: () => text.focus({ preventScroll: true }),
  };
}

function createOption(value: string, text = value): HTMLOptionElement {
  return make("option", { value }, text);
}

function createSelect(
  label: string,
  options: readonly HTMLOptionElement[],
): HTMLSelectElement {
  return make(
    "select",
    { class: "rv-field", "aria-label": label, title: label },
    ...options,
  );
}
