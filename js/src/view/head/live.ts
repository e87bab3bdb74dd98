/** Whether rows are coming, and whether the kernel answers. */

import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";

export interface Live {
  el: HTMLElement;
  /** Whether it says "live", as of the last update. */
  readonly isLive: boolean;
  update(): void;
}

type State = "live" | "busy" | "gone" | "";

/** Rows that came within this time make a recording "live". */
const LIVE_MS = 5000;

const TEXTS: Record<State, [text: string, means: string]> = {
  live: ["live", "Rows are being recorded"],
  busy: ["kernel busy", "A cell is running: what the page asks for may wait for it"],
  gone: ["kernel gone", "The kernel has ended: what is in the page still plays"],
  "": ["", ""],
};

export function createLive(session: Session): Live {
  const { store, feed } = session;
  const el = make("span", { class: "rv-live", hidden: true });
  let state: State = "";
  const stateNow = (): State => {
    if (session.isCut) return "gone";
    const isNew = performance.now() - feed.lastRowsAt < LIVE_MS;
    if (store.manifest?.is_live && isNew) return "live";
    return session.isBusy ? "busy" : "";
  };
  return {
    el,
    get isLive() {
      return state === "live";
    },
    update() {
      state = stateNow();
      const [text, means] = TEXTS[state];
      el.hidden = state === "";
      setAttribute(el, "data-live", state);
      setAttribute(el, "data-tip", means);
      setText(el, text);
    },
  };
}
