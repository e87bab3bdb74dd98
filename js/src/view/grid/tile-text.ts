/** A tile's texts for a row: numbers of its env, and how an episode ended. */

import {
  DAMAGED,
  IDLE,
  TERMINAL_MISSING,
  TERMINATED,
} from "../../protocol/messages.ts";
import { textOfLabel } from "../../recording/episodes.ts";
import type { Moment } from "../../recording/steps.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatReturn, formatSigned, formatValue } from "../format.ts";
import type { Tile } from "./tile.ts";

/** A tile has room for so many numbers of an action; the inspector has all. */
const MAX_ACTIONS = 4;

/** Returns the text of an env's action in a row. */
export type ActionText = (row: number, env: number) => string;

/** Read actions as text; numbers that the page does not have yet are requested. */
export function readActions({ store, scalars }: Session): ActionText {
  const shape = store.manifest?.data?.find((one) => one.name === "action")?.shape;
  const count = shape ? shape.reduce((product, n) => product * n, 1) : 0;
  const actions = Array.from({ length: Math.min(count, MAX_ACTIONS) }, (_, index) => ({
    name: "action",
    index,
  }));
  for (const scalar of actions) scalars.want(scalar);
  const readers = actions.map((scalar) => scalars.read(scalar));
  return (row, env) => {
    const numbers = readers.map((read) => read(row, env));
    if (numbers.every(Number.isNaN)) return "";
    const meaning = numbers.length === 1 && store.manifest?.meanings?.[numbers[0]!];
    return meaning || numbers.map(formatValue).join(" ");
  };
}

/** How many decimals returns have: the same in all tiles, so that they are aligned. */
export class Decimals {
  #largest = 0;
  #hasFractions = false;

  /** How many there are; 0 of whole numbers. */
  get count(): number {
    if (!this.#hasFractions) return 0;
    return this.#largest < 1 ? 3 : this.#largest < 10 ? 2 : 1;
  }

  /** Take a return that will be shown. */
  see(total: number): void {
    if (!Number.isFinite(total)) return;
    this.#largest = Math.max(this.#largest, Math.abs(total));
    this.#hasFractions ||= !Number.isInteger(total);
  }

  format(total: number, numNan: number): string {
    const isPlain = !this.count || !Number.isFinite(total);
    if (isPlain || Math.abs(total) >= 1e6) return formatReturn(total, numNan);
    const text = Math.abs(total).toFixed(this.count);
    const sign = total < 0 && Number(text) ? "\u2212" : "";
    return numNan ? `${sign}${text} (${numNan} NaN)` : sign + text;
  }
}

/** Write a moment's numbers; a reward or an action that is off is not written. */
export function writeNumbers(
  tile: Tile,
  { episode, envStep, total, reward, isNan, numNan }: Moment,
  decimals: Decimals,
  hasReward: boolean,
  action: string | null,
): void {
  const hasEpisode = episode >= 0;
  if (hasEpisode) decimals.see(total);
  setText(tile.episode, hasEpisode ? String(episode) : "");
  setText(tile.step, hasEpisode ? String(envStep) : "");
  setText(tile.total, hasEpisode ? decimals.format(total, numNan) : "");
  setAttribute(tile.sums, "data-nan", String(numNan > 0));
  if (hasReward) setText(tile.reward, isNan ? "NaN" : formatSigned(reward));
  if (action !== null) setText(tile.action, action);
}

/** Write how an episode ended: where it ends, and till the next one begins. */
export function writeOutcome({ badge }: Tile, moment: Moment): void {
  const outcome = outcomeOf(moment);
  setText(badge, outcome);
  badge.hidden = !outcome;
  setAttribute(badge, "data-outcome", outcome);
}

export function outcomeOf({ ends, kind, episode, outcome }: Moment): string {
  const isOver = ends !== 0 || (kind === IDLE && episode < 0);
  if (!isOver || !outcome) return "";
  return outcome & TERMINATED ? "terminated" : "truncated";
}

/** Write the labels of an episode as chips after its outcome. */
export function writeLabels(
  tile: Tile,
  labels: Record<string, unknown> | undefined,
): void {
  if (tile.labels === labels) return;
  tile.labels = labels;
  const chips = Object.entries(labels ?? {}).map((label) =>
    make("span", { class: "rv-tile-chip", "data-label": label[0] }, textOfLabel(label)),
  );
  tile.chips.replaceChildren(tile.badge, ...chips.flatMap((chip) => [" ", chip]));
}

/**
 * What a tile is called: what it shows, "env 3 episode 2 step 41 return −8.5", and what
 * it has no room for.
 */
export function nameOfTile(tile: Tile, moment: Moment | null, gap: string): string {
  const shown = tile.el.innerText.replace(/\s+/g, " ").trim();
  const name = tile.isShared ? "all envs" : tile.name;
  const parts = shown.includes(name) ? [shown] : [name, shown].filter(Boolean);
  const isShort = !shown.includes("episode");
  if (isShort && moment && moment.episode >= 0 && !tile.isShared)
    parts.push(
      `episode ${moment.episode}`,
      `step ${moment.envStep}`,
      `return ${formatReturn(moment.total, moment.numNan)}`,
    );
  const labels = Object.entries((tile.labels as object) ?? {}).map(textOfLabel);
  const others = [moment ? outcomeOf(moment) : "", ...labels, gap];
  return [...parts, ...others.filter((text) => text && !shown.includes(text))].join(
    ", ",
  );
}

const REMARKS = {
  "": "",
  repeated: "There is no picture of this row: the one of an earlier row is shown again",
  preview: "Not exact: the link is thin, or previews were chosen. Exact at rest",
  damaged: "The numbers of this row are damaged in the file; its picture is not",
};

/** Write what is to be known of a picture that is shown; "": nothing. */
export function writeRemark(
  { repeated: el }: Tile,
  remark: keyof typeof REMARKS,
): void {
  el.hidden = remark === "";
  if (el.textContent === remark) return;
  el.textContent = remark;
  setAttribute(el, "title", REMARKS[remark]);
}

/** Why a tile has no picture; "": it has one. */
export function gapOf(
  kind: number,
  isAbsent: boolean,
  isPending: boolean,
  { renders = false, isUnmade = false } = {},
): string {
  if (isPending) return renders ? "rendering" : "loading";
  if (!isAbsent) return "";
  if (isUnmade) return "not reproducible";
  if (kind === DAMAGED) return "damaged";
  return kind === TERMINAL_MISSING ? "no terminal picture" : "no picture";
}
