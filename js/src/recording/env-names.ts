/** What an env is called on screen. */

import type { Manifest } from "../protocol/messages.ts";

/** An env's name and number: "env 3"; among compared recordings, "after 1". */
export function nameOfEnv(
  manifest: Manifest | null,
  env: number,
): [string, string | number] {
  const named = manifest?.names?.[env];
  if (named) return named;
  for (const [name, first, count] of manifest?.groups ?? [])
    if (env >= first && env < first + count) return [name, env - first];
  return ["env", env];
}
