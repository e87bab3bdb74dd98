/** Rows as an mp4 file that the browser writes: frame n of it is the n-th row. */

import type { Session } from "../../session/session.ts";
import type { Toasts } from "../parts/toast.ts";
import type { Choice } from "./chosen-rows.ts";
import { offer } from "./download.ts";
import { createFilm, type ReadPicture } from "./film.ts";
import { loadMp4Part, whyNoMp4 } from "./mp4-part.ts";

interface Mp4SavingParts {
  session: Session;
  toasts: Toasts;
  readPicture: ReadPicture;
  signal: AbortSignal;
}

const KEY = "mp4";
const NO_ENCODER =
  "This browser encodes no video of this size. Save it from a notebook, or choose " +
  "fewer tiles.";
/** Progress is shown no more often: drawing it takes time too. */
const SHOW_MS = 100;

export interface Mp4Saving {
  /** Why it cannot be used now; "": it can. */
  readonly whyNot: string;
  /** Write a file, with its progress as a message. */
  save(choice: Choice, name: string): Promise<void>;
}

export function createMp4Saving(parts: Mp4SavingParts): Mp4Saving {
  const { toasts } = parts;
  let [why, isBusy] = ["", false];
  void whyNoMp4().then((found) => {
    why = found;
  });
  return {
    get whyNot() {
      return isBusy ? "is being written" : why;
    },
    async save(choice, name) {
      if (isBusy) return;
      isBusy = true;
      try {
        await write(parts, choice, name);
      } catch (error) {
        const text = `${(error as Error).message} (mp4 failed.)`;
        toasts.show({ kind: "error", text, key: KEY });
      } finally {
        isBusy = false;
      }
    },
  };
}

async function write(
  parts: Mp4SavingParts,
  { rows }: Choice,
  name: string,
): Promise<void> {
  const { session, toasts, readPicture, signal } = parts;
  let isCancelled = false;
  const cancel = () => {
    isCancelled = true;
  };
  const show = (progress: number) => {
    const text = `mp4 \u00b7 ${Math.round(100 * progress)} %`;
    const actions = [{ text: "Cancel", stays: true, do: cancel }];
    toasts.show({ kind: "progress", text, progress, key: KEY, actions });
  };
  show(0);
  const film = createFilm(session, rows, readPicture);
  if (!film) throw new Error("These tiles have no pictures.");
  const { openMp4 } = await loadMp4Part();
  const file = await openMp4(film.canvas, session.clock.fps);
  if (!file) throw new Error(NO_ENCODER);
  let shownAt = performance.now();
  for (let row = rows.start; row < rows.stop; row++) {
    if (isCancelled || signal.aborted) {
      await file.cancel();
      toasts.show({ text: "mp4: cancelled", key: KEY });
      return;
    }
    await film.draw(row);
    await file.add();
    if (performance.now() - shownAt < SHOW_MS) continue;
    shownAt = performance.now();
    show((row + 1 - rows.start) / (rows.stop - rows.start));
  }
  const bytes = await file.finish();
  offer({ name, mime: "video/mp4", parts: [bytes] }, signal);
  toasts.show({ kind: "done", text: "mp4: saved as", code: name, key: KEY });
}
