/** What the page counts, for `viewer.stats()`. */

import type { Scalars } from "../recording/scalars.ts";
import type { StepDetails } from "../recording/step-details.ts";
import type { Store } from "../recording/store.ts";

/** What the players of all views did, now or before. */
export interface PlayerStats {
  /** Rows drawn, and those of them that came more than a frame too late. */
  drawn: number;
  late: number;
  decodes: number;
  /** Rows whose records were all here when asked for, and those where some were not. */
  hits: number;
  misses: number;
}

export interface CountedParts {
  store: Store;
  details: StepDetails;
  scalars: Scalars;
  playerStats: ReadonlySet<PlayerStats>;
}

/** What `viewer.stats()` returns of the page. */
export function countsOf({
  store,
  details,
  scalars,
  playerStats,
}: CountedParts): Record<string, number> {
  const sum = { drawn: 0, late: 0, decodes: 0, hits: 0, misses: 0 };
  for (const stats of playerStats)
    for (const name of Object.keys(sum) as (keyof typeof sum)[])
      sum[name] += stats[name];
  return {
    ...sum,
    nbytes: store.numBytes + details.numBytes + scalars.numBytes,
    evicted: store.chunks.numEvicted,
  };
}
