/** Buttons that play, and that step to another row. */

import type { Clock } from "../../playback/clock.ts";
import { make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import { type Action, keysOf } from "../keymap.ts";
import type { ActionButton } from "../parts/inputs.ts";
import type { MenuEntry } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";

export interface PlaybackButtons {
  tools: Tool[];
  update(): void;
}

export function createPlaybackButtons(
  button: ActionButton,
  perform: (action: Action) => void,
  clock: Clock,
): PlaybackButtons {
  const pictures = { play: icon("play"), pause: icon("pause") };
  const play = button("toggle", "Play", pictures.play);
  play.classList.add("rv-primary", "rv-play");
  const jump = (
    action: "first" | "last" | "previousEnd" | "nextEnd",
    text: string,
    away: number,
  ): Tool => {
    const hint = keysOf(action)[0] ?? "";
    const entry: MenuEntry = {
      text,
      icon: action,
      hint,
      choose: () => perform(action),
    };
    return { el: button(action, text, icon(action)), away, entries: () => [entry] };
  };
  const update = () => {
    const wanted = clock.isPlaying ? pictures.pause : pictures.play;
    if (play.firstElementChild !== wanted) play.replaceChildren(wanted);
    setAttribute(play, "aria-label", clock.isPlaying ? "Pause" : "Play");
  };
  return {
    tools: [
      jump("first", "First row", 10),
      { el: button("back", "Previous row", icon("back")) },
      { el: play },
      { el: button("forward", "Next row", icon("forward")) },
      jump("last", "Last row", 9),
      { el: make("span", { class: "rv-gap" }), away: 8 },
      jump("previousEnd", "Previous episode end", 8),
      jump("nextEnd", "Next episode end", 7.5),
    ],
    update,
  };
}
