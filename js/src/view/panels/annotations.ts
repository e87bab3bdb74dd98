/**
 * What the user writes: the note of a bookmark, labels of an episode, and all bookmarks.
 *
 * Opened at a row; its fields are about that row also while the playhead moves on.
 */

import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";
import { createBookmarkList } from "./bookmark-list.ts";
import { createEpisodeLabels } from "./episode-labels.ts";
import { createButton, named } from "./inputs.ts";

export interface Annotations {
  el: HTMLElement;
  /** Open at a row, with the focus in the note. */
  open(row: number): void;
  close(): void;
  update(): void;
  readonly isOpen: boolean;
}

export function createAnnotations(
  session: Session,
  leave: () => void,
  signal: AbortSignal,
): Annotations {
  const { clock, marks } = session;
  let row = 0;
  const close = () => {
    el.hidden = true;
    leave();
  };
  const where = make("b", {});
  const note = createNoteField();
  const noted = () => marks.notes.get(row) ?? "";
  listen(note, "change", signal, () => session.note(row, note.value.trim()));
  listen(note, "keydown", signal, ({ key }: KeyboardEvent) => {
    if (key === "Escape") note.value = noted();
    if (key === "Enter" || key === "Escape") close();
  });
  const remove = () => {
    session.unbookmark(row);
    close();
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
    { class: "rv-notes", role: "group", "aria-label": "Marks", hidden: true },
    make(
      "div",
      { class: "rv-line" },
      where,
      note,
      remover,
      createButton(icon("close"), named("Close marks"), close, signal),
    ),
    labels.el,
    list.el,
  );

  const update = () => {
    if (el.hidden) return;
    setText(where, `row ${formatCount(row)}`);
    remover.disabled = !marks.bookmarks.includes(row);
    // Another page may have written it, unless it is being written here.
    if (!note.matches(":focus")) note.value = noted();
    labels.update(row);
    list.update(row);
  };
  const openAt = (at: number) => {
    row = at;
    el.hidden = false;
    note.value = noted();
    update();
  };
  return {
    el,
    open(at) {
      openAt(at);
      note.focus();
    },
    close,
    update,
    get isOpen() {
      return !el.hidden;
    },
  };
}

function createNoteField(): HTMLInputElement {
  return make("input", {
    type: "text",
    class: "rv-field rv-note-field",
    autocomplete: "off",
    maxlength: 500,
    placeholder: "note",
    "aria-label": "Note of this bookmark",
  });
}
