/** Zooming the pictures: out, to a size, in; and how exact they are. */

import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import type { Zoom } from "../grid/zoom.ts";
import { icon } from "../icons.ts";
import type { Action } from "../keymap.ts";
import { type ActionButton, named } from "../parts/inputs.ts";
import { createMenuButton, type MenuEntry } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";

export interface ZoomMenuParts {
  session: Session;
  zoom: Zoom;
  button: ActionButton;
  perform: (action: Action) => void;
  signal: AbortSignal;
}

const SIZES: readonly [Action, text: string, hint: string][] = [
  ["zoomReset", "Fit", "Z"],
  ["zoomPixels", "1:1", "whole pixels"],
  ["zoomDouble", "200 %", "of a pixel"],
];

const QUALITIES = [
  ["auto", "Auto", "as the link allows"],
  ["exact", "Exact", "may wait"],
  ["preview", "Preview", "exact at rest"],
] as const;

/** What is shown while the playhead moves; [] without a kernel: all is exact. */
function qualitiesOf({ jobs, viewOptions }: Session): MenuEntry[] {
  const entries = QUALITIES.map(([quality, text, hint]) => ({
    text,
    hint,
    isOn: viewOptions.quality === quality,
    isRadio: true,
    choose: () => viewOptions.setQuality(quality),
  }));
  return jobs ? ["Picture quality", ...entries] : [];
}

export function createZoomMenu(parts: ZoomMenuParts): Tool & { update(): void } {
  const { session, zoom, button, perform, signal } = parts;
  const qualities = () => qualitiesOf(session);
  const sizes = (): MenuEntry[] =>
    SIZES.map(([action, text, hint]) => ({
      text,
      hint,
      choose: () => perform(action),
    }));
  const choices = () => [...sizes(), ...qualities()];
  const menu = createMenuButton(
    { label: "Zoom", className: "rv-zoom-now", isPlain: true, entries: choices },
    signal,
  );
  menu.text.classList.remove("rv-long");
  const el = make(
    "span",
    { class: "rv-group", role: "group", ...named("Zoom") },
    button("zoomOut", "Zoom out", icon("zoomOut")),
    menu.el,
    button("zoomIn", "Zoom in", icon("zoomIn")),
  );
  const steps: MenuEntry[] = [
    { text: "Zoom in", icon: "zoomIn", hint: "=", choose: () => perform("zoomIn") },
    { text: "Zoom out", icon: "zoomOut", hint: "-", choose: () => perform("zoomOut") },
  ];
  return {
    el,
    entries: () => ["Zoom", ...sizes(), ...steps, ...qualities()],
    update: () => menu.show(describe(zoom)),
  };
}

/** "Fit", "1:1", or how many times as large as what fits. */
function describe({ factor, isActual }: Zoom): string {
  if (isActual) return "1:1";
  if (factor === 1) return "Fit";
  return `${factor < 10 ? Math.round(factor * 10) / 10 : Math.round(factor)}\u00d7`;
}
