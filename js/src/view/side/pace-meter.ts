/** Says how the playhead moves, so that no more is asked for than can be shown. */

import type { Clock } from "../../playback/clock.ts";
import type { Pace } from "../../recording/step-details.ts";
import { onAbort } from "../dom.ts";

/** A playhead that moved within this time is on its way elsewhere. */
const REST_MS = 120;

/** Returns what says the pace at a row. A row is passed to `onRest` once it rests. */
export function createPaceMeter(
  clock: Clock,
  onRest: (row: number) => void,
  signal: AbortSignal,
): (row: number) => Pace {
  let last = { row: -1, at: Number.NEGATIVE_INFINITY };
  let resting: ReturnType<typeof setTimeout> | undefined;
  onAbort(signal, () => clearTimeout(resting));
  return (row) => {
    const now = performance.now();
    if (row !== last.row) {
      last = { row, at: now };
      clearTimeout(resting);
      resting = setTimeout(() => onRest(last.row), REST_MS + 1);
    }
    if (clock.isFollowing) return "follows";
    return clock.isPlaying || now - last.at < REST_MS ? "moves" : "rests";
  };
}
