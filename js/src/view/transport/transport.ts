/** The line below the timeline: buttons and fields that move the playhead. */

import { type Clock, LOOPS } from "../../playback/clock.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import type { Action } from "../keymap.ts";
import { actionButtons } from "../parts/inputs.ts";
import { createToolbar } from "../parts/toolbar.ts";
import { createGotoField } from "./goto-field.ts";
import { createPaceMenus } from "./pace-menus.ts";
import { createPlaybackButtons } from "./playback-buttons.ts";
import { createRangeButtons } from "./range-buttons.ts";

export interface Transport {
  el: HTMLElement;
  update(): void;
}

export function createTransport(
  session: Session,
  perform: (action: Action) => void,
  signal: AbortSignal,
): Transport {
  const button = actionButtons(perform, signal);
  const playback = createPlaybackButtons(button, perform, session.clock);
  const goto = createGotoField(session, signal);
  const pace = createPaceMenus(button, session, signal);
  const range = createRangeButtons(button, perform, session);
  const toolbar = createToolbar({
    className: "rv-transport",
    label: "Playback",
    tools: [
      ...playback.tools,
      { el: goto.field, short: 20 },
      { el: goto.count, away: 2 },
      { el: goto.wrong },
      { el: make("span", { class: "rv-spacer" }) },
      { ...pace.speed, away: 7 },
      { ...pace.loop, short: 1, away: 5.5 },
      { ...pace.follow, short: 1, away: 5.6 },
      ...range.tools,
    ],
    signal,
  });
  const setReason = createDisabling(toolbar.el);
  return {
    el: toolbar.el,
    update() {
      setReason(whyDisabled(session));
      for (const part of [playback, goto, pace, range, toolbar]) part.update();
    },
  };
}

/** Why no control can be used; "": they can. */
function whyDisabled({ store }: Session): string {
  if (store.numRows) return "";
  return store.manifest?.num_rows === 0 ? "Nothing is recorded yet" : "Loading";
}

/** Return what disables all controls of a line, with the reason as their tooltip. */
function createDisabling(el: HTMLElement): (reason: string) => void {
  const all = [...el.querySelectorAll<HTMLButtonElement>("button, input")];
  const tips = new Map(all.map((one) => [one, one.dataset.tip ?? null]));
  let shown = "";
  return (reason) => {
    if (reason === shown) return;
    shown = reason;
    for (const [one, tip] of tips) {
      one.disabled = reason !== "";
      if (reason || tip) one.dataset.tip = reason || (tip as string);
      else delete one.dataset.tip;
    }
  };
}

/** What comes after a loop mode. */
export function nextLoop(clock: Clock): (typeof LOOPS)[number] {
  const modes = LOOPS.filter((mode) => mode !== "range" || clock.range);
  return modes[(modes.indexOf(clock.loop as never) + 1) % modes.length] ?? "off";
}
