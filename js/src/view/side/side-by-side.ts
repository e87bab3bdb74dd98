/** Buttons that show some of the listed episodes side by side. */

import { showChosen } from "../../recording/arrangement.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import { bestOf, failuresOf } from "../../recording/episode-query.ts";
import type { Episodes } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import { createButton, named } from "../parts/inputs.ts";
import type { EpisodeList } from "./episode-list.ts";

export interface SideBySideOptions {
  session: Session;
  list: EpisodeList;
  /** Renew the list. */
  renew: () => void;
  /** The list has no such episodes: a text that says so. */
  onNone: (text: string) => void;
}

const MOST_TILES = 64;

/** Which episodes of the list are shown. */
const CHOICES = ["best", "worst", "in list order", "failures"] as const;
type Choice = (typeof CHOICES)[number];

export function createSideBySide(
  { session, list, renew, onNone }: SideBySideOptions,
  signal: AbortSignal,
): HTMLElement {
  const howMany = make("input", {
    type: "number",
    class: "rv-input rv-how-many",
    min: 1,
    max: MOST_TILES,
    value: 8,
    ...named("How many episodes side by side"),
  });
  const show = (choice: Choice) => {
    const { manifest, steps } = session.store.recorded;
    renew();
    const chosen = choose(choice, steps.episodes, list.numbers, Number(howMany.value));
    if (!chosen.length) {
      onNone(`no ${choice === "failures" ? "failures" : "episodes"} in this list`);
      return;
    }
    const title = titleOf(chosen.length, choice);
    session.arrange(
      showChosen(steps.episodes, chosen, title, (env) => nameOfEnv(manifest, env)),
    );
  };
  return make(
    "div",
    { class: "rv-line", role: "group", "aria-label": "Side by side" },
    make("span", { class: "rv-facts" }, "side by side:"),
    howMany,
    ...CHOICES.map((choice) =>
      createButton(choice, named(choice), () => show(choice), signal),
    ),
    make("span", { class: "rv-facts" }, "of this list"),
  );
}

/** Choose among listed episodes; `howMany` is as the user wrote it. */
function choose(
  choice: Choice,
  episodes: Episodes,
  numbers: Int32Array,
  howMany: number,
): number[] {
  if (choice === "failures") return failuresOf(episodes, numbers).slice(0, MOST_TILES);
  const most = Math.max(1, Math.min(MOST_TILES, Math.round(howMany || 8)));
  if (choice === "in list order") return [...numbers.subarray(0, most)];
  return bestOf(episodes, numbers, most, choice === "best");
}

function titleOf(count: number, choice: Choice): string {
  if (choice === "failures") return `${count} failures`;
  return choice === "in list order"
    ? `${count} episodes in list order`
    : `${count} ${choice} episodes`;
}
