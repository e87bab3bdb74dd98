/**
 * A row or step as it is typed: "733", "-1", "e3 ep12 s733", "ep 12 · step 733". Pure.
 *
 * What is left out stays as it is: the selected env, the episode at the playhead.
 */

import type { Steps } from "./steps.ts";

export interface Address {
  row: number;
  /** The env to select; null: none was named. */
  env: number | null;
}

/** Where the playhead is now. */
export interface Here {
  row: number;
  env: number | null;
  bounds: readonly [number, number];
}

const FORM =
  /^(?:e(?:nv)?\s*(\d+))?[\s,·]*(?:ep(?:isode)?\s*(\d+))?[\s,·]*(?:s(?:tep)?\s*(\d+))?$/i;

/** Return the address that `text` names; throws an error that says what to type. */
export function parseAddress(text: string, steps: Steps, here: Here): Address {
  const typed = text.trim().replace(/^row\s+/i, "");
  const [first, stop] = here.bounds;
  if (/^[-\u2212]?[\d\s\u202f_]+$/.test(typed)) {
    const number = Number(typed.replace("\u2212", "-").replace(/[\s\u202f_]/g, ""));
    const row = number < 0 ? stop + number : number;
    if (row < first || row >= stop)
      throw new Error(`There are rows ${first} to ${stop - 1}, no row ${number}`);
    return { row, env: null };
  }
  const found = FORM.exec(typed);
  if (!typed || !found) throw new Error("Type a row, or as in: e3 ep12 s733");
  const [named, inEpisode, atStep] = found
    .slice(1)
    .map((digits) => (digits === undefined ? null : Number(digits)));
  const env = named ?? here.env ?? 0;
  if (env >= steps.numEnvs)
    throw new Error(`There are envs 0 to ${steps.numEnvs - 1}, no env ${env}`);
  if (inEpisode === null && atStep === null) return { row: here.row, env };
  const now = here.row < steps.numRows ? steps.at(here.row, env).episode : 0;
  const episode = inEpisode ?? Math.max(0, now);
  const row = steps.find(env, episode, atStep ?? 0);
  if (row === null)
    throw new Error(`Env ${env} has no step ${atStep ?? 0} in episode ${episode}`);
  if (row < first) throw new Error(`Row ${row} is not in this page any more`);
  return { row, env: named };
}
