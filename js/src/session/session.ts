/**
 * One recording as a page holds it, shared by all views of it.
 *
 * Takes messages from a kernel (widget.ts) or from a file (standalone.ts).
 */

import { Clock } from "../playback/clock.ts";
import type { PreviewSource } from "../playback/previews.ts";
import type { FromKernel, ToKernel, WireBuffer } from "../protocol/messages.ts";
import { fromBase64 } from "../protocol/parse.ts";
import { Scalars } from "../recording/scalars.ts";
import { StepDetails } from "../recording/step-details.ts";
import { Store } from "../recording/store.ts";
import { Emitter } from "../util/emitter.ts";
import { Answers } from "./answers.ts";
import { Connection } from "./connection.ts";
import { type DispatchParts, dispatch } from "./dispatch.ts";
import { ExportJobs } from "./export-jobs.ts";
import { Feed } from "./feed.ts";
import { type AnnotationWriter, createAnnotationWriter, Marks } from "./marks.ts";
import { createNavigation, type Navigation } from "./navigation.ts";
import type { PlayerStats } from "./player-stats.ts";
import { recordRanges, UndoStack } from "./undo.ts";
import { ViewOptions } from "./view-options.ts";

declare const ROLLOUT_VIEWER_VERSION: string;

/** Of this page; "" in tests, which are not built into one. */
const VERSION =
  typeof ROLLOUT_VIEWER_VERSION === "undefined" ? "" : ROLLOUT_VIEWER_VERSION;

export interface Session extends Navigation, AnnotationWriter {
  readonly store: Store;
  readonly clock: Clock;
  readonly feed: Feed;
  readonly marks: Marks;
  readonly viewOptions: ViewOptions;
  readonly details: StepDetails;
  readonly scalars: Scalars;
  /** What was asked of the kernel once. */
  readonly answers: Answers;
  /** To the kernel; null where there is none. */
  readonly send: ((message: ToKernel) => void) | null;
  /** Null until the link was found to be thin. */
  previews: PreviewSource | null;
  /** Null where there is no kernel. */
  readonly jobs: ExportJobs | null;
  /** Shown until the user closes them. */
  readonly errors: string[];
  readonly onError: Emitter;
  /** Slots that each view shows. */
  readonly visibleSlots: Map<object, readonly number[]>;
  readonly playerStats: Set<PlayerStats>;
  /** Views of it that are in the page. */
  readonly views: Set<object>;
  /** The kernel has ended: nothing more can be asked for. */
  readonly isCut: boolean;
  /** A cell has been running for a while, where the host shows that. */
  readonly isBusy: boolean;
  /** The kernel has ended or come back, is busy or no longer so. */
  readonly onCut: Emitter;
  /** What can be undone. */
  readonly undo: UndoStack;
  cut(isCut: boolean): void;
  setBusy(isBusy: boolean): void;
  readonly isSilent: boolean;
  setSilent(isSilent: boolean): void;
  take(message: FromKernel, buffers: WireBuffer[]): void;
  fail(error: unknown): void;
}

export function openSession(
  wire: ((message: ToKernel) => void) | null,
  version = VERSION,
): Session {
  const connection = new Connection(wire);
  const { send } = connection;
  const store = new Store();
  const clock = new Clock();
  const marks = new Marks();
  const details = new StepDetails(send);
  const undo = new UndoStack();
  recordRanges(undo, clock);
  const parts = {
    undo,
    version,
    send,
    store,
    clock,
    marks,
    details,
    feed: new Feed({ store, clock, send, version }),
    scalars: new Scalars(store, details, send),
    answers: new Answers(send),
    jobs: send && new ExportJobs(send),
    playerStats: new Set<PlayerStats>(),
  };
  clearWithRecording(details, store);
  clock.episodeAt = (row) => store.steps.episodeAt(row, marks.selection[0] ?? 0);
  const session: Session & DispatchParts = {
    ...parts,
    ...createNavigation(parts),
    ...createAnnotationWriter(parts),
    viewOptions: new ViewOptions(),
    previews: null,
    errors: [],
    onError: new Emitter(),
    visibleSlots: new Map(),
    views: new Set(),
    get isCut() {
      return connection.isCut;
    },
    get isBusy() {
      return connection.isBusy;
    },
    onCut: connection.onCut,
    setBusy: (isBusy) => connection.setBusy(isBusy),
    get isSilent() {
      return connection.isSilent;
    },
    setSilent: (isSilent) => connection.setSilent(isSilent),
    cut: (isCut) => connection.cut(isCut),
    take(message, buffers) {
      try {
        connection.cut(false);
        dispatch(message, message.base64?.map(fromBase64) ?? buffers, session);
      } catch (error) {
        session.fail(error);
      }
    },
    fail(error) {
      const text = error instanceof Error ? error.message : String(error);
      if (!session.errors.includes(text)) session.errors.push(text);
      session.onError.emit();
    },
  };
  return session;
}

/** Forget details where another recording came, not where it is arranged anew. */
function clearWithRecording(details: StepDetails, store: Store): void {
  let recording = "";
  store.onReset.on(() => {
    const now = store.recorded.manifest?.session ?? "";
    if (now !== recording) details.clear();
    recording = now;
  });
}

/** Slots that any view shows. */
export function allVisibleSlots(session: Session): number[] {
  return [...new Set([...session.visibleSlots.values()].flat())];
}
