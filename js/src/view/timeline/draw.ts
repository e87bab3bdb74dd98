/** Draws the timeline, layer upon layer: from segments at the back to bookmarks. */

import { marksOf } from "../../recording/downsample.ts";
import type { Scalar } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import {
  drawBookmarks,
  drawBuffered,
  drawEnds,
  drawRange,
  drawSegments,
} from "./draw-marks.ts";
import { type Area, fillBand, fillTrace, strokeTrace } from "./draw-traces.ts";
import type { Sheet } from "./sheet.ts";
import { isSpread, kindOf, tracedEnv, tracedScalars, traceReader } from "./traced.ts";

/** The lane of episode ends, and below it that of the rows that are in the page. */
const LANE_PX = 12;
const BUFFER_PX = 3;
const PAD_PX = 4;

/** Draw all of it; rows that are in the page for all of `slots` are shown as such. */
export function drawTimeline(
  sheet: Sheet,
  session: Session,
  slots: readonly number[],
): void {
  const { store, clock, marks } = session;
  const { width, height, density, first, stop } = sheet;
  const laneTop = height - (LANE_PX + BUFFER_PX) * density;
  const pad = PAD_PX * density;
  const area = { top: pad, bottom: laneTop - pad, width };
  drawSegments(sheet, store.manifest?.segments ?? [], laneTop);
  for (const scalar of tracedScalars(session).reverse())
    drawScalar(sheet, session, scalar, area);
  const env = tracedEnv(session);
  const { steps } = store;
  const ends = marksOf(
    (row) => steps.ends(row, env),
    steps.endRows,
    first,
    stop,
    width,
  );
  drawEnds(sheet, ends, laneTop, LANE_PX * density);
  drawBuffered(sheet, store.buffered(slots), BUFFER_PX * density);
  if (clock.range) drawRange(sheet, clock.range);
  drawBookmarks(sheet, session.shownRows(marks.bookmarks));
}

/** A line; an area behind the others; or a band with the mean in it. */
function drawScalar(sheet: Sheet, session: Session, scalar: Scalar, area: Area): void {
  session.scalars.want(scalar);
  const trace = sheet.trace(traceReader(session, scalar));
  const kind = kindOf(scalar);
  const isTotal = kind === "total";
  const line = isTotal ? "--rv-return-line" : `--rv-${kind}`;
  if (isSpread(session.viewOptions.now)) {
    const band = isTotal ? "--rv-return" : `--rv-${kind}-band`;
    const [low, high] = spreadTraces(sheet, session, scalar);
    const range = fillBand(sheet, low, high, area, sheet.colour(band));
    strokeTrace(sheet, { ...trace, ...range }, area, sheet.colour(line));
  } else if (isTotal && tracedScalars(session).length > 1)
    fillTrace(sheet, trace, area, sheet.colour("--rv-return"));
  else strokeTrace(sheet, trace, area, sheet.colour(line));
}

/** The edges of the band around the mean: extremes, or one deviation away. */
function spreadTraces(sheet: Sheet, { scalars, viewOptions }: Session, scalar: Scalar) {
  const { mean, low, high, deviation } = scalars.spread(scalar);
  const isRange = viewOptions.now.over === "range";
  const lower = (row: number) => (isRange ? low[row]! : mean[row]! - deviation[row]!);
  const upper = (row: number) => (isRange ? high[row]! : mean[row]! + deviation[row]!);
  return [sheet.trace(lower), sheet.trace(upper)] as const;
}
