/**
 * One recording as a page holds it, shared by all views of it.
 *
 * Takes messages, whoever brings them: a kernel (widget.ts) or a file (standalone.ts).
 */

import { Clock } from "./clock.ts";
import { Emitter } from "./emitter.ts";
import { Feed } from "./feed.ts";
import { Jobs } from "./jobs.ts";
import type { FromKernel, ToKernel, WireBuffer } from "./protocol.ts";
import { Store } from "./store.ts";

export const VERSION = "1";

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
  /** Null where there is no kernel. */
  readonly jobs: Jobs | null;
  /** Shown to people until they close them. */
  readonly errors: string[];
  readonly onError: Emitter;
  /** Slots that each view looks at. */
  readonly looked: Map<object, readonly number[]>;
  take(message: FromKernel, buffers: WireBuffer[]): void;
  fail(error: unknown): void;
}

export function openSession(send: ((message: ToKernel) => void) | null): Session {
  const store = new Store();
  const clock = new Clock();
  const feed = new Feed({ store, clock, send, version: VERSION });
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
  const looked = new Map<object, readonly number[]>();
  return { store, clock, feed, marks, jobs, errors, onError, looked, take, fail };
}

/** Slots that any view looks at. */
export function lookedAt(session: Session): number[] {
  return [...new Set([...session.looked.values()].flat())];
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
