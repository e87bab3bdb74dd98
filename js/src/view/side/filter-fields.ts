/** Fields that say which episodes the table lists. */

import { type EpisodeQuery, OUTCOMES } from "../../recording/episode-query.ts";
import { listen, make } from "../dom.ts";
import { createOption, createSelect, named } from "../parts/inputs.ts";

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
    class: "rv-input rv-filter",
    placeholder: "filter",
    autocomplete: "off",
    "aria-label": "Filter episodes by words",
  });
  const outcome = createSelect(
    { class: "rv-input", ...named("Outcome") },
    optionsOf("any outcome", OUTCOMES),
    (value) => onChange({ outcome: value as EpisodeQuery["outcome"] }),
    signal,
  );
  const label = createSelect(
    { class: "rv-input", ...named("Label") },
    optionsOf("any label", []),
    (value) => onChange({ label: value }),
    signal,
  );
  listen(text, "input", signal, () => onChange({ text: text.value }));
  let known = "";
  return {
    els: [text, outcome, label],
    setLabels(names, chosen) {
      const key = names.join("\n");
      if (key === known) return;
      known = key;
      label.replaceChildren(...optionsOf("any label", names));
      label.value = chosen;
    },
    focus: () => text.focus({ preventScroll: true }),
  };
}

function optionsOf(any: string, names: readonly string[]): HTMLOptionElement[] {
  return [createOption("", any), ...names.map((name) => createOption(name, name))];
}
