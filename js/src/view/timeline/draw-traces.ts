/** Drawing a trace of the timeline: as a line, as an area, or as a band. */

import type { Trace } from "../../recording/downsample.ts";
import type { Sheet } from "./sheet.ts";

/** The part of the canvas that traces fill, in its pixels. */
export interface Area {
  top: number;
  bottom: number;
  width: number;
}

/** Pixel row of a value; a flat trace lies in the middle. */
function scaleOf(
  { min, max }: Trace,
  { top, bottom }: Area,
): (value: number) => number {
  const from = Math.min(min, 0) === 0 ? 0 : min;
  if (max > min)
    return (value) => bottom - ((value - from) / (max - from)) * (bottom - top);
  return () => top + (bottom - top) * 0.5;
}

/** Fill between a trace and zero. */
export function fillTrace(
  { context }: Sheet,
  trace: Trace,
  area: Area,
  colour: string,
): void {
  if (!Number.isFinite(trace.min)) return;
  // An area reaches from zero up or down.
  const [min, max] = [Math.min(0, trace.min), Math.max(0, trace.max)];
  const y = scaleOf({ ...trace, min, max }, area);
  const zero = min === max ? area.bottom : y(0);
  context.fillStyle = colour;
  const step = nextFilled(trace);
  for (let x = 0; x < area.width; x++) {
    const filled = step(x);
    if (filled < 0) continue;
    const top = Math.min(zero, y(trace.high[filled]!));
    const bottom = Math.max(zero, y(trace.low[filled]!));
    context.fillRect(x, top, 1, bottom - top);
  }
}

/** Fill between a low and a high trace, and return the range that both need. */
export function fillBand(
  { context }: Sheet,
  low: Trace,
  high: Trace,
  area: Area,
  colour: string,
): { min: number; max: number } {
  const range = { min: low.min, max: high.max };
  if (!Number.isFinite(range.min) || !Number.isFinite(range.max)) return range;
  const y = scaleOf({ ...low, ...range }, area);
  context.fillStyle = colour;
  const [lower, upper] = [nextFilled(low), nextFilled(high)];
  for (let x = 0; x < area.width; x++) {
    const [from, to] = [lower(x), upper(x)];
    if (from < 0 || to < 0) continue;
    const top = y(high.high[to]!);
    context.fillRect(x, top, 1, Math.max(1, y(low.low[from]!) - top));
  }
  return range;
}

/** Draw a line through a trace's values. */
export function strokeTrace(
  { context, density }: Sheet,
  trace: Trace,
  area: Area,
  colour: string,
): void {
  if (!Number.isFinite(trace.min)) return;
  const y = scaleOf(trace, area);
  context.strokeStyle = colour;
  context.lineWidth = 1.25 * density;
  context.lineJoin = "round";
  context.beginPath();
  let isDown = false;
  for (let x = 0; x < area.width; x++) {
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
