/**
 * The timeline: traces of chosen scalars, episode ends, what is marked and what is
 * here, and the playhead, which is the thumb of a real slider over all of it.
 */

import type { Thumbnails } from "../../decode/thumbnails.ts";
import { CHUNK_ROWS } from "../../protocol/messages.ts";
import { columnOf, marksOf, minMaxPerPixel } from "../../recording/downsample.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Scalar } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatValue } from "../format.ts";
import { drawEnds, drawSegments, fillBand, fillTrace, strokeTrace } from "./draw.ts";
import { createTooltip } from "./tooltip.ts";
import {
  createTracePicker,
  isSpread,
  nameOfScalar,
  scalarsOf,
} from "./trace-picker.ts";

export interface Timeline {
  el: HTMLElement;
  /** Draw traces and marks anew: rows came, or something was selected or marked. */
  redraw(slots: readonly number[]): void;
  /** Follow the playhead. */
  update(): void;
}

const LANE_PX = 12;
const BUFFER_PX = 3;
const PAD_PX = 4;

export function createTimeline(
  session: Session,
  thumbnails: Thumbnails,
  signal: AbortSignal,
): Timeline {
  const { store, clock, marks, viewOptions, scalars } = session;
  const canvas = make("canvas", { class: "rv-trace", "aria-hidden": "true" });
  const scrub = make("input", {
    type: "range",
    class: "rv-scrub",
    step: 1,
    min: 0,
    max: 0,
    value: 0,
    "aria-label": "Row",
    "data-lm-suppress-shortcuts": "true",
  });
  const who = make("span", { class: "rv-who" });
  const keys = make("span", { class: "rv-keys" });
  const choice = createTracePicker(session, signal);
  const legend = make(
    "div",
    { class: "rv-legend" },
    who,
    keys,
    choice.el,
    make("span", { class: "rv-spacer" }),
    make("span", { class: "rv-key rv-key-terminated" }, "terminated"),
    make("span", { class: "rv-key rv-key-truncated" }, "truncated"),
  );
  const probe = make("span", { hidden: true });
  const plot = make("div", { class: "rv-plot" }, canvas, scrub, probe);
  const el = make("div", { class: "rv-timeline" }, legend, plot);

  /** The env whose numbers are drawn, or null for the mean over all. */
  const envOf = () =>
    marks.selection.length === 1 && !isSpread(viewOptions.now)
      ? marks.selection[0]!
      : null;
  const shown = () => scalarsOf(viewOptions.now.trace);
  /** Reads a scalar of that env by row, or the mean. */
  const readerOf = (scalar: Scalar): ((row: number) => number) => {
    const env = envOf();
    if (env !== null) {
      const read = scalars.read(scalar);
      return (row) => read(row, env);
    }
    const { mean, numRows } = scalars.spread(scalar);
    return (row) => (row < numRows ? mean[row]! : Number.NaN);
  };
  const values = new Map<string, HTMLElement>();
  const makeKeys = () => {
    values.clear();
    keys.replaceChildren(
      ...shown().map((scalar, index) => {
        const value = make("span", { class: "rv-value" });
        values.set(String(index), value);
        const kind = kindOf(scalar);
        const name = nameOfScalar(scalar, session);
        return make("span", { class: `rv-key rv-key-${kind}` }, `${name} `, value);
      }),
    );
  };
  makeKeys();
  viewOptions.onChange.on(makeKeys, signal);

  const update = () => {
    const [first, stop] = clock.bounds;
    setAttribute(scrub, "min", String(first));
    setAttribute(scrub, "max", String(Math.max(first, stop - 1)));
    if (scrub.value !== String(clock.row)) scrub.value = String(clock.row);
    setAttribute(
      scrub,
      "aria-valuetext",
      `row ${clock.row} of ${Math.max(0, stop - 1)}`,
    );
    const env = envOf();
    const n = store.steps.numEnvs;
    const name = nameOfEnv(store.manifest, env ?? 0).join(" ");
    setText(who, env === null && n > 1 ? `mean of ${n} envs` : name);
    for (const [index, scalar] of shown().entries()) {
      const value = values.get(String(index));
      if (value) setText(value, formatValue(readerOf(scalar)(clock.row)));
    }
    choice.update();
  };

  const redraw = (slots: readonly number[]) => {
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    const context = canvas.getContext("2d");
    if (!width || !context) return;
    const density = devicePixelRatio || 1;
    const [w, h] = [Math.round(width * density), Math.round(height * density)];
    if (canvas.width !== w || canvas.height !== h)
      [canvas.width, canvas.height] = [w, h];
    const [first, stop] = clock.bounds;
    context.clearRect(0, 0, w, h);
    if (stop <= first) return;
    const colour = (name: string) => {
      // A custom property is text; as a colour, light-dark() in it is resolved.
      probe.style.color = `var(${name})`;
      return getComputedStyle(probe).color;
    };
    const laneTop = h - (LANE_PX + BUFFER_PX) * density;
    const area = { top: PAD_PX * density, bottom: laneTop - PAD_PX * density, w };
    const env = envOf();
    const bounds = [first, stop] as const;
    drawSegments(context, store.manifest?.segments ?? [], bounds, w, laneTop, density, {
      line: colour("--rv-line"),
      text: colour("--rv-muted"),
    });
    const drawn = shown();
    for (const scalar of [...drawn].reverse()) {
      scalars.want(scalar);
      const trace = minMaxPerPixel(readerOf(scalar), first, stop, w);
      const kind = kindOf(scalar);
      const isArea = kind === "total" && drawn.length > 1;
      if (isSpread(viewOptions.now)) {
        const { mean, low, high, deviation } = scalars.spread(scalar);
        const isRange = viewOptions.now.over === "range";
        const lower = (row: number) =>
          isRange ? low[row]! : mean[row]! - deviation[row]!;
        const upper = (row: number) =>
          isRange ? high[row]! : mean[row]! + deviation[row]!;
        const range = fillBand(
          context,
          minMaxPerPixel(lower, first, stop, w),
          minMaxPerPixel(upper, first, stop, w),
          area,
          colour(kind === "total" ? "--rv-return" : `--rv-${kind}-band`),
        );
        const line = kind === "total" ? "--rv-return-line" : `--rv-${kind}`;
        strokeTrace(context, { ...trace, ...range }, area, colour(line), density);
      } else if (isArea) fillTrace(context, trace, area, colour("--rv-return"));
      else {
        const line = kind === "total" ? "--rv-return-line" : `--rv-${kind}`;
        strokeTrace(context, trace, area, colour(line), density);
      }
    }
    const bits = marksOf(
      (row) => store.steps.ends(row, env),
      store.steps.endRows,
      first,
      stop,
      w,
    );
    drawEnds(context, bits, laneTop, LANE_PX * density, density, stop - first, {
      terminated: colour("--rv-terminated"),
      truncated: colour("--rv-truncated"),
    });
    const at = (row: number) => columnOf(row, first, stop, w);
    context.fillStyle = colour("--rv-buffer");
    for (const [from, to] of store.buffered(slots))
      context.fillRect(
        at(from),
        h - BUFFER_PX * density,
        Math.max(1, at(to - 1) - at(from) + 1),
        BUFFER_PX * density,
      );
    const range = clock.range;
    if (range) {
      context.fillStyle = colour("--rv-range");
      const [from, to] = [
        at(Math.max(first, range[0])),
        at(Math.min(stop, range[1]) - 1),
      ];
      context.fillRect(from, 0, Math.max(density, to - from), h);
      context.fillStyle = colour("--rv-accent");
      for (const x of [from, to]) context.fillRect(x - density / 2, 0, density, h);
    }
    context.fillStyle = colour("--rv-accent");
    for (const row of session.shownRows(marks.bookmarks))
      if (row >= first && row < stop) {
        const x = at(row);
        context.beginPath();
        context.moveTo(x - 4 * density, 0);
        context.lineTo(x + 4 * density, 0);
        context.lineTo(x, 6 * density);
        context.fill();
      }
  };

  const rowAt = (clientX: number) => {
    const box = plot.getBoundingClientRect();
    const [first, stop] = clock.bounds;
    const share = Math.max(0, Math.min(1, (clientX - box.left) / box.width));
    return Math.round(first + share * Math.max(0, stop - 1 - first));
  };
  listen(scrub, "input", signal, () => clock.seek(Number(scrub.value)));
  listen(
    plot,
    "wheel",
    signal,
    (event: WheelEvent) => {
      const amount =
        Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY;
      if (!amount || event.ctrlKey) return;
      event.preventDefault();
      clock.step(Math.sign(amount) * (event.shiftKey ? CHUNK_ROWS : 1));
    },
    { passive: false },
  );
  createTooltip({ session, thumbnails, plot, rowAt, scalars: shown, readerOf, signal });
  return { el, redraw, update };
}

/** By which it is coloured, everywhere. */
function kindOf({ name, index }: Scalar): "reward" | "total" | "data" {
  return index >= 0 ? "data" : name === "reward" ? "reward" : "total";
}
