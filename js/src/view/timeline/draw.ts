/** Drawing the timeline: lines, areas, bands, ends, segments, marks. By hand. */

import { TERMINATED, TRUNCATED } from "../../protocol/messages.ts";
import { columnOf, type Trace } from "../../recording/downsample.ts";

export interface Area {
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

export function fillTrace(
  context: CanvasRenderingContext2D,
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
  for (let x = 0; x < area.w; x++) {
    const filled = step(x);
    if (filled < 0) continue;
    const top = Math.min(zero, y(trace.high[filled]!));
    const bottom = Math.max(zero, y(trace.low[filled]!));
    context.fillRect(x, top, 1, bottom - top);
  }
}

/** Fill between a low and a high trace, and return the range that both need. */
export function fillBand(
  context: CanvasRenderingContext2D,
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
  for (let x = 0; x < area.w; x++) {
    const [from, to] = [lower(x), upper(x)];
    if (from < 0 || to < 0) continue;
    const top = y(high.high[to]!);
    context.fillRect(x, top, 1, Math.max(1, y(low.low[from]!) - top));
  }
  return range;
}

export function strokeTrace(
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

export function drawEnds(
  context: CanvasRenderingContext2D,
  bits: Uint8Array,
  top: number,
  height: number,
  density: number,
  numRows: number,
  colours: { terminated: string; truncated: string },
): void {
  // Ticks of neighbouring rows stay apart while there is a pixel between them.
  const apart = bits.length / Math.max(1, numRows - 1);
  const width = Math.max(1, Math.min(Math.round(1.5 * density), Math.floor(apart / 2)));
  for (let x = 0; x < bits.length; x++) {
    const mark = bits[x]!;
    if (mark & TERMINATED) {
      context.fillStyle = colours.terminated;
      // Taller than the other mark: both may be in one column.
      context.fillRect(x - width / 2, top, width, height);
    }
    if (mark & TRUNCATED) {
      context.fillStyle = colours.truncated;
      const size = 2.5 * density;
      context.fillRect(x - size, top + height * 0.5 - size, 2 * size, 2 * size);
    }
  }
}

/** A line where each segment begins, and its name where there is room for it. */
export function drawSegments(
  context: CanvasRenderingContext2D,
  segments: readonly (readonly [name: string, start: number, stop: number])[],
  [first, stop]: readonly [number, number],
  width: number,
  height: number,
  density: number,
  colours: { line: string; text: string },
): void {
  const at = (row: number) => columnOf(row, first, stop, width);
  context.font = `${10 * density}px system-ui, sans-serif`;
  context.textBaseline = "top";
  let free = 0;
  for (const [name, from, to] of segments) {
    if (to <= first || from >= stop) continue;
    const x = at(Math.max(first, from));
    context.fillStyle = colours.line;
    context.fillRect(x - density / 2, 0, density, height);
    const end = at(Math.min(stop, to) - 1);
    const wide = context.measureText(name).width + 6 * density;
    if (x < free || end - x < wide) continue;
    context.fillStyle = colours.text;
    context.fillText(name, x + 3 * density, 2 * density);
    free = x + wide;
  }
}
