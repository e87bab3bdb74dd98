/** How rows are played: speed, stride, loop, and whether new ones are followed. */

import { type Clock, LOOPS, SPEEDS, STRIDES } from "../../playback/clock.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatSpeed } from "../format.ts";
import { icon } from "../icons.ts";
import type { ActionButton } from "../parts/inputs.ts";
import { createMenuButton, type MenuEntry } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";

export interface PaceMenus {
  speed: Tool;
  loop: Tool;
  follow: Tool;
  update(): void;
}

export function createPaceMenus(
  button: ActionButton,
  { clock, store }: Session,
  signal: AbortSignal,
): PaceMenus {
  const speeds = () => speedEntries(clock);
  const speed = createMenuButton(
    { label: "Speed", className: "rv-edged rv-speed", entries: speeds },
    signal,
  );
  speed.text.classList.remove("rv-long");
  const loops = () => loopEntries(clock);
  const loop = createMenuButton(
    {
      label: "Loop",
      iconName: "loop",
      className: "rv-loop",
      isPlain: true,
      entries: loops,
    },
    signal,
  );
  const follow = button(
    "follow",
    "Follow new rows",
    make("span", { class: "rv-long" }, "Follow"),
  );
  follow.prepend(icon("last"));
  return {
    speed: { el: speed.el, entries: speeds },
    loop: { el: loop.el, entries: () => ["Loop", ...loops()] },
    follow: {
      el: follow,
      entries: () => [
        {
          text: "Follow new rows",
          isOn: clock.isFollowing,
          choose: () => clock.follow(!clock.isFollowing),
        },
      ],
    },
    update() {
      const { every } = clock;
      const stride = every > 1 ? `, every ${ordinal(every)} row` : "";
      speed.show(`${formatSpeed(clock.speed)}${stride}`);
      loop.show(clock.loop);
      if (clock.loop === "off") setText(loop.text, "Loop");
      loop.button.dataset.on = String(clock.loop !== "off");
      follow.hidden = !store.manifest?.is_live;
      setAttribute(follow, "aria-pressed", String(clock.isFollowing));
    },
  };
}

function speedEntries(clock: Clock): MenuEntry[] {
  // Python may set any speed.
  const speeds = [...new Set([...SPEEDS, clock.speed])].sort((a, b) => a - b);
  return [
    "Speed",
    ...speeds.map((speed) => ({
      text: formatSpeed(speed),
      isOn: speed === clock.speed,
      isRadio: true,
      choose: () => clock.setSpeed(speed),
    })),
    "Play",
    ...STRIDES.map((every) => ({
      text: every === 1 ? "All rows" : `Every ${ordinal(every)} row`,
      isOn: every === clock.every,
      isRadio: true,
      choose: () => clock.setEvery(every),
    })),
  ];
}

function loopEntries(clock: Clock): MenuEntry[] {
  return LOOPS.map((mode) => ({
    text: mode[0]!.toUpperCase() + mode.slice(1),
    isOn: mode === clock.loop,
    isRadio: true,
    isDisabled: mode === "range" && !clock.range,
    choose: () => clock.setLoop(mode),
  }));
}

function ordinal(every: number): string {
  return { 2: "2nd", 3: "3rd" }[every] ?? `${every}th`;
}
