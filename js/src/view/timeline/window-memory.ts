/** The window of the timeline over a reload of the page: noted, and shown again. */

import type { Session } from "../../session/session.ts";
import type { RowWindow } from "./row-window.ts";

export interface WindowMemory {
  /** Show the saved window once its rows are here. */
  restore(): void;
  /** Note the window as it is now. */
  note(): void;
  /** The user moved the window: one that was saved is of no use. */
  forget(): void;
}

export function createWindowMemory(
  { store, clock, viewOptions }: Session,
  rows: RowWindow,
  signal: AbortSignal,
): WindowMemory {
  let wanted = viewOptions.now.window;
  const recall = () => {
    wanted = viewOptions.now.window;
  };
  viewOptions.onRestore.on(recall, signal);
  // A kernel that answers twice sends the same rows again, from none on.
  store.onReset.on(recall, signal);
  /** Rows that are still on their way may be those of the window. */
  const areHere = (last: number) => {
    const stop = clock.bounds[1];
    return stop > 0 && stop >= Math.min(last + 1, store.manifest?.num_rows ?? stop);
  };
  return {
    restore() {
      if (!wanted || !areHere(wanted[1])) return;
      rows.set(...wanted);
      wanted = null;
    },
    note() {
      if (!wanted) viewOptions.noteWindow(rows.isWhole ? null : [rows.from, rows.to]);
    },
    forget() {
      wanted = null;
    },
  };
}
