/** Buttons that play, and that step to another row. */

import type { Clock } from "../../playback/clock.ts";
import { make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import type { ActionButton } from "../parts/inputs.ts";

export interface PlaybackButtons {
  el: HTMLElement;
  update(): void;
}

export function createPlaybackButtons(
  button: ActionButton,
  clock: Clock,
): PlaybackButtons {
  const pictures = { play: icon("play"), pause: icon("pause") };
  const play = button("toggle", "Play", pictures.play);
  const el = make(
    "div",
    { class: "rv-group", role: "group", "aria-label": "Playback" },
    button("first", "First row", icon("first")),
    button("previousEnd", "Previous end of an episode", icon("previousEnd")),
    button("back", "One row back", icon("back")),
    play,
    button("forward", "One row forward", icon("forward")),
    button("nextEnd", "Next end of an episode", icon("nextEnd")),
    button("last", "Last row", icon("last")),
  );
  const update = () => {
    const wanted = clock.isPlaying ? pictures.pause : pictures.play;
    if (play.firstElementChild !== wanted) play.replaceChildren(wanted);
    const label = clock.isPlaying ? "Pause" : "Play";
    setAttribute(play, "aria-label", label);
    setAttribute(play, "title", label);
  };
  return { el, update };
}
