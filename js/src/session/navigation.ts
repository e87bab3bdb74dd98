/**
 * Where the playhead and the selection are, in the recording and in what is shown.
 *
 * Rows and envs of an arrangement are not those of the recording: what the kernel and
 * the user name are always the recording's.
 */

import type { Clock } from "../playback/clock.ts";
import { type Arrangement, locate, recordedAt } from "../recording/arrangement.ts";
import type { Store } from "../recording/store.ts";
import type { Marks } from "./marks.ts";
import type { UndoStack } from "./undo.ts";

/** Where the playhead is in the recording. */
export interface Place {
  row: number;
  /** Of the first selected tile, or of the first tile. */
  env: number;
}

export interface Navigation {
  /**
   * Show rows and envs arranged anew, at the same place; null: as recorded. What is
   * quiet is not to be undone: what the page begins with, and what a panel leads back from.
   */
  arrange(arrangement: Arrangement | null, isQuiet?: boolean): void;
  /** Where the playhead is in the recording. */
  place(): Place;
  /** Go to a row of an env; leaves an arrangement that does not show it. */
  goTo(row: number, env: number | null): void;
  /** The selected envs of the recording. */
  selectedEnvs(): number[];
  selectEnvs(envs: readonly number[]): void;
  /** Rows of the recording, as rows that are shown now. */
  shownRows(rows: readonly number[]): number[];
}

export interface NavigationParts {
  store: Store;
  clock: Clock;
  marks: Marks;
  undo: UndoStack;
}

export function createNavigation({
  store,
  clock,
  marks,
  undo,
}: NavigationParts): Navigation {
  const navigation: Navigation = {
    arrange(arrangement, isQuiet = false) {
      const { row, env } = navigation.place();
      const envs = navigation.selectedEnvs();
      const was = { arrangement: store.arrangement, range: clock.marks };
      undo.flush();
      clock.pause();
      clock.unmark();
      store.arrange(arrangement);
      clock.setBounds(store.firstRow, store.numRows);
      const found = arrangement && locate(arrangement, row, env);
      navigation.selectEnvs(arrangement && !found ? [] : envs);
      clock.seek(arrangement ? (found?.row ?? 0) : row);
      undo.settle();
      if (arrangement === was.arrangement || isQuiet) return;
      const text = arrangement ? `Arranged: ${arrangement.title}` : "Rows as recorded";
      undo.push(text, () => {
        navigation.arrange(was.arrangement);
        clock.setMarks(was.range);
      });
    },
    place() {
      const env = marks.selection[0] ?? 0;
      const { arrangement } = store;
      const place = arrangement && recordedAt(arrangement, clock.row, env);
      return place ?? { row: clock.row, env };
    },
    goTo(row, env) {
      const { arrangement } = store;
      const found = arrangement && env !== null && locate(arrangement, row, env);
      if (arrangement && !found) navigation.arrange(null);
      if (found) marks.select([found.lane]);
      else if (env !== null) marks.select([env]);
      clock.seek(found ? found.row : row);
    },
    selectedEnvs() {
      const lanes = store.arrangement?.lanes;
      const envs = marks.selection.map((env) =>
        lanes ? lanes[env]?.parts[0]?.env : env,
      );
      return [...new Set(envs)].filter((env) => env !== undefined);
    },
    selectEnvs(envs) {
      const lanes = store.arrangement?.lanes;
      marks.select(lanes ? lanesOf(lanes, envs) : envs);
    },
    shownRows(rows) {
      const { arrangement } = store;
      return arrangement ? rowsIn(arrangement, rows) : [...rows];
    },
  };
  return navigation;
}

/** Numbers of the lanes that begin with one of these envs. */
function lanesOf(lanes: Arrangement["lanes"], envs: readonly number[]): number[] {
  return lanes.flatMap(({ parts }, lane) =>
    parts[0] && envs.includes(parts[0].env) ? [lane] : [],
  );
}

/** Rows of an arrangement that show one of these rows of the recording. */
function rowsIn({ lanes }: Arrangement, rows: readonly number[]): number[] {
  const found = new Set<number>();
  for (const { parts } of lanes)
    for (const { at, start, stop } of parts)
      for (const row of rows)
        if (start <= row && row < stop) found.add(at + row - start);
  return [...found];
}
