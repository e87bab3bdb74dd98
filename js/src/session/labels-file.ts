/**
 * The bookmarks and labels that were changed in this page, as a file: what
 * `rv.import_labels` reads. rollout_viewer/_cache/import_labels.py specifies it.
 */

import type { Session } from "./session.ts";

type Labels = Record<string, unknown>;

export interface LabelsFile {
  format: "rollout_viewer labels";
  version: 1;
  session: string;
  /** Row -> note; null: removed. */
  bookmarks: Record<string, string | null>;
  episodes: { env: number; episode: number; labels: Labels }[];
}

/** Return what differs from the recording. */
export function labelsFileOf({ store, marks }: Session): LabelsFile {
  const { episodes } = store.recorded.steps;
  const changed = [...marks.recordedLabels].map(([key, before]) => {
    const [env, episode] = key.split(" ").map(Number) as [number, number];
    return { env, episode, labels: changes(before, episodes.labels(env, episode)) };
  });
  return {
    format: "rollout_viewer labels",
    version: 1,
    session: store.recorded.manifest?.session ?? "",
    bookmarks: changes(
      Object.fromEntries(marks.recordedNotes),
      Object.fromEntries(
        marks.bookmarks.map((row) => [row, marks.notes.get(row) ?? ""]),
      ),
    ) as Record<string, string | null>,
    episodes: changed.filter(({ labels }) => Object.keys(labels).length),
  };
}

/** How many bookmarks and labels a file changes. */
export function countChanges({ bookmarks, episodes }: LabelsFile): number {
  const ofLabels = episodes.map(({ labels }) => Object.keys(labels).length);
  return ofLabels.reduce((sum, count) => sum + count, Object.keys(bookmarks).length);
}

/** A merge patch (RFC 7396) that makes `now` of `before`. */
function changes(before: Labels, now: Labels): Labels {
  const removed = Object.keys(before).filter((name) => !Object.hasOwn(now, name));
  const set = Object.entries(now).filter(
    ([name, value]) =>
      !Object.hasOwn(before, name) ||
      JSON.stringify(before[name]) !== JSON.stringify(value),
  );
  return Object.fromEntries([...removed.map((name) => [name, null]), ...set]);
}
