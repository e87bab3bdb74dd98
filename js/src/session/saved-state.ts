/**
 * What a reload of the page must not lose: saved by the browser, for this tab.
 *
 * sessionStorage and not a message: it is written while the page is unloaded,
 * when no message would arrive any more, and scrubbing sends nothing. What Python set
 * since takes precedence.
 */

import type { Loop } from "../playback/clock.ts";
import type { Session } from "./session.ts";

export interface SavedState {
  row: number;
  isFollowing: boolean;
  speed: number;
  every?: number;
  loop: Loop;
  range: [number, number] | null;
  /** Values of view-options.ts. */
  options?: unknown;
  /** What the page's address said then; it is newer than this where it says another. */
  hash?: string;
  /** The traits that the kernel had then. */
  kernel: Record<string, unknown>;
}

const nameOf = (key: string) => `rollout_viewer:${key}`;

/** Return the state saved under `key`; null: none, or the browser saves nothing. */
export function loadState(key: string): SavedState | null {
  try {
    const text = key && sessionStorage.getItem(nameOf(key));
    return text ? (JSON.parse(text) as SavedState) : null;
  } catch {
    return null;
  }
}

/** Save where a session is: the recorded row, also where rows are arranged now. */
export function saveState(
  key: string,
  { clock, store, viewOptions, place }: Session,
  kernel: Record<string, unknown>,
  hash = "",
): void {
  const { isFollowing, speed, every, loop } = clock;
  const isArranged = store.arrangement !== null;
  const options = viewOptions.now;
  const saved: SavedState = {
    row: isArranged ? place().row : clock.row,
    isFollowing,
    speed,
    every,
    loop,
    range: isArranged ? null : clock.range,
    options: isArranged ? { ...options, window: null } : options,
    hash,
    kernel,
  };
  try {
    if (key) sessionStorage.setItem(nameOf(key), JSON.stringify(saved));
  } catch {
    // A full or forbidden storage costs the position, nothing else.
  }
}
