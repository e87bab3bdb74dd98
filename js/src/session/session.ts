/**
 * One recording as a page holds it, shared by all views of it.
 *
 * Takes messages, whoever brings them: a kernel (widget.ts) or a file (standalone.ts).
 */

import { Clock } from "../playback/clock.ts";
import type {
  DataMessage,
  FromKernel,
  ToKernel,
  WireBuffer,
} from "../protocol/messages.ts";
import { type Arrangement, locate, recordedAt } from "../recording/arrangement.ts";
import { Scalars } from "../recording/scalars.ts";
import { StepDetails } from "../recording/step-details.ts";
import { Store } from "../recording/store.ts";
import { Emitter } from "../util/emitter.ts";
import { isSame } from "../util/same.ts";
import { ExportJobs } from "./export-jobs.ts";
import { Feed } from "./feed.ts";
import { ViewOptions } from "./view-options.ts";

declare const ROLLOUT_VIEWER_VERSION: string;

/** Of this page; "" in tests, which are not built into one. */
export const VERSION =
  typeof ROLLOUT_VIEWER_VERSION === "undefined" ? "" : ROLLOUT_VIEWER_VERSION;

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

/** What the user marked. */
export class Marks {
  readonly onChange = new Emitter();
  /** Numbers of the selected envs. */
  selection: readonly number[] = [];
  /** Bookmarked rows, ascending. */
  bookmarks: readonly number[] = [];

  select(envs: readonly number[]): void {
    if (isSame(envs, this.selection)) return;
    this.selection = [...envs];
    this.onChange.emit();
  }

  setBookmarks(rows: readonly number[]): void {
    const sorted = [...new Set(rows)].sort((a, b) => a - b);
    if (isSame(sorted, this.bookmarks)) return;
    this.bookmarks = sorted;
    this.onChange.emit();
  }

  /** What is written beside bookmarks, by row. */
  notes: ReadonlyMap<number, string> = new Map();

  setNotes(notes: ReadonlyMap<number, string>): void {
    this.notes = notes;
    this.onChange.emit();
  }

  toggleBookmark(row: number): void {
    this.setBookmarks(
      this.bookmarks.includes(row)
        ? this.bookmarks.filter((one) => one !== row)
        : [...this.bookmarks, row],
    );
  }
}

/** Where the playhead is in the recording. */
export interface Place {
  row: number;
  /** Of the first selected tile, or of the first tile. */
  env: number;
}

export interface Session {
  readonly store: Store;
  readonly clock: Clock;
  readonly feed: Feed;
  readonly marks: Marks;
  readonly viewOptions: ViewOptions;
  readonly details: StepDetails;
  readonly scalars: Scalars;
  /** Null where there is no kernel. */
  readonly jobs: ExportJobs | null;
  /** Shown until the user closes them. */
  readonly errors: string[];
  readonly onError: Emitter;
  /** Slots that each view shows. */
  readonly visibleSlots: Map<object, readonly number[]>;
  readonly playerStats: Set<PlayerStats>;
  /** The kernel has ended: nothing more can be asked for. */
  isCut: boolean;
  readonly onCut: Emitter;
  cut(isCut: boolean): void;
  take(message: FromKernel, buffers: WireBuffer[]): void;
  /** Show rows and envs arranged anew, at the same place; null: as recorded. */
  arrange(arrangement: Arrangement | null): void;
  /** Where the playhead is in the recording. */
  place(): Place;
  /** Go to a row of an env; leaves an arrangement that does not show it. */
  goTo(row: number, env: number | null): void;
  /** The selected envs of the recording. */
  selectedEnvs(): number[];
  selectEnvs(envs: readonly number[]): void;
  /** Rows of the recording, as rows that are shown now. */
  shownRows(rows: readonly number[]): number[];
  /** Write a note beside a row's bookmark; the row becomes one. */
  note(row: number, note: string): void;
  /** Give an episode a label; a value of null takes it away. */
  label(env: number, episode: number, name: string, value: unknown): void;
  fail(error: unknown): void;
}

export function openSession(
  wire: ((message: ToKernel) => void) | null,
  version = VERSION,
): Session {
  const store = new Store();
  const clock = new Clock();
  const send = wire
    ? (message: ToKernel) => {
        try {
          wire(message);
        } catch {
          session.cut(true); // a comm without its kernel throws
        }
      }
    : null;
  const feed = new Feed({ store, clock, send, version });
  const jobs = send ? new ExportJobs(send) : null;
  const errors: string[] = [];
  const onError = new Emitter();
  const fail = (error: unknown) => {
    const text = error instanceof Error ? error.message : String(error);
    if (!errors.includes(text)) errors.push(text);
    onError.emit();
  };
  const take = (message: FromKernel, buffers: WireBuffer[]) => {
    try {
      session.cut(false);
      if (message.kind === "manifest") checkVersion(message.version, version);
      if (feed.take(message, buffers)) {
        if (message.kind === "data") takeMarks(message);
        return;
      }
      switch (message.kind) {
        case "job":
          jobs?.take(message);
          break;
        case "file":
          jobs?.takeFile(message, buffers);
          break;
        case "goto":
          clock.pause();
          // A playhead that is there already keeps the arrangement.
          if (message.row !== session.place().row) session.goTo(message.row, null);
          break;
        case "details":
          details.take(message, buffers);
          break;
        case "column":
          scalars.take(message, buffers);
          break;
        case "stats":
          send?.({ kind: "stats", counts: countsOf(session) });
          break;
        case "error":
          fail(message.message);
          break;
        default:
          throw new Error(
            `[rollout_viewer] unknown message kind: ${(message as { kind: unknown }).kind}`,
          );
      }
    } catch (error) {
      fail(error);
    }
  };
  const marks = new Marks();
  const takeMarks = ({ bookmarks, episodes, infos }: DataMessage) => {
    for (const [env, index, number] of episodes ?? [])
      store.recorded.steps.episodes.describe(env, index, infos?.[number] ?? {});
    if (bookmarks) {
      const notes = Object.entries(bookmarks);
      // Where there is a kernel, the trait has the rows.
      if (!send) marks.setBookmarks(notes.map(([row]) => Number(row)));
      marks.setNotes(new Map(notes.map(([row, note]) => [Number(row), note])));
    } else if (episodes?.length) marks.onChange.emit();
  };
  const details = new StepDetails(send);
  const scalars = new Scalars(store, details, send);
  let recording = "";
  store.onReset.on(() => {
    const now = store.recorded.manifest?.session ?? "";
    if (now !== recording) details.clear(); // else only arranged anew
    recording = now;
  });
  clock.episodeAt = (row) => store.steps.episodeAt(row, marks.selection[0] ?? 0);
  const session: Session = {
    store,
    clock,
    feed,
    marks,
    viewOptions: new ViewOptions(),
    details,
    scalars,
    jobs,
    errors,
    onError,
    visibleSlots: new Map(),
    playerStats: new Set(),
    isCut: false,
    onCut: new Emitter(),
    cut(isCut) {
      if (isCut === session.isCut) return;
      session.isCut = isCut;
      session.onCut.emit();
    },
    take,
    arrange(arrangement) {
      const { row, env } = session.place();
      const envs = session.selectedEnvs();
      clock.pause();
      clock.unmark();
      store.arrange(arrangement);
      clock.setBounds(store.firstRow, store.numRows);
      const found = arrangement && locate(arrangement, row, env);
      session.selectEnvs(arrangement && !found ? [] : envs);
      clock.seek(arrangement ? (found?.row ?? 0) : row);
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
      if (arrangement && !found) session.arrange(null);
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
      marks.select(
        lanes
          ? lanes.flatMap(({ parts }, lane) =>
              parts[0] && envs.includes(parts[0].env) ? [lane] : [],
            )
          : envs,
      );
    },
    shownRows(rows) {
      const { arrangement } = store;
      if (!arrangement) return [...rows];
      const found = new Set<number>();
      for (const { parts } of arrangement.lanes)
        for (const { at, start, stop } of parts)
          for (const row of rows)
            if (start <= row && row < stop) found.add(at + row - start);
      return [...found];
    },
    note(row, note) {
      marks.setBookmarks([...marks.bookmarks, row]);
      marks.setNotes(new Map([...marks.notes, [row, note]]));
      send?.({ kind: "bookmark", row, note });
    },
    label(env, episode, name, value) {
      const { episodes } = store.recorded.steps;
      const info = episodes.info(env, episode);
      const { [name]: _, ...others } = info.labels ?? {};
      const labels = value === null ? others : { ...others, [name]: value };
      episodes.describe(env, episode, { ...info, labels });
      send?.({ kind: "label", env, episode, labels: { [name]: value } });
      marks.onChange.emit();
    },
    fail,
  };
  return session;
}

/** What `viewer.stats()` returns of the page. */
export function countsOf({
  store,
  details,
  scalars,
  playerStats,
}: Session): Record<string, number> {
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

function checkVersion(kernel: string, page: string): void {
  if (page && kernel !== page)
    throw new Error(
      `This page is of rollout_viewer ${page}, the kernel of ${kernel}: ` +
        "restart the kernel and reload the page.",
    );
}

/** Slots that any view shows. */
export function allVisibleSlots(session: Session): number[] {
  return [...new Set([...session.visibleSlots.values()].flat())];
}
