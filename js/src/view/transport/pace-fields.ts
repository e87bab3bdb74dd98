/** How rows are played: speed, stride, loop, and whether new ones are followed. */

import { type Clock, SPEEDS, STRIDES } from "../../playback/clock.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatSpeed } from "../format.ts";
import { icon } from "../icons.ts";
import {
  type ActionButton,
  createOption,
  createSelect,
  named,
} from "../parts/inputs.ts";

export interface PaceFields {
  el: HTMLElement;
  update(): void;
}

export function createPaceFields(
  button: ActionButton,
  { clock, store }: Session,
  signal: AbortSignal,
): PaceFields {
  const speed = createSpeedField(clock, signal);
  const every = createStrideField(clock, signal);
  const loop = button("loop", "Loop: off", icon("loop"));
  const loopName = make("span", { class: "rv-loop-name" });
  loop.append(loopName);
  const follow = button("follow", "Follow new rows", "Follow");
  const update = () => {
    speed.update();
    every.update();
    const mode = clock.loop;
    setAttribute(loop, "aria-label", `Loop: ${mode}`);
    setAttribute(loop, "title", `Loop: ${mode}`);
    setAttribute(loop, "aria-pressed", String(mode !== "off"));
    setText(loopName, mode === "off" ? "" : mode);
    follow.hidden = !store.manifest?.is_live;
    setAttribute(follow, "aria-pressed", String(clock.isFollowing));
  };
  const el = make("div", { class: "rv-group" }, speed.el, every.el, loop, follow);
  return { el, update };
}

function createSpeedField(clock: Clock, signal: AbortSignal) {
  const options = SPEEDS.map((speed) => createOption(speed, formatSpeed(speed)));
  const own = make("option", { hidden: true });
  const el = createSelect(
    { class: "rv-input rv-speed", ...named("Speed") },
    [...options, own],
    (value) => clock.setSpeed(Number(value)),
    signal,
  );
  return {
    el,
    update() {
      const value = String(clock.speed);
      if (!SPEEDS.includes(clock.speed as never)) {
        // Python may set any speed.
        own.value = value;
        setText(own, formatSpeed(clock.speed));
      }
      if (el.value !== value) el.value = value;
    },
  };
}

function createStrideField(clock: Clock, signal: AbortSignal) {
  const ordinals: Record<number, string> = { 1: "all", 2: "2nd", 3: "3rd" };
  const el = createSelect(
    {
      class: "rv-input rv-speed",
      "aria-label": "Every n-th row",
      title: "Play every n-th row",
    },
    STRIDES.map((every) => createOption(every, ordinals[every] ?? `${every}th`)),
    (value) => clock.setEvery(Number(value)),
    signal,
  );
  return {
    el,
    update() {
      const value = String(clock.every);
      if (el.value !== value) el.value = value;
    },
  };
}
