/**
 * The timeline: traces of reward and return, episode ends, what is marked and what is
 * here, and the playhead, which is the thumb of a real slider over all of it.
 */

import { CHUNK_ROWS, nameOfEnv, TERMINATED, TRUNCATED } from "../protocol.ts";
import type { Session } from "../session.ts";
import { columnOf, marksOf, type Trace, traceOf } from "../timeline.ts";
import { listen, make, setAttribute, setText } from "./dom.ts";
import { formatCount, formatValue } from "./numbers.ts";

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

export function timelineOf(session: Session, signal: AbortSignal): Timeline {
  const { store, clock, marks } = session;
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
  const reward = make("span", { class: "rv-value" });
  const total = make("span", { class: "rv-value" });
  const hint = make("output", { class: "rv-hint", hidden: true });
  const legend = make(
    "div",
    { class: "rv-legend" },
    who,
    make("span", { class: "rv-key rv-key-reward" }, "reward ", reward),
    make("span", { class: "rv-key rv-key-total" }, "return ", total),
    make("span", { class: "rv-spacer" }),
    make("span", { class: "rv-key rv-key-terminated" }, "terminated"),
    make("span", { class: "rv-key rv-key-truncated" }, "truncated"),
  );
  const probe = make("span", { hidden: true });
  const plot = make("div", { class: "rv-plot" }, canvas, scrub, hint, probe);
  const el = make("div", { class: "rv-timeline" }, legend, plot);

  /** The selected env, or null for the mean over all. */
  const envOf = () => (marks.selection.length === 1 ? marks.selection[0]! : null);

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
    const isThere = clock.row < store.numRows;
    setText(
      reward,
      formatValue(isThere ? store.steps.reward(env)(clock.row) : Number.NaN),
    );
    setText(
      total,
      formatValue(isThere ? store.steps.total(env)(clock.row) : Number.NaN),
    );
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
    const total = traceOf(store.steps.total(env), first, stop, w);
    const reward = traceOf(store.steps.reward(env), first, stop, w);
    fillTrace(context, total, area, colour("--rv-return"));
    strokeTrace(context, reward, area, colour("--rv-reward"), density);
    const bits = marksOf(
      (row) => store.steps.ends(row, env),
      store.steps.endRows,
      first,
      stop,
      w,
    );
    drawEnds(context, bits, laneTop, density, stop - first, {
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
  listen(plot, "pointermove", signal, (event: PointerEvent) => {
    const row = rowAt(event.clientX);
    if (row >= store.numRows) return;
    const env = envOf();
    const value = formatValue(store.steps.total(env)(row));
    const note = store.arrangement ? "" : marks.notes.get(row);
    const noted = note ? ` · ${note}` : "";
    setText(hint, `row ${formatCount(row)} · return ${value}${noted}`);
    const box = plot.getBoundingClientRect();
    hint.hidden = false;
    const x = Math.max(
      0,
      Math.min(box.width - hint.offsetWidth, event.clientX - box.left + 8),
    );
    hint.style.transform = `translateX(${Math.round(x)}px)`;
  });
  listen(plot, "pointerleave", signal, () => {
    hint.hidden = true;
  });
  return { el, redraw, update };
}

interface Area {
  top: number;
  bottom: number;
  w: number;
}

/** Where values go; a flat trace lies in the middle. */
function scaleOf(
  { min, max }: Trace,
  { top, bottom }: Area,
): (value: number) => number {
  const from = Math.min(min, 0) === 0 ? 0 : min;
  if (max > min)
    return (value) => bottom - ((value - from) / (max - from)) * (bottom - top);
  return () => top + (bottom - top) * 0.5;
}

function fillTrace(
  context: CanvasRenderingContext2D,
  trace: Trace,
  area: Area,
  colour: string,
): void {
  if (!Number.isFinite(trace.min)) return;
  // An area stands on zero, or hangs from it.
  const [min, max] = [Math.min(0, trace.min), Math.max(0, trace.max)];
  const y = scaleOf({ ...trace, min, max }, area);
  const zero = min === max ? area.bottom : y(0);
  context.fillStyle = colour;
  const step = nextFilled(trace);
  for (let x = 0; x < area.w; x++) {
    const filled = step(x);
    if (filled < 0) continue;
    const top = Math.min(zero, y(trace.high[filled]!));
    const bottom = Math.max(zero, y(trace.low[filled]!));
    context.fillRect(x, top, 1, bottom - top);
  }
}

function strokeTrace(
  context: CanvasRenderingContext2D,
  trace: Trace,
  area: Area,
  colour: string,
  density: number,
): void {
  if (!Number.isFinite(trace.min)) return;
  const y = scaleOf(trace, area);
  context.strokeStyle = colour;
  context.lineWidth = 1.25 * density;
  context.lineJoin = "round";
  context.beginPath();
  let isDown = false;
  for (let x = 0; x < area.w; x++) {
    const [low, high] = [trace.low[x]!, trace.high[x]!];
    if (Number.isNaN(low)) continue;
    if (isDown) context.lineTo(x + 0.5, y(low));
    else context.moveTo(x + 0.5, y(low));
    if (high !== low) context.lineTo(x + 0.5, y(high));
    isDown = true;
  }
  context.stroke();
}

/** With fewer rows than pixels a value holds until the next row's column. */
function nextFilled(trace: Trace): (x: number) => number {
  let last = -1;
  return (x) => {
    if (!Number.isNaN(trace.high[x]!)) last = x;
    return last;
  };
}

function drawEnds(
  context: CanvasRenderingContext2D,
  bits: Uint8Array,
  top: number,
  density: number,
  numRows: number,
  colours: { terminated: string; truncated: string },
): void {
  const height = LANE_PX * density;
  // Ticks of neighbouring rows stay apart while there is a pixel between them.
  const apart = bits.length / Math.max(1, numRows - 1);
  const width = Math.max(1, Math.min(Math.round(1.5 * density), Math.floor(apart / 2)));
  for (let x = 0; x < bits.length; x++) {
    const mark = bits[x]!;
    if (mark & TERMINATED) {
      context.fillStyle = colours.terminated;
      context.fillRect(x - width / 2, top + height * 0.1, width, height * 0.75);
    }
    if (mark & TRUNCATED) {
      context.fillStyle = colours.truncated;
      const size = 2.5 * density;
      context.fillRect(x - size, top + height * 0.5 - size, 2 * size, 2 * size);
    }
  }
}
