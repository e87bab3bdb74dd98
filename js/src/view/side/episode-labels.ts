/** Labels of one episode: offered ones to switch on and off, and a field for others. */

import { nameOfEnv } from "../../recording/env-names.ts";
import { textOfLabel } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "../parts/inputs.ts";

export interface EpisodeLabels {
  el: HTMLElement;
  /** Show the labels of the episode that the selected env has in this row. */
  update(row: number): void;
}

type EpisodeKey = readonly [env: number, index: number];

const OFFERED = ["success", "failure"] as const;

export function createEpisodeLabels(
  session: Session,
  signal: AbortSignal,
): EpisodeLabels {
  const { recorded } = session.store;
  const whose = make("h3", {});
  const chips = make("div", {
    class: "rv-chips",
    role: "group",
    "aria-label": "Labels",
  });
  const own = make("input", {
    type: "text",
    class: "rv-input rv-own-label",
    autocomplete: "off",
    maxlength: 60,
    placeholder: "Custom label",
    "aria-label": "Custom label for this episode",
  });
  let row = 0;
  let shown = "";
  const setLabel = (name: string, isSet: boolean) => {
    const here = episodeAt(session, row);
    if (here && name) session.label(...here, name, isSet ? true : null);
  };
  listen(own, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.stopPropagation(); // the next one is typed here
    setLabel(own.value.trim(), true);
    own.value = "";
  });
  const createChip = (name: string, value: unknown) => {
    const isSet = value !== undefined;
    const chip = createButton(
      icon(isSet ? "check" : "plus"),
      { class: "rv-chip", "aria-pressed": String(isSet), "data-label": name },
      () => setLabel(name, !isSet),
      signal,
    );
    chip.append(isSet ? textOfLabel([name, value]) : name);
    return chip;
  };
  const update = (at: number) => {
    row = at;
    const here = episodeAt(session, row);
    setText(whose, describe(session, here));
    setAttribute(whose, "data-is-none", String(!here));
    if (chips.hidden !== !here) own.hidden = chips.hidden = !here;
    const labels = here ? recorded.steps.episodes.labels(...here) : {};
    const key = JSON.stringify([here, labels]);
    if (key === shown) return;
    shown = key;
    const names = new Set<string>([...OFFERED, ...Object.keys(labels)]);
    const made = [...names].map((name) => createChip(name, labels[name]));
    replaceKeepingFocus(chips, made);
  };
  const el = make("section", { class: "rv-section" }, whose, chips, own);
  return { el, update };
}

/** The episode that labels are for; null: no tile is selected, or several are. */
function episodeAt(session: Session, row: number): EpisodeKey | null {
  const { steps } = session.store.recorded;
  const envs = steps.numEnvs === 1 ? [0] : session.selectedEnvs();
  const env = envs[0];
  if (env === undefined || envs.length > 1 || row >= steps.numRows) return null;
  const { episode } = steps.at(row, env);
  return episode < 0 ? null : [env, episode];
}

function describe({ store }: Session, episode: EpisodeKey | null): string {
  if (!episode) return "Select one tile to label its episode.";
  const [kind, number] = nameOfEnv(store.recorded.manifest, episode[0]);
  const name = store.recorded.steps.numEnvs > 1 ? ` of ${kind} ${number}` : "";
  return `Labels of episode ${episode[1]}${name}`;
}

/** Replace chips by new ones; the one of the same label gets the focus. */
function replaceKeepingFocus(
  parent: HTMLElement,
  chips: readonly HTMLButtonElement[],
): void {
  const focused = (document.activeElement as HTMLElement | null)?.dataset.label;
  parent.replaceChildren(...chips);
  if (focused) chips.find((chip) => chip.dataset.label === focused)?.focus();
}
