/**
 * What the user writes: the note of a bookmark, labels of an episode, and all bookmarks.
 *
 * Opened at a row; its fields are about that row also while the playhead moves on.
 */

import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { createButton, named } from "../parts/inputs.ts";
import { createBookmarkList } from "./bookmark-list.ts";
import { createEpisodeLabels } from "./episode-labels.ts";

export interface Notes {
  el: HTMLElement;
  /** Be about a row, with the focus in its note. */
  writeAt(row: number): void;
  /** It became visible: about the row of now. */
  onOpen(): void;
  update(): void;
}

export function createNotes(
  session: Session,
  leave: () => void,
  signal: AbortSignal,
): Notes {
  const { clock, marks } = session;
  let row = 0;
  const where = make("b", {});
  const note = createNoteField();
  const noted = () => marks.notes.get(row) ?? "";
  listen(note, "change", signal, () => session.note(row, note.value.trim()));
  listen(note, "keydown", signal, ({ key }: KeyboardEvent) => {
    if (key === "Escape") note.value = noted();
    if (key === "Enter" || key === "Escape") leave();
  });
  const remove = () => {
    session.unbookmark(row);
    leave();
  };
  const text = "Remove bookmark";
  const remover = createButton(text, named(text), remove, signal);
  const labels = createEpisodeLabels(session, signal);
  const goTo = (to: number) => {
    openAt(to);
    clock.pause();
    session.goTo(row, session.selectedEnvs()[0] ?? null);
  };
  const list = createBookmarkList(session, goTo, signal);
  const el = make(
    "div",
    { class: "rv-notes", role: "group", "aria-label": "Notes" },
    make("div", { class: "rv-line" }, where, note, remover),
    labels.el,
    list.el,
  );

  const update = () => {
    setText(where, `row ${formatCount(row)}`);
    remover.disabled = !marks.bookmarks.includes(row);
    // Another page may have written it, unless it is being written here.
    if (!note.matches(":focus")) note.value = noted();
    labels.update(row);
    list.update(row);
  };
  const openAt = (at: number) => {
    row = at;
    note.value = noted();
    update();
  };
  return {
    el,
    writeAt(at) {
      openAt(at);
      note.focus();
    },
    onOpen: () => openAt(session.place().row),
    update,
  };
}

function createNoteField(): HTMLInputElement {
  return make("input", {
    type: "text",
    class: "rv-input rv-note-field",
    autocomplete: "off",
    maxlength: 500,
    placeholder: "note",
    "aria-label": "Note of this bookmark",
  });
}
