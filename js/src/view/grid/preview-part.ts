/** Previews for a thin link (src/preview.ts): a part that the kernel sends by itself. */

import type { Player } from "../../playback/player.ts";
import type { PreviewSource } from "../../playback/previews.ts";
import type { Session } from "../../session/session.ts";
import { importPart } from "../load-part.ts";

export interface PreviewPart {
  createPreviews(session: Session): PreviewSource;
}

/** Where the page's policy refuses the part, pictures stay exact. */
export function followPreviews(
  session: Session,
  player: Player,
  signal: AbortSignal,
): void {
  const { answers } = session;
  let isLoading = false;
  const load = async () => {
    const packed = answers.partOf("preview");
    if (!packed || isLoading) return;
    isLoading = true;
    const { createPreviews } = await importPart<PreviewPart>(packed as BlobPart);
    session.previews ??= createPreviews(session);
    player.previews = session.previews;
  };
  const tryToLoad = () => void load().catch(() => {});
  answers.onChange.on(tryToLoad, signal);
  tryToLoad();
}
