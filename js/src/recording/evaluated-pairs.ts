/** The pairs of an evaluation as an arrangement: each its own episodes. Pure. */

import type {
  Beginning,
  EvaluationNumbers,
  PairColumns,
} from "../protocol/messages.ts";
import { type Arrangement, arrangeLines } from "./arrangement.ts";
import type { Episode, Episodes } from "./episodes.ts";

/** What an evaluation found out; null: nothing was evaluated. */
export function evaluationOf(compare: Beginning | undefined): EvaluationNumbers | null {
  const { policies, against, pairs } = compare ?? {};
  return policies && against && pairs ? { policies, against, pairs } : null;
}

/** The numbers of all pairs of these seeds, in the order of the seeds. */
export function pairsOfSeeds(
  { seed }: PairColumns,
  seeds: readonly string[],
): number[] {
  const places = new Map(seeds.map((one, place) => [one, place]));
  return [...seed.keys()]
    .filter((pair) => places.has(seed[pair]!))
    .sort((a, b) => places.get(seed[a]!)! - places.get(seed[b]!)!);
}

/**
 * A line of tiles for each policy, a column for each seed of these pairs: the episodes
 * of the evaluation, whatever else was recorded.
 */
export function arrangePairs(
  episodes: Episodes,
  { policies, pairs }: EvaluationNumbers,
  shown: readonly number[],
  title: string,
): Arrangement {
  const found = policies.map(() => new Map<string, Set<number>>());
  const add = (line: number, seed: string, number: number | null) => {
    if (number === null) return;
    const own = found[line]!.get(seed) ?? new Set();
    // Of three policies, an episode of the first is in two pairs.
    found[line]!.set(seed, own.add(number));
  };
  for (const pair of shown) {
    const [other, first] = episodesOf(episodes, pairs, pair);
    add(pairs.line[pair]!, pairs.seed[pair]!, other);
    add(0, pairs.seed[pair]!, first);
  }
  const keys = [...new Set(shown.map((pair) => pairs.seed[pair]!))].filter((seed) =>
    found.some((line) => line.has(seed)),
  );
  const lists = (line: number): Episode[][] =>
    keys.map((key) =>
      Array.from(found[line]!.get(key) ?? [], (number) => episodes.at(number)),
    );
  const lines = policies
    .map(({ policy }, line) => ({ name: policy, lists: lists(line) }))
    .filter((_, line) => found[line]!.size);
  const arrangement = arrangeLines(lines, keys, "seed", title);
  // A single pair is as large as fits, above or beside each other.
  return { ...arrangement, columns: keys.length > 1 ? keys.length : null };
}

/** The numbers of a pair's episodes, that of the first policy last; null: not here. */
function episodesOf(
  episodes: Episodes,
  pairs: PairColumns,
  pair: number,
): [other: number | null, first: number | null] {
  const number = (env: number | null, index: number | null) =>
    env === null || index === null ? null : episodes.numberOf(env, index);
  return [
    number(pairs.env[pair]!, pairs.episode[pair]!),
    number(pairs.env_against[pair]!, pairs.episode_against[pair]!),
  ];
}
