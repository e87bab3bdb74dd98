/**
 * The page without a kernel: plays what is stored in its own document.
 *
 * rollout_viewer/_export/html.py writes an element `[data-rollout-viewer]` and a script
 * `.rollout-viewer-message` for each message: JSON with its buffers in base64.
 */

import type { FromKernel } from "./protocol/messages.ts";
import { goToLink, hashOf, parseHash } from "./session/link.ts";
import { loadState, type SavedState, saveState } from "./session/saved-state.ts";
import { openSession, type Session } from "./session/session.ts";
import { mountViewer } from "./view/viewer.ts";

export function startStandalone(document: Document | undefined): void {
  const host = document?.querySelector<HTMLElement>("[data-rollout-viewer]");
  if (!document || !host) return;
  host.textContent = "";
  const session = openSession(null);
  mountViewer(host, session, new AbortController().signal);
  const keepPlace = keepsPlace(session);
  const scripts = document.querySelectorAll("script.rollout-viewer-message");
  const next = (index: number) => {
    const script = scripts[index];
    if (!script) return;
    const { message, buffers } = JSON.parse(script.textContent ?? "") as {
      message: FromKernel;
      buffers: string[];
    };
    script.remove(); // its text is as large as what it holds
    session.take(message, buffers.map(fromBase64));
    keepPlace();
    // The first rows are seen before the last ones are read.
    setTimeout(next, 0, index + 1);
  };
  next(0);
}

const SAVE_MS = 500;
/** A window this wide has room for the inspector beside the pictures. */
const WIDE_PX = 1200;

/** Return what restores the place of this recording once its row has come. */
function keepsPlace(session: Session): () => void {
  const { clock, store, viewOptions } = session;
  const keyOf = () => `page:${store.recorded.manifest?.session ?? ""}`;
  let isRestored = false;
  let isDue = false;
  store.onManifest.on(() => {
    const isNew = !isRestored && !loadState(keyOf());
    if (isNew && innerWidth >= WIDE_PX) viewOptions.set({ panel: "inspector" });
  });
  const save = () => {
    isDue = false;
    if (!isRestored) return;
    writeHash(hashOf(session));
    saveState(keyOf(), session, {}, location.hash);
  };
  const saveSoon = () => {
    if (!isDue) setTimeout(save, SAVE_MS);
    isDue = true;
  };
  clock.onChange.on(saveSoon);
  session.marks.onChange.on(saveSoon);
  // A page that is left keeps the address that it is left with.
  addEventListener(
    "pagehide",
    () => isRestored && saveState(keyOf(), session, {}, location.hash),
  );
  addEventListener("hashchange", () => {
    const place = parseHash(location.hash);
    if (isRestored && place) goToLink(session, place);
  });
  return () => {
    const { manifest, numRows } = store;
    if (isRestored || !manifest || !numRows) return;
    const saved = loadState(keyOf());
    const isNews = location.hash !== (saved?.hash ?? "");
    const linked = isNews ? parseHash(location.hash) : null;
    const row = linked?.row ?? saved?.row ?? 0;
    if (numRows <= Math.min(row, manifest.num_rows - 1)) return;
    isRestored = true;
    if (saved) restore(session, saved);
    if (linked) goToLink(session, linked);
    session.undo.settle();
  };
}

function restore(session: Session, saved: SavedState): void {
  const { clock, viewOptions } = session;
  viewOptions.restore(saved.options);
  clock.setSpeed(saved.speed);
  clock.setEvery(saved.every ?? 1);
  if (saved.range) clock.setRange(saved.range);
  clock.setLoop(saved.loop);
  if (clock.row === clock.bounds[0]) clock.seek(saved.row); // not moved meanwhile
}

/** Keep the place in the page's address, where the browser lets us. */
function writeHash(hash: string): void {
  if (hash === location.hash) return;
  try {
    history.replaceState(history.state, "", hash);
  } catch {
    // A page without an address of its own, as in an iframe: nothing to keep it in.
  }
}

function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
