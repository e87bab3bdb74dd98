/**
 * What a reload of the page must not lose: kept by the browser, for this tab.
 *
 * sessionStorage and not a message: it is written while the page goes, when no
 * message would arrive any more, and scrubbing stays silent. What Python said since
 * goes first.
 */

import type { Clock, Loop } from "../playback/clock.ts";

export interface Kept {
  row: number;
  isFollowing: boolean;
  speed: number;
  every?: number;
  loop: Loop;
  range: [number, number] | null;
  /** How people chose to look (looks.ts). */
  look?: unknown;
  /** The traits that the kernel had then. */
  kernel: Record<string, unknown>;
}

const nameOf = (key: string) => `rollout_viewer:${key}`;

/** Return what was kept under `key`; null: nothing, or a browser that keeps nothing. */
export function recall(key: string): Kept | null {
  try {
    const text = key && sessionStorage.getItem(nameOf(key));
    return text ? (JSON.parse(text) as Kept) : null;
  } catch {
    return null;
  }
}

/** Keep where the clock is; `place` where it counts rows of an arrangement. */
export function keep(
  key: string,
  clock: Clock,
  look: unknown,
  kernel: Record<string, unknown>,
  place: number | null = null,
): void {
  const { isFollowing, speed, every, loop } = clock;
  const row = place ?? clock.row;
  const range = place === null ? clock.range : null;
  const kept: Kept = { row, isFollowing, speed, every, loop, range, look, kernel };
  try {
    if (key) sessionStorage.setItem(nameOf(key), JSON.stringify(kept));
  } catch {
    // A full or forbidden storage costs the position, nothing else.
  }
}
