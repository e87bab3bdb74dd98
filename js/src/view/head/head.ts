/** The line on top: title, "live", how much there is, and what is shown of it. */

import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import type { Grid } from "../grid/grid.ts";
import { icon } from "../icons.ts";
import { type Action, keysOf } from "../keymap.ts";
import { actionButtons } from "../parts/inputs.ts";
import type { MenuEntry } from "../parts/menu.ts";
import { createToolbar, type Tool } from "../parts/toolbar.ts";
import type { Side } from "../side/side.ts";
import { createCameraMenu } from "./camera-menu.ts";
import { createFacts } from "./facts.ts";
import { createLive } from "./live.ts";
import { createOverlayMenu } from "./overlay-menu.ts";
import { createZoomMenu } from "./zoom-menu.ts";

export interface Head {
  el: HTMLElement;
  /** Whether it says "live", as of the last update. */
  readonly isLive: boolean;
  update(): void;
}

export interface HeadParts {
  session: Session;
  grid: Grid;
  side: Side;
  /** What other parts have here: the menu of arrangements, and how to dump. */
  arrangement: Tool;
  dump: readonly Tool[];
  perform: (action: Action) => void;
  signal: AbortSignal;
}

export function createHead(parts: HeadParts): Head {
  const { session, grid, side, perform, signal } = parts;
  const { store } = session;
  const title = make("span", { class: "rv-title" });
  const live = createLive(session);
  const facts = createFacts(store, signal);
  const back = createBack(perform, signal);
  const cameras = createCameraMenu(session, signal);
  const button = actionButtons(perform, signal);
  const zoom = createZoomMenu({ session, zoom: grid.zoom, button, perform, signal });
  const inspect = button("inspect", "Panel", icon("inspect"));
  const full = button("full", "Full screen", icon("full"));
  full.hidden = !document.fullscreenEnabled;
  const help = button("help", "Keys and help", icon("help"));
  const entry = (action: Action, text: string, name: "full" | "help"): Tool => ({
    el: name === "full" ? full : help,
    entries: () => [
      {
        text,
        icon: name,
        hint: keysOf(action)[0] ?? "",
        choose: () => perform(action),
      },
    ],
  });
  const { el, update } = createToolbar({
    className: "rv-head",
    label: "View",
    tools: [
      { el: title },
      { el: live.el },
      { el: facts.size, away: 1 },
      { el: facts.lost },
      { el: make("span", { class: "rv-spacer" }) },
      { el: back, short: 4 },
      { ...cameras, short: 5, away: 13 },
      { ...parts.arrangement, short: 9, away: 15 },
      { ...createOverlayMenu(session, signal), short: 2, away: 12 },
      { ...zoom, away: 11 },
      { el: inspect },
      ...parts.dump,
      { ...entry("full", "Full screen", "full"), away: 10 },
      { ...facts.info, away: 6 },
      { ...entry("help", "Keys and help", "help"), away: 7 },
    ],
    extra: () => [createLinkEntry(perform)],
    signal,
  });
  return {
    el,
    get isLive() {
      return live.isLive;
    },
    update() {
      cameras.update();
      zoom.update();
      setText(title, store.manifest?.title ?? "");
      live.update();
      back.hidden = grid.opened === null;
      facts.update();
      setAttribute(inspect, "aria-pressed", String(side.isOpen));
      update();
    },
  };
}

function createBack(perform: (action: Action) => void, signal: AbortSignal) {
  const back = make(
    "button",
    {
      type: "button",
      class: "rv-button rv-edged rv-back-to-grid",
      hidden: true,
      "aria-label": "All tiles",
      "aria-keyshortcuts": "Escape",
    },
    icon("grid"),
    make("span", { class: "rv-long" }, "All tiles"),
  );
  listen(back, "click", signal, () => perform("leave"));
  return back;
}

function createLinkEntry(perform: (action: Action) => void): MenuEntry {
  return { text: "Copy link", icon: "link", choose: () => perform("copyLink") };
}
