/** Buttons that mark: a range of rows, and a bookmark; and that copy the picture. */

import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { type IconName, icon } from "../icons.ts";
import { type Action, keysOf } from "../keymap.ts";
import type { ActionButton } from "../parts/inputs.ts";
import type { Tool } from "../parts/toolbar.ts";

export interface RangeButtons {
  tools: Tool[];
  update(): void;
}

export function createRangeButtons(
  button: ActionButton,
  perform: (action: Action) => void,
  session: Session,
): RangeButtons {
  const { clock, marks } = session;
  const text = make("span", {});
  const unmark = button("unmark", "Remove the range", text);
  unmark.classList.add("rv-edged");
  unmark.append(icon("close"));
  const tool = (
    action: Action & IconName,
    label: string,
    away: number,
    name: IconName = action,
  ): Tool & { el: HTMLButtonElement } => ({
    el: button(action, label, icon(name)),
    away,
    entries: () => [
      {
        text: label,
        icon: name,
        hint: keysOf(action)[0] ?? "",
        choose: () => perform(action),
      },
    ],
  });
  const bookmark = tool("bookmark", "Bookmark this row", 5);
  const copy: Tool = {
    el: button("copyFrame", "Copy the picture", icon("camera")),
    away: 4,
    entries: () => [
      {
        text: "Copy the picture",
        icon: "camera",
        hint: "C",
        choose: () => perform("copyFrame"),
      },
    ],
  };
  const update = () => {
    const { range } = clock;
    unmark.hidden = !range;
    if (range) {
      const rows = `Range ${formatCount(range[0])}\u2013${formatCount(range[1] - 1)}`;
      setText(text, rows);
      setAttribute(unmark, "aria-label", `${rows}, remove the range`);
    }
    const isBookmarked = marks.bookmarks.includes(session.place().row);
    setAttribute(bookmark.el, "aria-pressed", String(isBookmarked));
  };
  const removal = {
    text: "Remove the range",
    icon: "close",
    hint: "X",
    choose: () => perform("unmark"),
  } as const;
  return {
    tools: [
      { el: unmark, away: 6, entries: () => [removal] },
      tool("markIn", "Range begins here", 3.5),
      tool("markOut", "Range ends here", 3),
      bookmark,
      copy,
    ],
    update,
  };
}
