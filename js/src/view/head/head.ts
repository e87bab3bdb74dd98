/** The line on top: title, "live", what is shown, and how much there is of it. */

import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { createCameraPicker } from "../grid/camera-picker.ts";
import type { Grid } from "../grid/grid.ts";
import { showFactor } from "../grid/zoom.ts";
import { icon } from "../icons.ts";
import type { Action } from "../keymap.ts";
import { actionButtons } from "../parts/inputs.ts";
import type { Side } from "../side/side.ts";
import { createFacts } from "./facts.ts";
import { createOverlayMenu } from "./overlay-menu.ts";

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
  /** What other parts have here: the field of arrangements, the dump buttons. */
  fields: HTMLElement[];
  perform: (action: Action) => void;
  signal: AbortSignal;
}

/** Rows that came within this time make a recording "live". */
const LIVE_MS = 5000;

export function createHead(parts: HeadParts): Head {
  const { session, grid, side, fields, perform, signal } = parts;
  const { store, feed } = session;
  const title = make("span", { class: "rv-title" });
  const live = make("span", { class: "rv-live", hidden: true }, "live");
  const back = make(
    "button",
    { type: "button", class: "rv-button rv-back-to-grid", hidden: true },
    icon("grid"),
    "All tiles",
  );
  listen(back, "click", signal, () => perform("leave"));
  const cameras = createCameraPicker(session, signal);
  const factor = make("span", {});
  const zoom = createZoomButtons(factor, perform, signal);
  const facts = createFacts(store);
  const spacer = make("span", { class: "rv-spacer" });
  const overlays = createOverlayMenu(session, signal);
  const button = actionButtons(perform, signal);
  const inspect = button("inspect", "Panel", icon("inspect"));
  const full = button("full", "Full screen", icon("full"));
  full.hidden = !document.fullscreenEnabled;
  const help = button("help", "Keys and help", icon("help"));
  const tools = [back, cameras.el, ...fields, overlays, zoom, inspect, full, help];
  return {
    el: make(
      "div",
      { class: "rv-head", role: "toolbar", "aria-label": "View" },
      ...[title, live, ...facts.els, spacer, ...tools],
    ),
    get isLive() {
      return !live.hidden;
    },
    update() {
      const { manifest } = store;
      cameras.update();
      showFactor(factor, grid.zoom.factor, grid.zoom.isActual);
      setText(title, manifest?.title ?? "");
      live.hidden =
        !manifest?.is_live || performance.now() - feed.lastRowsAt >= LIVE_MS;
      back.hidden = grid.opened === null;
      facts.update();
      setAttribute(inspect, "aria-pressed", String(side.isOpen));
    },
  };
}

function createZoomButtons(
  factor: HTMLElement,
  perform: (action: Action) => void,
  signal: AbortSignal,
): HTMLElement {
  const button = (action: Action, label: string, content: Node) => {
    const made = make(
      "button",
      { type: "button", class: "rv-button rv-bare", "aria-label": label, title: label },
      content,
    );
    listen(made, "click", signal, () => perform(action));
    return made;
  };
  return make(
    "span",
    { class: "rv-group", role: "group", "aria-label": "Zoom" },
    button("zoomOut", "Zoom out", icon("zoomOut")),
    button("zoomReset", "No zoom", factor),
    button("zoomIn", "Zoom in", icon("zoomIn")),
  );
}
