/**
 * The step table as CSV, with the columns that a dump begins with: a line for each row
 * and env. Pure.
 */

import { TERMINATED, TRUNCATED } from "../../protocol/messages.ts";
import type { Steps } from "../../recording/steps.ts";

const COLUMNS = [
  "row",
  "env",
  "kind",
  "episode",
  "episode_step",
  "reward",
  "total_reward",
  "terminated",
  "truncated",
];

export interface TableRows {
  start: number;
  stop: number;
  /** null: all. */
  envs: readonly number[] | null;
}

export function csvOfSteps(steps: Steps, { start, stop, envs }: TableRows): string {
  const chosen = envs ?? [...Array(steps.numEnvs).keys()];
  const lines = [COLUMNS.join(",")];
  for (let row = start; row < stop; row++)
    for (const env of chosen) lines.push(lineOf(steps, row, env));
  return `${lines.join("\n")}\n`;
}

function lineOf(steps: Steps, row: number, env: number): string {
  const { kind, episode, envStep, reward, total, ends } = steps.at(row, env);
  const cells = [
    ...[row, env, kind, episode, envStep, numberText(reward), numberText(total)],
    ...[ends & TERMINATED, ends & TRUNCATED].map((isEnd) => (isEnd ? "True" : "False")),
  ];
  return cells.join(",");
}

/** A number that is missing is an empty cell. */
function numberText(value: number): string {
  if (Number.isNaN(value)) return "";
  return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
}
