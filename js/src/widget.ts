/**
 * The Jupyter widget: only this file, traits.ts and kernel-link.ts know Jupyter.
 *
 * `initialize` opens one session for a model, `render` one view of it.
 */

import { exportsOf, type ViewerExports } from "./exports.ts";
import { KernelLink } from "./kernel-link.ts";
import type { FromKernel, WireBuffer } from "./protocol/messages.ts";
import { allVisibleSlots, openSession, type Session } from "./session/session.ts";
import { type Listen, type Model, TraitSync } from "./traits.ts";
import { make } from "./view/dom.ts";
import { mountViewer } from "./view/viewer.ts";

export type { Model } from "./traits.ts";

interface InitializeOptions {
  model: Model;
  /** Of anywidget 0.11 or newer. */
  signal?: AbortSignal;
}

interface RenderOptions {
  model: Model;
  el: HTMLElement;
  signal?: AbortSignal;
}

/** A model without a view for so long keeps no pictures. */
const UNSEEN_MS = 30_000;
/** And for so long, is sent nothing: the kernel needs no thread for it. */
const HIDDEN_MS = 5_000;
const ASK_MS = 40;
/** What the page itself asks for keeps the kernel busy, too, but not for so long. */
const BUSY_MS = 1500;

/** What anywidget asks of a widget's module; called once for each model. */
export function createWidget() {
  let session: Session | null = null;
  return {
    initialize({ model, signal }: InitializeOptions): ViewerExports | (() => void) {
      const ended = new AbortController();
      session = connect(model, ended.signal);
      if (!signal) return () => ended.abort();
      // anywidget 0.11 ends it by the signal, and gives others what is returned.
      signal.addEventListener("abort", () => ended.abort());
      return exportsOf(session, ended.signal);
    },
    render({ model, el, signal }: RenderOptions): () => void {
      if (!session) throw new Error("[rollout_viewer] render came before initialize");
      const ended = new AbortController();
      signal?.addEventListener("abort", () => ended.abort());
      const root = document.createElement("div");
      el.classList.add("rv-host");
      el.append(root);
      const { views, feed } = session;
      views.add(root);
      feed.show();
      mountViewer(root, session, ended.signal);
      const inside = createInside(model, session, ended.signal);
      el.append(inside);
      ended.signal.addEventListener("abort", () => {
        views.delete(root);
        root.remove();
        inside.remove();
      });
      return () => ended.abort();
    },
  };
}

/** What the output itself holds, while the kernel does not answer. */
function createInside(model: Model, session: Session, signal: AbortSignal) {
  const sandbox = "allow-scripts allow-downloads";
  const frame = make("iframe", { hidden: true, sandbox, title: "Saved" });
  const update = () => {
    // Asking again does not take it from who looks at it.
    const isKept = session.store.isAwaited && !frame.hidden;
    const html = session.isSilent || isKept ? String(model.get("_inside")) : "";
    if (frame.srcdoc !== html) frame.srcdoc = html;
    frame.hidden = !html;
  };
  session.onCut.on(update, signal);
  session.store.onData.on(update, signal);
  update();
  return frame;
}

/** Join a model and a session until the signal. */
export function connect(model: Model, signal: AbortSignal): Session {
  const session = openSession((message) => model.send(message));
  const on: Listen = (event, callback) => {
    model.on(event, callback as never);
    signal.addEventListener("abort", () => model.off(event, callback as never));
  };
  on("msg:custom", (message: FromKernel, buffers: WireBuffer[] = []) =>
    session.take(message, buffers),
  );
  const link = new KernelLink(model.widget_manager, signal);
  new TraitSync(model, session, link).start(on, signal);
  // The kernel ended or came back: only its answer shows which.
  on("comm_live_update", () => {
    session.cut(true);
    session.feed.hello();
  });
  let [unseenMs, withoutMs, busyMs] = [0, 0, 0];
  // A chunk that is missing may be on its way: asked for later, by time.
  const timer = setInterval(() => {
    unseenMs = session.visibleSlots.size ? 0 : unseenMs + ASK_MS;
    if (unseenMs >= UNSEEN_MS && !session.isCut) session.store.chunks.clear();
    link.update();
    withoutMs = session.views.size ? 0 : withoutMs + ASK_MS;
    if (withoutMs >= HIDDEN_MS && !session.isCut) session.feed.hide();
    busyMs = link.isBusy ? busyMs + ASK_MS : 0;
    session.setBusy(busyMs >= BUSY_MS);
    if (link.isGone) session.cut(true);
    const isLost = session.isCut && session.store.isAwaited;
    session.setSilent(isLost || session.feed.isUnanswered);
    if (session.isCut) return;
    session.feed.askForMissing(allVisibleSlots(session));
    session.previews?.watch(allVisibleSlots(session));
  }, ASK_MS);
  // A page that is closed, or put aside for the button "back".
  globalThis.addEventListener?.("pagehide", () => session.feed.hide(), { signal });
  globalThis.addEventListener?.(
    "pageshow",
    () => session.views.size && session.feed.show(),
    { signal },
  );
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    session.feed.hide();
    session.store.chunks.clear();
  });
  session.feed.hello();
  return session;
}
