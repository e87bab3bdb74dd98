/** All bookmarks with their notes; a click on one moves the playhead there. */

import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute } from "../dom.ts";
import { formatCount } from "../format.ts";

export interface BookmarkList {
  el: HTMLElement;
  /** Show the bookmarks, that of this row as the current one. */
  update(row: number): void;
}

export function createBookmarkList(
  { marks }: Session,
  onPick: (row: number) => void,
  signal: AbortSignal,
): BookmarkList {
  const el = make("ul", { class: "rv-bookmarks", "aria-label": "Bookmarks" });
  listen(el, "click", signal, (event: MouseEvent) => {
    const to = (event.target as HTMLElement).closest("button")?.dataset.to;
    if (to !== undefined) onPick(Number(to));
  });
  const update = (row: number) => {
    const lines = marks.bookmarks.map((to) => {
      const note = marks.notes.get(to);
      const text = `row ${formatCount(to)}${note ? ` \u00b7 ${note}` : ""}`;
      return [to, text] as const;
    });
    const key = JSON.stringify(lines);
    if (el.dataset.key !== key) {
      el.dataset.key = key;
      el.replaceChildren(...lines.map(([to, text]) => createLine(to, text)));
    }
    for (const button of el.querySelectorAll("button"))
      setAttribute(button, "aria-current", String(Number(button.dataset.to) === row));
  };
  return { el, update };
}

function createLine(row: number, text: string): HTMLElement {
  return make(
    "li",
    {},
    make("button", { type: "button", class: "rv-button", "data-to": row }, text),
  );
}
