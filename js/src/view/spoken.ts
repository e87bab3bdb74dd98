/**
 * What screen readers announce, all in one place: what was done, and the row where the
 * playhead came to rest.
 */

import { TERMINATED } from "../protocol/messages.ts";
import { nameOfEnv } from "../recording/env-names.ts";
import type { Session } from "../session/session.ts";
import { make, onAbort, setText } from "./dom.ts";
import { formatValue } from "./format.ts";

export interface Spoken {
  el: HTMLElement;
  /** Announce a text now. */
  say(text: string): void;
}

/** A playhead that rested for so long is announced. */
const REST_MS = 600;

export function createSpoken(session: Session, signal: AbortSignal): Spoken {
  const el = make("div", { class: "rv-spoken", role: "status" });
  let resting: ReturnType<typeof setTimeout> | undefined;
  let where = "";
  const speak = () => {
    clearTimeout(resting);
    resting = setTimeout(() => {
      const now = describeRest(session);
      if (now !== where) setText(el, now);
      where = now;
    }, REST_MS);
  };
  session.marks.onChange.on(speak, signal);
  session.clock.onChange.on(speak, signal);
  onAbort(signal, () => clearTimeout(resting));
  const say = (text: string) => {
    clearTimeout(resting); // it would cut this off
    setText(el, text);
  };
  return { el, say };
}
function describeRest({ clock, store, marks }: Session): string {
  if (clock.isPlaying) return "playing";
  const { row } = clock;
  if (row >= store.numRows) return "";
  const env = marks.selection.length === 1 ? marks.selection[0]! : null;
  const where = `row ${row} of ${store.numRows - 1}`;
  if (env === null) return where;
  const { episode, envStep, total, ends } = store.steps.at(row, env);
  const who = nameOfEnv(store.manifest, env).join(" ");
  if (episode < 0) return `${where}, ${who}`;
  const ended = ends ? (ends & TERMINATED ? ", terminated" : ", truncated") : "";
  return (
    `${where}, ${who} episode ${episode} step ${envStep}, ` +
    `return ${formatValue(total)}${ended}`
  );
}
