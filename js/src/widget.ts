/**
 * The Jupyter widget: the only file that knows the Jupyter model.
 *
 * `initialize` opens one session for a model, `render` one view of it. Traits go both
 * ways: the playhead and its like are always set on the model, so that jslink sees
 * them, and saved to Python only while Python observes them.
 */

import type { Loop } from "./playback/clock.ts";
import type { FromKernel, WireBuffer } from "./protocol/messages.ts";
import { loadState, saveState } from "./session/saved-state.ts";
import { allVisibleSlots, openSession, type Session } from "./session/session.ts";
import { isSame } from "./util/same.ts";
import { mountViewer } from "./view/viewer.ts";

/** The part of anywidget's model that is used. */
export interface Model {
  // biome-ignore lint/suspicious/noExplicitAny: traits have any type
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  // biome-ignore lint/suspicious/noExplicitAny: events have any arguments
  on(event: string, callback: (...args: any[]) => void): void;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  off(event: string, callback?: ((...args: any[]) => void) | null): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  /** JupyterLab's and Notebook's have a `kernel`; others have none of that. */
  widget_manager?: unknown;
}

interface RenderOptions {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

/** A model without a view for so long keeps no pictures. */
const UNSEEN_MS = 30_000;
/** How often the playhead is reported while it moves. */
const REPORT_MS = 200;
const ASK_MS = 40;

/** What anywidget asks of a widget's module; called once for each model. */
export function createWidget() {
  let session: Session | null = null;
  return {
    initialize({ model }: { model: Model }): () => void {
      const ended = new AbortController();
      session = connect(model, ended.signal);
      return () => ended.abort();
    },
    render({ el, signal }: RenderOptions): () => void {
      if (!session) throw new Error("[rollout_viewer] render came before initialize");
      const ended = new AbortController();
      signal?.addEventListener("abort", () => ended.abort());
      const root = document.createElement("div");
      el.append(root);
      mountViewer(root, session, ended.signal);
      ended.signal.addEventListener("abort", () => root.remove());
      return () => ended.abort();
    },
  };
}

/** Join a model and a session until the signal. */
export function connect(model: Model, signal: AbortSignal): Session {
  const session = openSession((message) => model.send(message));
  const on = (event: string, callback: (...args: never[]) => void) => {
    model.on(event, callback as never);
    signal.addEventListener("abort", () => model.off(event, callback as never));
  };
  on("msg:custom", (message: FromKernel, buffers: WireBuffer[] = []) =>
    session.take(message, buffers),
  );
  followTraits(model, session, on, signal);
  // The kernel ended or came back: only its answer shows which.
  on("comm_live_update", () => {
    session.cut(true);
    session.feed.hello();
  });
  let unseenMs = 0;
  // A chunk that is missing may be on its way: asked for later, by time.
  const timer = setInterval(() => {
    unseenMs = session.visibleSlots.size ? 0 : unseenMs + ASK_MS;
    if (unseenMs >= UNSEEN_MS && !session.isCut) session.store.chunks.clear();
    if (isKernelGone(model)) session.cut(true);
    if (!session.isCut) session.feed.askForMissing(allVisibleSlots(session));
  }, ASK_MS);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    session.store.chunks.clear();
  });
  session.feed.hello();
  return session;
}

/** A kernel that was shut down sends nothing; its connection shows it. */
function isKernelGone({ widget_manager: manager }: Model): boolean {
  if (!manager || typeof manager !== "object" || !("kernel" in manager)) return false;
  const kernel = manager.kernel as { isDisposed?: boolean; status?: string } | null;
  return !kernel || kernel.isDisposed === true || kernel.status === "dead";
}

function followTraits(
  model: Model,
  session: Session,
  on: (event: string, callback: (...args: never[]) => void) => void,
  signal: AbortSignal,
): void {
  const { clock, marks, store } = session;
  const setters: Record<string, (value: never) => void> = {
    playhead: (row: number) => {
      // Before the first rows there is no row to go to; `begin` goes there then.
      if (row !== session.place().row) session.goTo(row, null);
    },
    playing: (isPlaying: boolean) => {
      if (isPlaying) clock.play();
      else clock.pause();
    },
    speed: (speed: number) => clock.setSpeed(speed),
    loop: (loop: Loop) => loop !== clock.loop && clock.setLoop(loop),
    selection: (envs: number[]) => session.selectEnvs(envs),
    bookmarks: (rows: number[]) => marks.setBookmarks(rows),
  };
  const read: Record<string, () => unknown> = {
    playhead: () => session.place().row,
    playing: () => clock.isPlaying,
    speed: () => clock.speed,
    loop: () => clock.loop,
    selection: () => session.selectedEnvs(),
    bookmarks: () => marks.bookmarks,
  };
  /** What Python has, as far as the page knows. */
  const kernel: Record<string, unknown> = {};
  for (const name of Object.keys(read)) kernel[name] = model.get(name);
  const key = String(model.get("_key") ?? "");
  const saved = loadState(key);
  const isNewer = (name: string) =>
    saved !== null && isSame(saved.kernel[name], kernel[name]);
  const observed = () => (model.get("_observed") ?? []) as string[];

  let isReady = false;
  // Where to go when its row has come.
  let wanted = (isNewer("playhead") ? saved!.row : kernel.playhead) as number;
  let isReporting = false; // a change that we make ourselves comes back as an event
  for (const [name, set] of Object.entries(setters))
    on(`change:${name}`, () => {
      if (isReporting) return;
      kernel[name] = model.get(name);
      if (name === "playhead" && !isReady) wanted = model.get(name) as number;
      else set(model.get(name) as never);
    });
  for (const name of ["selection", "bookmarks"])
    setters[name]!(model.get(name) as never);
  clock.setSpeed(isNewer("speed") ? saved!.speed : (kernel.speed as number));
  if (saved?.range) clock.setRange(saved.range);
  session.viewOptions.restore(saved?.options);
  clock.setEvery(saved?.every ?? 1);
  clock.setLoop(isNewer("loop") ? saved!.loop : (kernel.loop as Loop));

  const report = (always: readonly string[] = []) => {
    // Before the first rows the clock is at 0, which the user did not choose.
    const values = Object.keys(read)
      .filter((name) => isReady || always.includes(name))
      .map((name) => [name, read[name]!()] as const);
    isReporting = true;
    for (const [name, value] of values)
      if (!isSame(value, model.get(name))) model.set(name, value);
    isReporting = false;
    const wanting = [...observed(), ...always];
    const isNews = ([name, value]: readonly [string, unknown]) =>
      wanting.includes(name) && !isSame(value, kernel[name]);
    if (!values.some(isNews)) return;
    for (const [name, value] of values) kernel[name] = value;
    model.save_changes();
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = () => {
    const { manifest, numRows } = session.store;
    if (isReady || !manifest || !numRows) return;
    if (numRows <= Math.min(wanted, manifest.num_rows - 1)) return;
    isReady = true;
    const isFollowing = isNewer("playhead") ? saved!.isFollowing : clock.isFollowing;
    const isMoved = isNewer("playhead") || (kernel.playhead as number) > 0;
    if (isFollowing) clock.follow();
    else if (isMoved) clock.seek(wanted);
    if (model.get("playing")) clock.play();
  };
  clock.onChange.on(() => {
    begin();
    if (isReady)
      timer ??= setTimeout(() => {
        timer = undefined;
        report();
      }, REPORT_MS);
  }, signal);
  const put = () => {
    const place = store.arrangement ? session.place().row : null;
    if (isReady) saveState(key, clock, session.viewOptions.now, kernel, place);
  };
  globalThis.addEventListener?.("pagehide", put, { signal });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    put();
  });
  on("change:_observed", () => isReady && report());
  marks.onChange.on(() => report(["selection", "bookmarks"]), signal);
}
