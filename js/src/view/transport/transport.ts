/** The line below the timeline: buttons and fields that move the playhead. */

import { type Clock, LOOPS } from "../../playback/clock.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import type { Action } from "../keymap.ts";
import { actionButtons } from "../parts/inputs.ts";
import { createGotoField } from "./goto-field.ts";
import { createPaceFields } from "./pace-fields.ts";
import { createPlaybackButtons } from "./playback-buttons.ts";
import { createRangeButtons } from "./range-buttons.ts";

export interface Transport {
  el: HTMLElement;
  update(): void;
}

export function createTransport(
  session: Session,
  act: (action: Action) => void,
  signal: AbortSignal,
): Transport {
  const button = actionButtons(act, signal);
  const playback = createPlaybackButtons(button, session.clock);
  const goto = createGotoField(session, signal);
  const pace = createPaceFields(button, session, signal);
  const range = createRangeButtons(button, session);
  const el = make(
    "div",
    { class: "rv-transport", role: "toolbar", "aria-label": "Playback" },
    playback.el,
    ...goto.els,
    pace.el,
    make("span", { class: "rv-spacer" }),
    range.el,
  );
  const update = () => {
    for (const part of [playback, goto, pace, range]) part.update();
  };
  return { el, update };
}

/** What comes after a loop mode. */
export function nextLoop(clock: Clock): (typeof LOOPS)[number] {
  const modes = LOOPS.filter((mode) => mode !== "range" || clock.range);
  return modes[(modes.indexOf(clock.loop as never) + 1) % modes.length] ?? "off";
}
