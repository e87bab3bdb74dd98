/** What is written: all, the range, the episode at the playhead, or the selected tiles. */

import type { ExportedRows } from "../../protocol/messages.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Session } from "../../session/session.ts";
import { formatCount } from "../format.ts";

export type What = "all" | "range" | "episode" | "tiles";

export interface Choice {
  what: What;
  text: string;
  rows: ExportedRows;
}

/**
 * What there is to write now, all first; a range beside others comes second. Selected
 * tiles are written over the range.
 */
export function choicesOf(session: Session): Choice[] {
  const { clock, store } = session;
  const { manifest, steps } = store.recorded;
  const [start, stop] = [manifest?.first_row ?? 0, steps.numRows];
  let [first, end, over] = [start, stop, ""];
  const choices: Choice[] = [
    { what: "all", text: "Whole recording", rows: { start, stop, envs: null } },
  ];
  // Rows of what is arranged in the page are not those of the recording.
  if (clock.range && !store.arrangement) {
    [first, end] = [Math.max(start, clock.range[0]), Math.min(stop, clock.range[1])];
    over = `${formatCount(first)}\u2013${formatCount(end - 1)}`;
    const rows = { start: first, stop: end, envs: null };
    choices.push({ what: "range", text: `Range ${over}`, rows });
    over = `, rows ${over}`;
  }
  const episode = episodeOf(session);
  if (episode) choices.push(episode);
  const envs = session.selectedEnvs().sort((a, b) => a - b);
  if (envs.length && envs.length < steps.numEnvs) {
    const names = envs.map((env) => nameOf(session, env)).join(", ");
    const rows = { start: first, stop: end, envs };
    choices.push({ what: "tiles", text: `Selected: ${names}${over}`, rows });
  }
  return choices.filter(({ rows }) => rows.start < rows.stop);
}

/** What the user chose, where there is such a thing; else the range, or all. */
export function chosenOf(session: Session, what: What | null): Choice | null {
  const choices = choicesOf(session);
  const named = (name: What | null) => choices.find((one) => one.what === name);
  return named(what) ?? named("range") ?? choices[0] ?? null;
}

function episodeOf(session: Session): Choice | null {
  const { steps, manifest } = session.store.recorded;
  const { row, env } = session.place();
  if (env >= steps.numEnvs) return null;
  const found = steps.episodeAt(row, env);
  if (!found) return null;
  const [start, stop] = [Math.max(found[0], manifest?.first_row ?? 0), found[1]];
  const whose = steps.numEnvs > 1 ? ` of ${nameOf(session, env)}` : "";
  const text = `Episode ${steps.at(row, env).episode}${whose}`;
  return { what: "episode", text, rows: { start, stop, envs: [env] } };
}

function nameOf({ store }: Session, env: number): string {
  return nameOfEnv(store.recorded.manifest, env).join(" ");
}

export function countRows({ start, stop }: ExportedRows): string {
  const count = stop - start;
  return `${formatCount(count)} row${count === 1 ? "" : "s"}`;
}
