/** Labels of one episode: offered ones to switch on and off, and a field for others. */

import { nameOfEnv } from "../../recording/env-names.ts";
import { textOfLabel } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
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
  const whose = make("b", {});
  const chips = make("span", { class: "rv-chips" });
  const own = make("input", {
    type: "text",
    class: "rv-input rv-own-label",
    autocomplete: "off",
    maxlength: 60,
    placeholder: "custom label",
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
    return createButton(
      isSet ? textOfLabel([name, value]) : name,
      { class: "rv-chip", "aria-pressed": String(isSet), "data-label": name },
      () => setLabel(name, !isSet),
      signal,
    );
  };
  const update = (at: number) => {
    row = at;
    const here = episodeAt(session, row);
    setText(whose, describe(session, here));
    own.hidden = chips.hidden = !here;
    const labels = here ? recorded.steps.episodes.labels(...here) : {};
    const key = JSON.stringify([here, labels]);
    if (key === shown) return;
    shown = key;
    const names = new Set<string>([...OFFERED, ...Object.keys(labels)]);
    const made = [...names].map((name) => createChip(name, labels[name]));
    replaceKeepingFocus(chips, made);
  };
  return { el: make("div", { class: "rv-line" }, whose, chips, own), update };
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
  if (!episode) return "Select one tile to label its episode";
  const [kind, number] = nameOfEnv(store.recorded.manifest, episode[0]);
  return `${kind} ${number}, episode ${episode[1]}`;
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
