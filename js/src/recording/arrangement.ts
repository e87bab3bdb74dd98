/**
 * Rows of a recording put together anew: episodes side by side, from their starts.
 *
 * A lane is what one tile shows: parts of one env's or several envs' rows, one after
 * the other. An episode has several where its env was idle in between. Where a part is
 * over before the next begins, its last row stays. What is arranged has rows and envs of
 * its own, so that clock, timeline and tiles work on it as on a recording; `recordedAt`
 * leads back. Pure.
 */

import type { Episode, Episodes } from "./episodes.ts";

/** Rows start..stop of an env, shown from row `at` on. */
export interface LanePart {
  /** How many rows of its episode are in the parts before it. */
  into: number;
  at: number;
  env: number;
  index: number;
  start: number;
  stop: number;
}

export interface Lane {
  /** What the tile is called; null: as its env is. */
  name: [string, string | number] | null;
  parts: LanePart[];
}

/** Lanes line by line; `lines` names those of a comparison, `columns` its columns. */
export interface Arrangement {
  kind: "episodes" | "chosen" | "compared";
  /** The line above the pictures. */
  title: string;
  lanes: Lane[];
  numRows: number;
  columns: number | null;
  lines: string[];
  keys: string[];
}

/** Every tile starts its k-th episode together. */
export function alignEpisodes(
  episodes: Episodes,
  envs: readonly number[],
): Arrangement {
  const lists = envs.map((env) => episodesOf(episodes, env));
  return sideBySide("episodes", "Every tile starts its episodes together", lists);
}

/** One tile for each of these episodes. */
export function showChosen(
  episodes: Episodes,
  numbers: readonly number[],
  title: string,
  nameOf: (env: number) => [string, string | number],
): Arrangement {
  const lists = numbers.map((number) => [episodes.at(number)]);
  return sideBySide("chosen", title, lists, (parts) => nameOf(parts[0]!.env));
}

/** A line of a comparison, and which episodes are in it. */
export interface ComparedLine {
  name: string;
  has(episode: Episode): boolean;
}

/**
 * A line of tiles for each of `lines`, a column for each key (a seed, an env): episodes
 * with the same key are above each other. Keys that only one line has are left out
 * where any are shared. `first` are the keys to begin with, in this order.
 */
export function compare(
  episodes: Episodes,
  lines: readonly ComparedLine[],
  keyOf: (episode: Episode) => string | null,
  by: "env" | "seed",
  first: readonly string[] = [],
  maxColumns = 16,
): Arrangement {
  const found = lines.map(() => new Map<string, Episode[]>());
  for (let number = 0; number < episodes.count; number++) {
    if (!episodes.isListed(number)) continue;
    const episode = episodes.at(number);
    const line = lines.findIndex((one) => one.has(episode));
    const key = line < 0 ? null : keyOf(episode);
    if (key === null) continue;
    const own = found[line]!.get(key);
    if (own) own.push(episode);
    else found[line]!.set(key, [episode]);
  }
  const all = [...new Set(found.flatMap((line) => [...line.keys()]))];
  const shared = all.filter((key) => found.filter((line) => line.has(key)).length > 1);
  const order = new Intl.Collator(undefined, { numeric: true });
  const sorted = (shared.length ? shared : all).sort(order.compare);
  const begin = first.filter((key) => sorted.includes(key));
  const keys = [...new Set([...begin, ...sorted])].slice(0, maxColumns);
  const left = all.length > keys.length ? `, ${keys.length} of ${all.length}` : "";
  return arrangeLines(
    lines.map(({ name }, line) => ({
      name,
      lists: keys.map((key) => found[line]!.get(key) ?? []),
    })),
    keys,
    by,
    `Compared by ${by}${left}: every tile starts its episodes together`,
  );
}

/** Lines of tiles with the episodes of each key above each other. */
export function arrangeLines(
  lines: readonly { name: string; lists: readonly (readonly Episode[])[] }[],
  keys: readonly string[],
  by: "env" | "seed",
  title: string,
): Arrangement {
  const columns = keys.length;
  const names = keys.map((key) => `${by} ${key}`);
  const lists = lines.flatMap(({ lists }) => lists);
  return {
    ...sideBySide("compared", title, lists, (_, index) => [
      lines[(index / columns) | 0]!.name,
      names[index % columns]!,
    ]),
    columns,
    lines: lines.map(({ name }) => name),
    keys: names,
  };
}

/** The part of a lane that a row shows, and how far into it; null: nothing yet. */
export function partAt(
  lane: Lane,
  row: number,
): [part: LanePart, isOver: boolean] | null {
  let [low, high] = [0, lane.parts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.parts[middle]!.at <= row) low = middle + 1;
    else high = middle;
  }
  const part = lane.parts[low - 1];
  return part ? [part, row - part.at >= part.stop - part.start] : null;
}

/** The recorder's row and env that a lane shows in a row; null: nothing. */
export function recordedAt(
  { lanes }: Arrangement,
  row: number,
  lane: number,
): { row: number; env: number } | null {
  const found = lanes[lane] && partAt(lanes[lane], row);
  if (!found) return null;
  const [{ at, env, start, stop }] = found;
  return { row: Math.min(start + row - at, stop - 1), env };
}

/** Row and lane where a recorder's row of an env is shown; null: nowhere. */
export function locate(
  { lanes }: Arrangement,
  row: number,
  env: number,
): { row: number; lane: number } | null {
  for (const [lane, { parts }] of lanes.entries())
    for (const part of parts)
      if (part.env === env && part.start <= row && row < part.stop)
        return { row: part.at + row - part.start, lane };
  return null;
}

function episodesOf(episodes: Episodes, env: number): Episode[] {
  return Array.from({ length: episodes.numOf(env) }, (_, index) =>
    episodes.at(episodes.numberOf(env, index)!),
  );
}

/** A tile for each list. */
function sideBySide(
  kind: Arrangement["kind"],
  title: string,
  lists: readonly (readonly Episode[])[],
  nameOf: (parts: LanePart[], index: number) => Lane["name"] = () => null,
): Arrangement {
  const [lanes, numRows] = inStep(lists);
  return {
    kind,
    title,
    lanes: lanes.map((parts, index) => ({ name: nameOf(parts, index), parts })),
    numRows,
    columns: null,
    lines: [],
    keys: [],
  };
}

/** Lay lists of episodes so that the k-th ones start together. */
function inStep(lists: readonly (readonly Episode[])[]): [LanePart[][], number] {
  const lanes = lists.map(() => [] as LanePart[]);
  const most = Math.max(0, ...lists.map((list) => list.length));
  let at = 0;
  for (let k = 0; k < most; k++) {
    let longest = 0;
    for (const [lane, list] of lists.entries()) {
      const episode = list[k];
      if (!episode) continue;
      const { env, index, idle = [], stop } = episode;
      let [from, length] = [episode.start, 0];
      for (const row of [...idle, stop]) {
        if (row > from) {
          lanes[lane]!.push({
            into: length,
            at: at + length,
            env,
            index,
            start: from,
            stop: row,
          });
          length += row - from;
        }
        from = row + 1;
      }
      longest = Math.max(longest, length);
    }
    at += longest;
  }
  return [lanes, at];
}
