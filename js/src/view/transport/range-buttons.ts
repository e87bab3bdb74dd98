/** Buttons that mark: a range of rows, and a bookmark. */

import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";
import type { ActionButton } from "../parts/inputs.ts";

export interface RangeButtons {
  el: HTMLElement;
  update(): void;
}

export function createRangeButtons(
  button: ActionButton,
  session: Session,
): RangeButtons {
  const { clock, marks } = session;
  const unmark = button("unmark", "Remove the range", "");
  const bookmark = button(
    "bookmark",
    "Bookmark this row, label its episode",
    icon("bookmark"),
  );
  const el = make(
    "div",
    { class: "rv-group", role: "group", "aria-label": "Range" },
    unmark,
    button("markIn", "Range begins here", icon("markIn")),
    button("markOut", "Range ends here", icon("markOut")),
    bookmark,
  );
  const update = () => {
    const { range } = clock;
    unmark.hidden = !range;
    if (range)
      setText(
        unmark,
        `${formatCount(range[0])}\u2013${formatCount(range[1] - 1)} \u00d7`,
      );
    const isBookmarked = marks.bookmarks.includes(session.place().row);
    setAttribute(bookmark, "aria-pressed", String(isBookmarked));
  };
  return { el, update };
}
