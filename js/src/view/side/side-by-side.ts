/** A menu that shows some of the listed episodes side by side. */

import { showChosen } from "../../recording/arrangement.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import { bestOf, failuresOf, successesOf } from "../../recording/episode-query.ts";
import type { Episodes } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { named } from "../parts/inputs.ts";
import { createMenuButton, type MenuItem } from "../parts/menu.ts";
import type { EpisodeList } from "./episode-list.ts";
import { MOST_TILES } from "./episode-selection.ts";

export interface SideBySideOptions {
  session: Session;
  list: EpisodeList;
  /** Renew the list. */
  renew: () => void;
}

/** Which episodes of the list are shown. */
type Choice = "best" | "worst" | "in list order" | "failures" | "successes";

/** Returns how many, and the menu. */
export function createSideBySide(
  { session, list, renew }: SideBySideOptions,
  signal: AbortSignal,
): HTMLElement[] {
  const howMany = make("input", {
    type: "number",
    class: "rv-input rv-how-many",
    min: 1,
    max: MOST_TILES,
    value: 8,
    ...named("How many episodes side by side"),
  });
  const chosenBy = (choice: Choice) => {
    const { episodes } = session.store.recorded.steps;
    return choose(choice, episodes, list.numbers, Number(howMany.value));
  };
  const show = (choice: Choice) => {
    const { manifest, steps } = session.store.recorded;
    renew();
    const chosen = chosenBy(choice);
    if (!chosen.length) return;
    const title = titleOf(chosen.length, choice);
    session.arrange(
      showChosen(steps.episodes, chosen, title, (env) => nameOfEnv(manifest, env)),
    );
  };
  const item = (choice: Choice, name: string): MenuItem => {
    const { length } = chosenBy(choice);
    const text = `${name} ${length}`;
    return { text, isDisabled: !length, choose: () => show(choice) };
  };
  const entries = () => [
    "Of this list, from their starts",
    item("best", "Best"),
    item("worst", "Worst"),
    item("in list order", "First"),
    item("failures", "Failures:"),
    item("successes", "Successes:"),
  ];
  const label = "Side by side";
  const menu = createMenuButton(
    { label, iconName: "grid", className: "rv-edged", entries },
    signal,
  );
  setText(menu.text, label);
  return [howMany, menu.el];
}

/** Choose among listed episodes; `howMany` is as the user wrote it. */
function choose(
  choice: Choice,
  episodes: Episodes,
  numbers: Int32Array,
  howMany: number,
): number[] {
  if (choice === "failures") return failuresOf(episodes, numbers).slice(0, MOST_TILES);
  if (choice === "successes")
    return successesOf(episodes, numbers).slice(0, MOST_TILES);
  const most = Math.max(1, Math.min(MOST_TILES, Math.round(howMany || 8)));
  if (choice === "in list order") return [...numbers.subarray(0, most)];
  return bestOf(episodes, numbers, most, choice === "best");
}

function titleOf(count: number, choice: Choice): string {
  if (choice === "failures" || choice === "successes") return `${count} ${choice}`;
  return choice === "in list order"
    ? `${count} episodes in list order`
    : `${count} ${choice} episodes`;
}
