/**
 * What the user marked: selected envs, and annotations (bookmarks, notes, labels).
 *
 * Annotations come with the data, and are written back where there is a kernel: each
 * change alone, never a list, which would undo what another page did meanwhile.
 */

import type { DataMessage, ToKernel } from "../protocol/messages.ts";
import type { Store } from "../recording/store.ts";
import { Emitter } from "../util/emitter.ts";
import { isSame } from "../util/same.ts";
import type { UndoStack } from "./undo.ts";

export class Marks {
  readonly onChange = new Emitter();
  /** Numbers of the selected envs. */
  selection: readonly number[] = [];
  /** Bookmarked rows, ascending. */
  bookmarks: readonly number[] = [];
  /** What is written beside bookmarks, by row. */
  notes: ReadonlyMap<number, string> = new Map();
  /** Bookmarks and their notes, as they came last with the data. */
  recordedNotes: ReadonlyMap<number, string> = new Map();
  /** Labels as they came, of episodes that were labelled here: by "env episode". */
  readonly recordedLabels = new Map<string, Record<string, unknown>>();

  select(envs: readonly number[]): void {
    if (isSame(envs, this.selection)) return;
    this.selection = [...envs];
    this.onChange.emit();
  }

  setBookmarks(rows: readonly number[]): void {
    const sorted = [...new Set(rows)].sort((a, b) => a - b);
    if (isSame(sorted, this.bookmarks)) return;
    this.bookmarks = sorted;
    this.onChange.emit();
  }

  setNotes(notes: ReadonlyMap<number, string>): void {
    this.notes = notes;
    this.onChange.emit();
  }
}

export interface AnnotationParts {
  store: Store;
  marks: Marks;
  /** Null where there is no kernel. */
  send: ((message: ToKernel) => void) | null;
}

/** Take the annotations that came with the data. */
export function takeAnnotations(
  { bookmarks, episodes, infos }: DataMessage,
  { store, marks, send }: AnnotationParts,
): void {
  for (const [env, index, number] of episodes ?? [])
    store.recorded.steps.episodes.describe(env, index, infos?.[number] ?? {});
  if (bookmarks) {
    const notes = Object.entries(bookmarks);
    // Where there is a kernel, the trait has the rows.
    if (!send) marks.setBookmarks(notes.map(([row]) => Number(row)));
    marks.recordedNotes = new Map(notes.map(([row, note]) => [Number(row), note]));
    marks.setNotes(marks.recordedNotes);
  } else if (episodes?.length) marks.onChange.emit();
}

/** Writes what the user annotates: shown at once, and sent to the kernel. */
export interface AnnotationWriter {
  /** Bookmark a row; one that is a bookmark keeps its note. */
  bookmark(row: number): void;
  /** Remove a row's bookmark and note. */
  unbookmark(row: number): void;
  /** Write a note beside a row's bookmark; the row becomes one. */
  note(row: number, note: string): void;
  /** Give an episode a label; a value of null takes it away. */
  label(env: number, episode: number, name: string, value: unknown): void;
}

/** Each change can be undone. */
export function createAnnotationWriter({
  store,
  marks,
  send,
  undo,
}: AnnotationParts & { undo: UndoStack }): AnnotationWriter {
  const writer: AnnotationWriter = {
    bookmark(row) {
      if (marks.bookmarks.includes(row)) return;
      marks.setBookmarks([...marks.bookmarks, row]);
      // The other page of the same notebook may have given it a note just now.
      send?.({ kind: "bookmark", row, note: null });
      undo.push(`Bookmarked row ${row}`, () => writer.unbookmark(row));
    },
    unbookmark(row) {
      if (!marks.bookmarks.includes(row)) return;
      const note = marks.notes.get(row);
      marks.setBookmarks(marks.bookmarks.filter((one) => one !== row));
      marks.setNotes(new Map([...marks.notes].filter(([one]) => one !== row)));
      send?.({ kind: "unbookmark", row });
      undo.push(`Bookmark of row ${row} removed`, () =>
        note ? writer.note(row, note) : writer.bookmark(row),
      );
    },
    note(row, note) {
      const before = marks.bookmarks.includes(row)
        ? (marks.notes.get(row) ?? "")
        : null;
      if (note === before) return;
      marks.setBookmarks([...marks.bookmarks, row]);
      marks.setNotes(new Map([...marks.notes, [row, note]]));
      send?.({ kind: "bookmark", row, note });
      undo.push(`Note of row ${row}`, () =>
        before === null ? writer.unbookmark(row) : writer.note(row, before),
      );
    },
    label(env, episode, name, value) {
      const { episodes } = store.recorded.steps;
      const info = episodes.info(env, episode);
      const { [name]: before = null, ...others } = info.labels ?? {};
      const key = `${env} ${episode}`;
      if (!marks.recordedLabels.has(key))
        marks.recordedLabels.set(key, info.labels ?? {});
      const labels = value === null ? others : { ...others, [name]: value };
      episodes.describe(env, episode, { ...info, labels });
      send?.({ kind: "label", env, episode, labels: { [name]: value } });
      marks.onChange.emit();
      const text = value === null ? `Label "${name}" removed` : `Label "${name}"`;
      undo.push(text, () => writer.label(env, episode, name, before));
    },
  };
  return writer;
}
