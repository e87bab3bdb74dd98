/**
 * What the user writes: the note of a bookmark, labels of an episode, and all bookmarks.
 *
 * About the row of the playhead; while something is written, about the row it was then.
 */

import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import { createBookmarkList, placeText } from "./bookmark-list.ts";
import { createEpisodeLabels } from "./episode-labels.ts";

export interface Notes {
  el: HTMLElement;
  /** Be about a row, with the focus in its note. `isNew`: Escape removes its bookmark. */
  writeAt(row: number, isNew: boolean): void;
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
  /** The bookmark was made for this note, which is not written yet. */
  let isNew = false;
  const where = make("h3", {});
  const place = make("span", { class: "rv-inspector-of" });
  const note = createNoteField();
  const noted = () => marks.notes.get(row) ?? "";
  listen(note, "change", signal, () => session.note(row, note.value.trim()));
  listen(note, "keydown", signal, ({ key }: KeyboardEvent) => {
    if (key === "Escape") {
      note.value = noted();
      if (isNew && !noted()) session.unbookmark(row);
    }
    if (key === "Enter" || key === "Escape") leave();
  });
  listen(note, "blur", signal, () => {
    isNew = false;
  });
  const remove = () => {
    session.unbookmark(row);
    leave();
  };
  const text = "Remove bookmark";
  const attributes = { class: "rv-edged", ...named(text) };
  const remover = createButton(icon("trash"), attributes, remove, signal);
  const labels = createEpisodeLabels(session, signal);
  const goTo = (to: number) => {
    clock.pause();
    session.goTo(to, session.selectedEnvs()[0] ?? null);
    openAt(to);
  };
  const list = createBookmarkList(session, goTo, signal);
  const el = make(
    "div",
    { class: "rv-notes", role: "group", "aria-label": "Notes" },
    make(
      "section",
      { class: "rv-section" },
      make("div", { class: "rv-inspector-head" }, where, place),
      make("div", { class: "rv-line" }, note, remover),
    ),
    labels.el,
    list.el,
  );

  const update = () => {
    if (!el.matches(":focus-within")) row = session.place().row;
    setText(where, `Row ${formatCount(row)}`);
    setText(place, placeText(session, row));
    const hasNone = !marks.bookmarks.includes(row);
    if (remover.disabled !== hasNone) remover.disabled = hasNone;
    // Another page may have written it, unless it is being written here.
    if (!note.matches(":focus") && note.value !== noted()) note.value = noted();
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
    writeAt(at, wasMade) {
      openAt(at);
      note.focus();
      isNew = wasMade;
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
    placeholder: "Note of this row",
    "aria-label": "Note of this bookmark",
  });
}
