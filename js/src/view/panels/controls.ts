/** Buttons and fields below the timeline. */

import { type Clock, LOOPS, SPEEDS, STRIDES } from "../../playback/clock.ts";
import { parseAddress } from "../../recording/address.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount, formatSpeed } from "../format.ts";
import { type IconName, icon } from "../icons.ts";
import type { Action } from "../keymap.ts";
import { createOverlayMenu } from "./overlay-menu.ts";

const GOTO_HINT = "Row number, or a step of an episode: e3 ep12 s733";

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
  const { clock, store, marks, viewOptions } = session;
  const menu = createOverlayMenu(session, signal);
  const button = (action: Action, label: string, content: Node | string) => {
    const made = make(
      "button",
      {
        type: "button",
        class: "rv-button",
        "data-action": action,
        "aria-label": label,
        title: label,
      },
      content,
    );
    listen(made, "click", signal, () => act(action));
    return made;
  };
  const withIcon = (action: Action, label: string, name: IconName) =>
    button(action, label, icon(name));
  const play = withIcon("toggle", "Play", "play");
  const pictures = { play: play.firstElementChild!, pause: icon("pause") };
  const follow = button("follow", "Follow new rows", "Follow");
  const loop = withIcon("loop", "Loop: off", "loop");
  const loopName = make("span", { class: "rv-loop-name" });
  loop.append(loopName);
  const bookmark = withIcon(
    "bookmark",
    "Bookmark this row, label its episode",
    "bookmark",
  );
  const markIn = withIcon("markIn", "Range begins here", "markIn");
  const markOut = withIcon("markOut", "Range ends here", "markOut");
  const unmark = button("unmark", "Remove the range", "");
  const episodes = button("episodes", "List of all episodes", "Episodes");
  const row = make("input", {
    type: "text",
    class: "rv-row",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "go",
    "aria-label": "Row number",
    title: GOTO_HINT,
  });
  const wrong = make("span", { class: "rv-wrong", role: "alert" });
  const count = make("span", { class: "rv-count" });
  const speed = createSpeedField(clock, signal);
  const every = createStrideField(clock, signal);
  /** Go where the field says; returns whether there is such a row. */
  const go = (): boolean => {
    const env = marks.selection.length === 1 ? marks.selection[0]! : null;
    const here = { row: clock.row, env, bounds: clock.bounds };
    try {
      const address = row.value ? parseAddress(row.value, store.steps, here) : here;
      setText(wrong, "");
      row.value = String(address.row);
      if (address !== here && address.env !== null) marks.select([address.env]);
      if (address !== here) clock.step(address.row - clock.row);
      return true;
    } catch (error) {
      setText(wrong, (error as Error).message);
      return false;
    }
  };
  listen(row, "change", signal, go);
  listen(row, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.stopPropagation(); // where it is wrong, the field keeps the focus
    if (go()) row.closest<HTMLElement>(".rollout-viewer")?.focus();
  });
  listen(row, "focus", signal, () => row.select());
  listen(row, "blur", signal, () => {
    setText(wrong, "");
    update();
  });
  const inspect = withIcon("inspect", "Inspector", "inspect");
  const full = withIcon("full", "Whole screen", "full");
  full.hidden = !document.fullscreenEnabled;
  const el = make(
    "div",
    { class: "rv-controls" },
    make(
      "div",
      { class: "rv-group", role: "group", "aria-label": "Playback" },
      withIcon("first", "First row", "first"),
      withIcon("previousEnd", "Previous end of an episode", "previousEnd"),
      withIcon("back", "One row back", "back"),
      play,
      withIcon("forward", "One row forward", "forward"),
      withIcon("nextEnd", "Next end of an episode", "nextEnd"),
      withIcon("last", "Last row", "last"),
    ),
    make("label", { class: "rv-where" }, make("span", {}, "row "), row, count),
    wrong,
    make("div", { class: "rv-group" }, speed.el, every.el, loop, follow),
    make("span", { class: "rv-spacer" }),
    make(
      "div",
      { class: "rv-group", role: "group", "aria-label": "Range" },
      unmark,
      markIn,
      markOut,
      bookmark,
    ),
    menu.el,
    inspect,
    full,
    button("help", "Keys and help", "?"),
  );

  const update = () => {
    const [, stop] = clock.bounds;
    const { isPlaying, loop: mode } = clock;
    const wanted = isPlaying ? pictures.pause : pictures.play;
    if (play.firstElementChild !== wanted) play.replaceChildren(wanted);
    const label = isPlaying ? "Pause" : "Play";
    setAttribute(play, "aria-label", label);
    setAttribute(play, "title", label);
    if (document.activeElement !== row && row.value !== String(clock.row))
      row.value = String(clock.row);
    setText(count, ` of ${formatCount(Math.max(0, stop - 1))}`);
    // As wide as its largest number, so that nothing moves while it counts.
    row.style.width = `${String(Math.max(0, stop - 1)).length + 3.5}ch`;
    speed.update();
    every.update();
    menu.update();
    setAttribute(loop, "aria-label", `Loop: ${mode}`);
    setAttribute(loop, "title", `Loop: ${mode}`);
    setAttribute(loop, "aria-pressed", String(mode !== "off"));
    setText(loopName, mode === "off" ? "" : mode);
    follow.hidden = !store.manifest?.is_live;
    setAttribute(follow, "aria-pressed", String(clock.isFollowing));
    const range = clock.range;
    unmark.hidden = !range;
    if (range)
      setText(
        unmark,
        `${formatCount(range[0])}\u2013${formatCount(range[1] - 1)} \u00d7`,
      );
    setAttribute(inspect, "aria-pressed", String(viewOptions.now.isInspecting));
    setAttribute(
      bookmark,
      "aria-pressed",
      String(marks.bookmarks.includes(session.place().row)),
    );
  };
  return { el, episodes, update };
}

/** What comes after a loop mode. */
export function nextLoop(clock: Clock): (typeof LOOPS)[number] {
  const modes = LOOPS.filter((mode) => mode !== "range" || clock.range);
  return modes[(modes.indexOf(clock.loop as never) + 1) % modes.length] ?? "off";
}

function createSpeedField(clock: Clock, signal: AbortSignal) {
  const options = SPEEDS.map((speed) =>
    make("option", { value: speed }, formatSpeed(speed)),
  );
  const own = make("option", { hidden: true });
  const el = make(
    "select",
    { class: "rv-speed", "aria-label": "Speed", title: "Speed" },
    ...options,
    own,
  );
  listen(el, "change", signal, () => clock.setSpeed(Number(el.value)));
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
  const options = STRIDES.map((every) =>
    make("option", { value: every }, ordinals[every] ?? `${every}th`),
  );
  const el = make(
    "select",
    { class: "rv-speed", "aria-label": "Every n-th row", title: "Play every n-th row" },
    ...options,
  );
  listen(el, "change", signal, () => clock.setEvery(Number(el.value)));
  return {
    el,
    update() {
      const value = String(clock.every);
      if (el.value !== value) el.value = value;
    },
  };
}
