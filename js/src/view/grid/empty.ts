/** What the stage shows where there are no pictures: why, and what to do. */

import type { Manifest } from "../../protocol/messages.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { type IconName, icon } from "../icons.ts";

type State = "loading" | "silent" | "empty" | "blind" | "rendering" | "forbidden";

const STATES: Record<State, { icon: IconName; title: string; text: string }> = {
  loading: { icon: "cpu", title: "Loading", text: "The recording is on its way." },
  silent: {
    icon: "cpu",
    title: "No answer from the kernel",
    text:
      "It comes when the running cell ends. If not, this notebook brings widgets no " +
      'messages: viewer.to_html("page.html") writes all of it to a file.',
  },
  empty: {
    icon: "play",
    title: "No rows yet",
    text: "Run the cell that records: rows show here as they come.",
  },
  blind: {
    icon: "camera",
    title: "No pictures were recorded",
    text: "The numbers are in the inspector and on the timeline.",
  },
  rendering: {
    icon: "cpu",
    title: "Rendering",
    text: "The first picture is made now.",
  },
  forbidden: {
    icon: "camera",
    title: "Pictures are not rendered yet",
    text: "If you trust the file: rv.open(path, render=True).",
  },
};

export interface Empty {
  el: HTMLElement;
  /** Returns whether there are pictures to show. */
  update(): boolean;
}

export function createEmpty(session: Session): Empty {
  const { store, jobs } = session;
  const mark = make("span", { class: "rv-empty-mark" });
  const title = make("b", {});
  const text = make("span", {});
  const el = make("div", { class: "rv-empty" }, mark, title, text);
  return {
    el,
    update() {
      const { manifest, numRows } = store;
      const hasPictures = (manifest?.slots.length ?? 0) > 0;
      el.hidden = numRows > 0 && hasPictures;
      if (el.hidden) return true;
      const waiting = session.isSilent ? "silent" : "loading";
      const none = store.isAwaited ? waiting : "empty";
      const state = manifest && numRows ? blindnessOf(manifest) : none;
      if (el.dataset.state === state) return false;
      setAttribute(el, "data-state", state);
      const shown = STATES[state];
      mark.replaceChildren(icon(shown.icon));
      setText(title, shown.title);
      const isFile = state === "empty" && !jobs;
      setText(text, isFile ? "This file holds no rows." : shown.text);
      return false;
    },
  };
}

/** Why there are rows and no pictures. */
function blindnessOf({ renders, not_reproducible }: Manifest): State {
  if (renders === undefined || not_reproducible) return "blind";
  return renders ? "rendering" : "forbidden";
}
