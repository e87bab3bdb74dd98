/** All bookmarks with their notes, one a line; a click on one moves the playhead there. */

import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";

export interface BookmarkList {
  el: HTMLElement;
  /** Show the bookmarks, that of this row as the current one. */
  update(row: number): void;
}

export function createBookmarkList(
  session: Session,
  onPick: (row: number) => void,
  signal: AbortSignal,
): BookmarkList {
  const { marks } = session;
  const list = make("ul", { class: "rv-bookmarks", "aria-label": "Bookmarks" });
  const nothing = make(
    "div",
    { class: "rv-nothing" },
    make("p", {}, "No notes yet: ", make("kbd", {}, "B"), " bookmarks a row."),
  );
  listen(list, "click", signal, (event: MouseEvent) => {
    const { dataset } = (event.target as HTMLElement).closest("button") ?? {};
    if (dataset?.to !== undefined) onPick(Number(dataset.to));
    if (dataset?.delete !== undefined) session.unbookmark(Number(dataset.delete));
  });
  let lines: BookmarkLine[] = [];
  const update = (row: number) => {
    const { bookmarks, notes } = marks;
    if (
      lines.length !== bookmarks.length ||
      lines.some((line, i) => line.row !== bookmarks[i])
    ) {
      lines = bookmarks.map(createLine);
      list.replaceChildren(...lines.map(({ el }) => el));
    }
    nothing.hidden = bookmarks.length > 0;
    list.hidden = !nothing.hidden;
    for (const line of lines)
      line.update(placeText(session, line.row), notes.get(line.row) ?? "", row);
  };
  return { el: make("div", {}, list, nothing), update };
}

interface BookmarkLine {
  el: HTMLElement;
  row: number;
  update(place: string, note: string, rowNow: number): void;
}

function createLine(row: number): BookmarkLine {
  const place = make("span", { class: "rv-bookmark-place" });
  const note = make("span", { class: "rv-bookmark-note" });
  const name = `row ${formatCount(row)}`;
  const go = make(
    "button",
    { type: "button", class: "rv-button rv-bookmark", "data-to": row },
    ...[make("span", { class: "rv-bookmark-row" }, name), place, note],
  );
  const text = `Delete the bookmark of ${name}`;
  const remove = make(
    "button",
    {
      type: "button",
      class: "rv-button rv-bare",
      "data-delete": row,
      "aria-label": text,
      title: text,
    },
    icon("trash"),
  );
  return {
    el: make("li", {}, go, remove),
    row,
    update(placeNow, noteNow, rowNow) {
      setText(place, placeNow);
      setText(note, noteNow);
      setAttribute(go, "aria-current", String(row === rowNow));
    },
  };
}

/** Episode and step of the selected env, or the only one, in a row; "": no such env. */
export function placeText(session: Session, row: number): string {
  const { steps } = session.store.recorded;
  const env = steps.numEnvs === 1 ? 0 : session.selectedEnvs()[0];
  if (env === undefined || row >= steps.numRows) return "";
  const { episode, envStep } = steps.at(row, env);
  return episode < 0
    ? ""
    : `ep ${formatCount(episode)} \u00b7 step ${formatCount(envStep)}`;
}
