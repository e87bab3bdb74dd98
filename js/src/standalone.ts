/**
 * The page without a kernel: plays what is stored in its own document.
 *
 * rollout_viewer/_export/document.py writes an element `[data-rollout-viewer]` and a
 * script `.rollout-viewer-message` for each message: JSON with its buffers in base64.
 */

import type { FromKernel } from "./protocol/messages.ts";
import { fromBase64 } from "./protocol/parse.ts";
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
  const keepPlace = keepsPlace(session, host.dataset.place);
  void readMessages(document, session, keepPlace);
}

/** A message as html.py writes it; of one that is `deflated`, all buffers are. */
interface StoredMessage {
  message: FromKernel;
  buffers: string[];
  deflated?: boolean;
}

const STORED = "script.rollout-viewer-message";
const POLL_MS = 10;
/** So long the rest of the messages waits for the first picture. */
const FIRST_MS = 500;

/** Take message after message, those that the browser still parses as they come. */
async function readMessages(
  document: Document,
  session: Session,
  onTaken: () => void,
): Promise<void> {
  let isDrawn = false;
  try {
    while (true) {
      const isParsed = document.readyState !== "loading";
      const script = document.querySelector(STORED);
      if (!script && isParsed) return;
      // The text of the last element may still grow.
      if (script && (isParsed || script.nextElementSibling)) {
        const { message, buffers, deflated } = JSON.parse(
          script.textContent ?? "",
        ) as StoredMessage;
        script.remove(); // its text is as large as what it holds
        const stored = buffers.map(fromBase64);
        const bytes = deflated ? await Promise.all(stored.map(inflate)) : stored;
        session.take(message, bytes);
        onTaken();
        const hasPictures = message.kind === "data" && !!bytes.at(-1)?.length;
        // What follows would be read on the thread that has to draw these.
        if (hasPictures && !isDrawn) isDrawn = await firstDrawn(document);
      }
      await sleep(script ? 0 : POLL_MS);
    }
  } catch (error) {
    session.fail(error);
  }
}

/** Wait for the first picture, though not for long; returns true. */
async function firstDrawn(document: Document): Promise<true> {
  const until = performance.now() + FIRST_MS;
  while (!document.querySelector("[data-row]") && performance.now() < until)
    await sleep(POLL_MS);
  return true;
}

function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const SAVE_MS = 500;
/** A window this wide has room for the inspector beside the pictures. */
const WIDE_PX = 1200;

/** Return what restores the place of this recording, or begins at one, once it is here. */
function keepsPlace(session: Session, place = ""): () => void {
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
    const { hash } = location;
    const linked = parseHash(
      hash === (saved?.hash ?? "") ? (saved ? "" : place) : hash,
    );
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
