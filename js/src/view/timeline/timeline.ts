/**
 * The timeline: traces of chosen scalars, episode ends, marks, the rows that are in
 * the page, and the playhead, which is the thumb of a real slider over all of it.
 */

import type { Thumbnails } from "../../decode/thumbnails.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import { drawTimeline } from "./draw.ts";
import { createLegend } from "./legend.ts";
import { createScrub, stepByWheel } from "./scrub.ts";
import { emptySheet } from "./sheet.ts";
import { createTooltip } from "./tooltip.ts";

export interface Timeline {
  el: HTMLElement;
  /** Draw traces and marks anew: rows came, or something was selected or marked. */
  redraw(slots: readonly number[]): void;
  /** Follow the playhead. */
  update(): void;
}

export function createTimeline(
  session: Session,
  thumbnails: Thumbnails,
  signal: AbortSignal,
): Timeline {
  const { clock } = session;
  const canvas = make("canvas", { class: "rv-trace", "aria-hidden": "true" });
  const scrub = createScrub(clock, signal);
  const probe = make("span", { hidden: true });
  const plot = make("div", { class: "rv-plot" }, canvas, scrub.el, probe);
  const legend = createLegend(session, signal);
  const rowAt = (clientX: number) => rowBelow(plot, clientX, clock.bounds);
  stepByWheel(plot, clock, signal);
  createTooltip({ session, thumbnails, plot, rowAt, signal });
  return {
    el: make("div", { class: "rv-timeline" }, legend.el, plot),
    redraw(slots) {
      const sheet = emptySheet({ plot, canvas, probe }, clock.bounds);
      if (sheet) drawTimeline(sheet, session, slots);
    },
    update() {
      scrub.update();
      legend.update();
    },
  };
}

/** The row at a point of the page; outside of the plot the first or the last. */
function rowBelow(
  plot: HTMLElement,
  clientX: number,
  [first, stop]: readonly [number, number],
): number {
  const box = plot.getBoundingClientRect();
  const share = Math.max(0, Math.min(1, (clientX - box.left) / box.width));
  return Math.round(first + share * Math.max(0, stop - 1 - first));
}
