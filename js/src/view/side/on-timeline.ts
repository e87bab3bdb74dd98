/** Numbers that a click puts on the timeline. */

import { type Scalar, scalarKey } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import { addTrack, hasTrack, removeTrack } from "../../session/tracks.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "../parts/inputs.ts";

function toggleTrack(session: Session, scalar: Scalar): void {
  if (hasTrack(session, scalar)) removeTrack(session, scalar);
  else addTrack(session, scalar);
}

export interface TrackButton {
  el: HTMLButtonElement;
  /** Show a number, and whether the timeline has it. */
  update(text: string): void;
}

/** A number that a click adds to the timeline, or takes from it. */
export function createTrackButton(
  session: Session,
  scalar: Scalar,
  signal: AbortSignal,
): TrackButton {
  const amount = make("span", { class: "rv-amount" });
  const name = `, ${scalarKey(scalar)} on the timeline`;
  const el = createButton(
    amount,
    { class: "rv-track-button" },
    () => toggleTrack(session, scalar),
    signal,
  );
  const marks = [icon("plus"), icon("check")];
  el.append(make("span", { class: "rv-spoken" }, name), ...marks);
  return {
    el,
    update(text) {
      const isOn = hasTrack(session, scalar);
      setText(amount, text);
      setAttribute(el, "aria-pressed", String(isOn));
      setAttribute(el, "title", isOn ? "On the timeline" : "Add it to the timeline");
    },
  };
}
