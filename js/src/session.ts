/**
 * One recording as a page holds it, shared by all views of it.
 *
 * Takes messages, whoever brings them: a kernel (widget.ts) or a file (standalone.ts).
 */

import { Clock } from "./clock.ts";
import { Columns } from "./columns.ts";
import { Details } from "./details.ts";
import { Emitter } from "./emitter.ts";
import { Feed } from "./feed.ts";
import { Jobs } from "./jobs.ts";
import { Looks } from "./looks.ts";
import type { FromKernel, ToKernel, WireBuffer } from "./protocol.ts";
import { Store } from "./store.ts";

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

/** What people marked. */
export class Marks {
  readonly onChange = new Emitter();
  /** Numbers of the selected envs. */
  selection: readonly number[] = [];
  /** Bookmarked rows, ascending. */
  bookmarks: readonly number[] = [];

  select(envs: readonly number[]): void {
    if (same(envs, this.selection)) return;
    this.selection = [...envs];
    this.onChange.emit();
  }

  setBookmarks(rows: readonly number[]): void {
    const sorted = [...new Set(rows)].sort((a, b) => a - b);
    if (same(sorted, this.bookmarks)) return;
    this.bookmarks = sorted;
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

export interface Session {
  readonly store: Store;
  readonly clock: Clock;
  readonly feed: Feed;
  readonly marks: Marks;
  readonly looks: Looks;
  readonly details: Details;
  readonly columns: Columns;
  /** Null where there is no kernel. */
  readonly jobs: Jobs | null;
  /** Shown to people until they close them. */
  readonly errors: string[];
  readonly onError: Emitter;
  /** Slots that each view looks at. */
  readonly looked: Map<object, readonly number[]>;
  readonly played: Set<PlayerStats>;
  /** The kernel is gone: what is in the page is all that there is. */
  isCut: boolean;
  readonly onCut: Emitter;
  cut(isCut: boolean): void;
  take(message: FromKernel, buffers: WireBuffer[]): void;
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
  const jobs = send ? new Jobs(send) : null;
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
      if (feed.take(message, buffers)) return;
      switch (message.kind) {
        case "job":
          jobs?.take(message);
          break;
        case "file":
          jobs?.takeFile(message, buffers);
          break;
        case "goto":
          clock.pause();
          clock.seek(message.row);
          break;
        case "details":
          details.take(message, buffers);
          break;
        case "column":
          columns.take(message, buffers);
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
  const details = new Details(send);
  const columns = new Columns(store, details, send);
  store.onReset.on(() => details.clear());
  clock.episodeAt = (row) => store.steps.episodeAt(row, marks.selection[0] ?? 0);
  const session: Session = {
    store,
    clock,
    feed,
    marks,
    looks: new Looks(),
    details,
    columns,
    jobs,
    errors,
    onError,
    looked: new Map(),
    played: new Set(),
    isCut: false,
    onCut: new Emitter(),
    cut(isCut) {
      if (isCut === session.isCut) return;
      session.isCut = isCut;
      session.onCut.emit();
    },
    take,
    fail,
  };
  return session;
}

/** What `viewer.stats()` tells of the page. */
export function countsOf({
  store,
  details,
  columns,
  played,
}: Session): Record<string, number> {
  const sum = { drawn: 0, late: 0, decodes: 0, hits: 0, misses: 0 };
  for (const stats of played)
    for (const name of Object.keys(sum) as (keyof typeof sum)[])
      sum[name] += stats[name];
  return {
    ...sum,
    nbytes: store.numBytes + details.numBytes + columns.numBytes,
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

/** Slots that any view looks at. */
export function lookedAt(session: Session): number[] {
  return [...new Set([...session.looked.values()].flat())];
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
