/** A tile's texts for a row: numbers of its env, and how an episode ended. */

import {
  DAMAGED,
  IDLE,
  TERMINAL_MISSING,
  TERMINATED,
} from "../../protocol/messages.ts";
import type { Moment } from "../../recording/steps.ts";
import type { Session } from "../../session/session.ts";
import { setAttribute, setText } from "../dom.ts";
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

/** Write a moment's numbers; a reward or an action that is off is not written. */
export function writeNumbers(
  tile: Tile,
  { episode, envStep, total, reward, isNan, numNan }: Moment,
  hasReward: boolean,
  action: string | null,
): void {
  const hasEpisode = episode >= 0;
  setText(tile.episode, hasEpisode ? String(episode) : "");
  setText(tile.step, hasEpisode ? String(envStep) : "");
  setText(tile.total, hasEpisode ? formatReturn(total, numNan) : "");
  setAttribute(tile.sums, "data-nan", String(numNan > 0));
  if (hasReward) setText(tile.reward, isNan ? "NaN" : formatSigned(reward));
  if (action !== null) setText(tile.action, action);
}

/** Write how an episode ended: where it ends, and till the next one begins. */
export function writeOutcome({ badge }: Tile, moment: Moment): void {
  const isOver = moment.ends !== 0 || (moment.kind === IDLE && moment.episode < 0);
  const outcome =
    !isOver || !moment.outcome
      ? ""
      : moment.outcome & TERMINATED
        ? "terminated"
        : "truncated";
  setText(badge, outcome);
  badge.hidden = !outcome;
  setAttribute(badge, "data-outcome", outcome);
}

/** Why a tile has no picture; "": it has one. */
export function gapOf(kind: number, isAbsent: boolean, isPending: boolean): string {
  if (isPending) return "loading";
  if (!isAbsent) return "";
  if (kind === DAMAGED) return "damaged";
  return kind === TERMINAL_MISSING ? "no terminal picture" : "no picture";
}
