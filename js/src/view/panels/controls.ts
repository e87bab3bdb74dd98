/** Buttons and fields below the timeline. */

import { type Clock, LOOPS } from "../../playback/clock.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import type { Action } from "../keymap.ts";
import { createGotoField } from "./goto-field.ts";
import { actionButtons } from "./inputs.ts";
import { createOverlayMenu } from "./overlay-menu.ts";
import { createPaceFields } from "./pace-fields.ts";
import { createPlaybackButtons } from "./playback-buttons.ts";
import { createRangeButtons } from "./range-buttons.ts";

export interface Controls {
  el: HTMLElement;
  /** Opens the episode list. */
  episodes: HTMLElement;
  update(): void;
}

export function createControls(
  session: Session,
  act: (action: Action) => void,
  signal: AbortSignal,
): Controls {
  const button = actionButtons(act, signal);
  const playback = createPlaybackButtons(button, session.clock);
  const goto = createGotoField(session, signal);
  const pace = createPaceFields(button, session, signal);
  const range = createRangeButtons(button, session);
  const menu = createOverlayMenu(session, signal);
  const inspect = button("inspect", "Inspector", icon("inspect"));
  const full = button("full", "Whole screen", icon("full"));
  full.hidden = !document.fullscreenEnabled;
  const el = make(
    "div",
    { class: "rv-controls" },
    playback.el,
    ...goto.els,
    pace.el,
    make("span", { class: "rv-spacer" }),
    range.el,
    menu.el,
    inspect,
    full,
    button("help", "Keys and help", "?"),
  );
  const update = () => {
    for (const part of [playback, goto, pace, range, menu]) part.update();
    const { isInspecting } = session.viewOptions.now;
    setAttribute(inspect, "aria-pressed", String(isInspecting));
  };
  const episodes = button("episodes", "List of all episodes", "Episodes");
  return { el, episodes, update };
}

/** What comes after a loop mode. */
export function nextLoop(clock: Clock): (typeof LOOPS)[number] {
  const modes = LOOPS.filter((mode) => mode !== "range" || clock.range);
  return modes[(modes.indexOf(clock.loop as never) + 1) % modes.length] ?? "off";
}
