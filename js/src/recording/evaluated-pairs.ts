/** The pairs of an evaluation as an arrangement: each its own episodes. Pure. */

import type { EvaluationNumbers } from "../protocol/messages.ts";
import { type Arrangement, arrangeLines } from "./arrangement.ts";
import type { Episode, Episodes } from "./episodes.ts";

/**
 * A line of tiles for each policy, a column for each of these seeds, as far as there
 * are episodes of them: those of the evaluation, whatever else was recorded.
 */
export function arrangePairs(
  episodes: Episodes,
  { policies, pairs }: Pick<EvaluationNumbers, "policies" | "pairs">,
  seeds: readonly string[],
  title: string,
): Arrangement {
  const found = policies.map(() => new Map<string, Map<number, Episode>>());
  const wanted = new Set(seeds);
  const add = (
    line: number,
    seed: string,
    env: number | null,
    index: number | null,
  ) => {
    const number =
      env === null || index === null ? null : episodes.numberOf(env, index);
    if (number === null) return;
    const own = found[line]!.get(seed) ?? new Map<number, Episode>();
    // Of three policies, an episode of the first is in two pairs.
    found[line]!.set(seed, own.set(number, episodes.at(number)));
  };
  for (const [n, seed] of pairs.seed.entries()) {
    if (!wanted.has(seed)) continue;
    add(pairs.line[n]!, seed, pairs.env[n]!, pairs.episode[n]!);
    add(0, seed, pairs.env_against[n]!, pairs.episode_against[n]!);
  }
  const keys = seeds.filter((seed) => found.some((line) => line.has(seed)));
  const lines = policies.map(({ policy }, line) => ({
    name: policy,
    of: found[line]!,
  }));
  return arrangeLines(
    lines
      .filter(({ of }) => of.size)
      .map(({ name, of }) => ({
        name,
        lists: keys.map((key) => [...(of.get(key)?.values() ?? [])]),
      })),
    keys,
    "seed",
    title,
  );
}
