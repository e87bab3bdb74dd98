/** All tracks, from top to bottom; many of them scroll. */

import { scalarKey } from "../../recording/scalars.ts";
import type { Series } from "../../recording/series.ts";
import type { Session } from "../../session/session.ts";
import { make, onAbort } from "../dom.ts";
import type { Paper } from "./sheet.ts";
import { createTrack, type TrackView } from "./track.ts";

export interface TrackList {
  el: HTMLElement;
  /** Make the tracks that are chosen, and look up anew what they are of. */
  refresh(): void;
  update(row: number): void;
  measure(): void;
  draw(paper: Paper): void;
  /** Their values in a row, one line for each track. */
  describe(row: number): string[];
  /** What the first of them draws. */
  readonly main: Series | null;
}

export function createTrackList(session: Session, signal: AbortSignal): TrackList {
  const { viewOptions, scalars } = session;
  const el = make("div", { class: "rv-tracks", role: "list", "aria-label": "Tracks" });
  const views = new Map<string, TrackView>();
  const shown = (): TrackView[] =>
    viewOptions.now.tracks.map(({ scalar }) => viewOf(scalarKey(scalar), scalar));
  const viewOf = (key: string, scalar: Parameters<typeof createTrack>[1]) => {
    const view = views.get(key) ?? createTrack(session, scalar);
    views.set(key, view);
    return view;
  };
  const arrange = () => {
    const wanted = shown().map((view) => view.el);
    for (const [key, view] of views)
      if (!wanted.includes(view.el)) {
        view.remove();
        views.delete(key);
      }
    // Only what moves: a track that has the focus keeps it.
    for (const [index, one] of wanted.entries())
      if (el.children[index] !== one) el.insertBefore(one, el.children[index] ?? null);
  };
  onAbort(signal, () => {
    for (const view of views.values()) view.remove();
  });
  return {
    el,
    refresh() {
      const { tracks } = viewOptions.now;
      scalars.show(tracks.map(({ scalar }) => scalar));
      arrange();
      for (const [index, view] of shown().entries()) view.refresh(tracks[index]!);
    },
    update(row) {
      for (const view of shown()) view.update(row);
    },
    measure() {
      for (const view of shown()) view.measure();
    },
    draw(paper) {
      for (const view of shown()) view.draw(paper);
    },
    describe: (row) => shown().map((view) => `${view.describe(row)} (${view.whom})`),
    get main() {
      return shown()[0]?.main ?? null;
    },
  };
}
