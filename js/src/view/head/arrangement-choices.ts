/** What rows and envs can be arranged by, and the arrangement of each choice. */

import type { Beginning } from "../../protocol/messages.ts";
import {
  type Arrangement,
  alignEpisodes,
  compare,
} from "../../recording/arrangement.ts";
import type { Episode, Episodes } from "../../recording/episodes.ts";
import {
  arrangePairs,
  evaluationOf,
  pairsOfSeeds,
} from "../../recording/evaluated-pairs.ts";
import type { Session } from "../../session/session.ts";

/** The choice of no arrangement. */
export const RECORDED = "rows";
/** That of an evaluation's own episodes. */
export const EVALUATED = "pairs";
/** More tiles across are too small to be compared with those below. */
const MAX_COLUMNS = 16;

/** What the recording can be arranged by now, each with its text in the menu. */
export function choicesOf({ store }: Session): [value: string, text: string][] {
  const options: [string, string][] = [
    [RECORDED, "By row"],
    ["episodes", "By episode start"],
  ];
  const { groups, compare: asked } = store.recorded.manifest ?? {};
  if (asked?.pairs?.seed.length) options.push([EVALUATED, "Evaluated pairs"]);
  const { episodes } = store.recorded.steps;
  const { segments, hasSeeds } = knownOf(
    episodes.infoVersion,
    store.recorded.steps.episodes,
  );
  if ((groups?.length ?? 0) > 1) {
    options.push(["group:env", "Compare by env"]);
    if (hasSeeds) options.push(["group:seed", "Compare by seed"]);
  }
  if (segments.length > 1) {
    options.push(["segment:env", "Segments by env"]);
    if (hasSeeds) options.push(["segment:seed", "Segments by seed"]);
  }
  return options;
}

const begun = new WeakSet<Session>();

/**
 * The choice with which the kernel wants the page to begin; null: none, or not yet, as
 * rows are still on their way. Returned once, to the first view that asks.
 */
export function takeBeginning(session: Session): string | null {
  const { store } = session;
  const { manifest, steps } = store.recorded;
  const { compare: asked } = manifest ?? {};
  if (!manifest || !asked?.seeds.length || begun.has(session)) return null;
  const value = asked.pairs ? EVALUATED : `${asked.lines ? "segment" : "group"}:seed`;
  const isHere = steps.numRows >= manifest.num_rows;
  if (!isHere || !choicesOf(session).some(([one]) => one === value)) return null;
  begun.add(session);
  return store.arrangement ? null : value;
}

interface Known {
  segments: string[];
  hasSeeds: boolean;
}

const knownByEpisodes = new WeakMap<object, { infoVersion: number; known: Known }>();

/** The segments, as they began, and whether any seed is known; looked up once. */
function knownOf(
  infoVersion: number,
  episodes: Session["store"]["steps"]["episodes"],
): Known {
  const before = knownByEpisodes.get(episodes);
  if (before?.infoVersion === infoVersion) return before.known;
  const segments = new Set<string>();
  let hasSeeds = false;
  for (const info of episodes.infos()) {
    if (info.segment !== undefined) segments.add(info.segment);
    hasSeeds ||= info.seed !== undefined && info.seed !== null;
  }
  const known = { segments: [...segments], hasSeeds };
  knownByEpisodes.set(episodes, { infoVersion, known });
  return known;
}

function evaluatedPairs(episodes: Episodes, asked: Beginning): Arrangement | null {
  const evaluation = evaluationOf(asked);
  if (!evaluation) return null;
  const shown = asked.seeds.slice(0, MAX_COLUMNS);
  const numAll = asked.seeds.length;
  const left = numAll > shown.length ? `, ${shown.length} of ${numAll}` : "";
  const title = `Compared by seed${left}: every tile starts its episodes together`;
  const pairs = pairsOfSeeds(evaluation.pairs, shown);
  return arrangePairs(episodes, evaluation, pairs, title);
}

/** Return the arrangement of a choice; null: the rows as they were recorded. */
export function arrangementOf({ store }: Session, value: string): Arrangement | null {
  if (value === RECORDED) return null;
  const { episodes } = store.recorded.steps;
  const { groups = [], compare: asked } = store.recorded.manifest ?? {};
  if (value === EVALUATED && asked) return evaluatedPairs(episodes, asked);
  if (value === "episodes")
    return alignEpisodes(episodes, [...Array(episodes.numEnvs).keys()]);
  const [what, by] = value.split(":") as ["group" | "segment", "env" | "seed"];
  const groupOf = ({ env }: Episode) =>
    groups.find(([, first, count]) => env >= first && env < first + count);
  const lines =
    what === "group"
      ? groups.map(([name]) => ({
          name,
          has: (episode: Episode) => groupOf(episode)?.[0] === name,
        }))
      : (
          (asked?.pairs ? null : asked?.lines) ??
          knownOf(episodes.infoVersion, episodes).segments
        ).map((name) => ({
          name,
          has: ({ env, index }: Episode) => episodes.info(env, index).segment === name,
        }));
  const keyOf = (episode: Episode) => {
    if (by === "env") return String(episode.env - (groupOf(episode)?.[1] ?? 0));
    const { seed } = episodes.info(episode.env, episode.index);
    return seed === undefined || seed === null ? null : String(seed);
  };
  return compare(episodes, lines, keyOf, by, by === "seed" ? asked?.seeds : []);
}
