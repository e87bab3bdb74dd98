/**
 * The Jupyter widget: the only file that knows the Jupyter model.
 *
 * `initialize` opens one session for a model, `render` one view of it. Traits go both
 * ways; the playhead and its like go to Python only while Python observes them.
 */

import type { Loop } from "./clock.ts";
import type { FromKernel, WireBuffer } from "./protocol.ts";
import { lookedAt, openSession, type Session } from "./session.ts";
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
}

interface RenderOptions {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

/** How often the playhead is told while it moves. */
const TELL_MS = 200;
const ASK_MS = 200;

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
  // A chunk that is missing may be on its way: asked for later, by time.
  const timer = setInterval(
    () => session.feed.askForMissing(lookedAt(session)),
    ASK_MS,
  );
  signal.addEventListener("abort", () => clearInterval(timer));
  session.feed.hello();
  return session;
}

function followTraits(
  model: Model,
  session: Session,
  on: (event: string, callback: (...args: never[]) => void) => void,
  signal: AbortSignal,
): void {
  const { clock, marks } = session;
  const setters: Record<string, (value: never) => void> = {
    playhead: (row: number) => {
      // Before the first rows came there is nowhere to go; `ready` goes there then.
      if (row !== clock.row) clock.seek(row);
    },
    playing: (isPlaying: boolean) => {
      if (isPlaying) clock.play();
      else clock.pause();
    },
    speed: (speed: number) => clock.setSpeed(speed),
    loop: (loop: Loop) => loop !== clock.loop && clock.setLoop(loop),
    selection: (envs: number[]) => marks.select(envs),
    bookmarks: (rows: number[]) => marks.setBookmarks(rows),
  };
  const read: Record<string, () => unknown> = {
    playhead: () => clock.row,
    playing: () => clock.isPlaying,
    speed: () => clock.speed,
    loop: () => clock.loop,
    selection: () => marks.selection,
    bookmarks: () => marks.bookmarks,
  };
  let isTold = false; // a change that we make ourselves comes back as an event
  for (const [name, set] of Object.entries(setters))
    on(`change:${name}`, () => {
      if (!isTold) set(model.get(name) as never);
    });
  for (const name of ["speed", "loop", "selection", "bookmarks"])
    setters[name]!(model.get(name) as never);

  const tell = (names: readonly string[]) => {
    let hasChanged = false;
    isTold = true;
    for (const name of names) {
      const value = read[name]?.();
      if (JSON.stringify(value) === JSON.stringify(model.get(name))) continue;
      model.set(name, value);
      hasChanged = true;
    }
    isTold = false;
    if (hasChanged) model.save_changes();
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isReady = false;
  clock.onChange.on(() => {
    if (!isReady && session.store.numRows > 0) {
      isReady = true;
      const row = model.get("playhead") as number;
      if (row > 0 && !clock.isFollowing) clock.seek(row);
      if (model.get("playing")) clock.play();
    }
    const observed = (model.get("_observed") ?? []) as string[];
    if (observed.length && isReady)
      timer ??= setTimeout(() => {
        timer = undefined;
        tell((model.get("_observed") ?? []) as string[]);
      }, TELL_MS);
  }, signal);
  signal.addEventListener("abort", () => clearTimeout(timer));
  on("change:_observed", () => isReady && tell(model.get("_observed") as string[]));
  marks.onChange.on(() => tell(["selection", "bookmarks"]), signal);
}
