/** Numbers as tracks of the timeline: the one place that knows how a track is added. */

import { type Scalar, scalarKey } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "../parts/inputs.ts";

function isOnTimeline({ viewOptions }: Session, scalar: Scalar): boolean {
  return viewOptions.now.trace.split("+").includes(scalarKey(scalar));
}

function toggleOnTimeline(session: Session, scalar: Scalar): void {
  const isOn = isOnTimeline(session, scalar);
  session.viewOptions.set({ trace: isOn ? "reward+return" : scalarKey(scalar) });
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
    () => toggleOnTimeline(session, scalar),
    signal,
  );
  const marks = [icon("plus"), icon("check")];
  el.append(make("span", { class: "rv-spoken" }, name), ...marks);
  return {
    el,
    update(text) {
      const isOn = isOnTimeline(session, scalar);
      setText(amount, text);
      setAttribute(el, "aria-pressed", String(isOn));
      setAttribute(el, "title", isOn ? "On the timeline" : "Add it to the timeline");
    },
  };
}
