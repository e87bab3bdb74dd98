/** Draws a track: its lines, and the band around one. */

import { type Scale, scaleFor, traceOf } from "../../recording/downsample.ts";
import type { Series } from "../../recording/series.ts";
import {
  drawZero,
  fillBand,
  fillTrace,
  heightsOf,
  strokeTrace,
} from "./draw-traces.ts";
import type { Colour } from "./palette.ts";
import type { Sheet } from "./sheet.ts";
import type { kindOf, TrackSeries } from "./whom.ts";

type Kind = ReturnType<typeof kindOf>;

const LINES = {
  reward: "--rv-reward",
  total: "--rv-return-line",
  data: "--rv-data",
} as const satisfies Record<Kind, Colour>;
const BANDS = {
  reward: "--rv-reward-band",
  total: "--rv-return",
  data: "--rv-data-band",
} as const satisfies Record<Kind, Colour>;
/** Of compared recordings: they differ without colours too. */
const COMPARED: readonly { colour: Colour; dash: readonly number[] }[] = [
  { colour: "--rv-reward", dash: [] },
  { colour: "--rv-data", dash: [6, 3] },
  { colour: "--rv-series-3", dash: [2, 2] },
  { colour: "--rv-series-4", dash: [8, 3, 2, 3] },
];

/** How the line of a compared recording is drawn. */
export const lookOfLine = (line: number) => COMPARED[line % COMPARED.length]!;

/** Returns the values at the lower and the upper edge; null: there are none. */
export function drawTrack(sheet: Sheet, series: TrackSeries, kind: Kind): Scale | null {
  const { span, width } = sheet;
  const trace = (one: Series) => traceOf(one, span, width);
  const lines = series.lines.map(({ mean }) => trace(mean));
  const band = series.band && [trace(series.band.low), trace(series.band.high)];
  const isArea = kind === "total" && lines.length === 1;
  const scale = scaleFor(extremes([...lines, ...(band ?? [])]), isArea);
  const y = heightsOf(sheet, scale);
  drawZero(sheet, scale, y);
  if (band) fillBand(sheet, band[0]!, band[1]!, y, BANDS[kind]);
  else if (isArea) fillTrace(sheet, lines[0]!, y, "--rv-return");
  for (const [index, line] of lines.entries())
    if (lines.length === 1) strokeTrace(sheet, line, y, LINES[kind]);
    else strokeTrace(sheet, line, y, lookOfLine(index).colour, lookOfLine(index).dash);
  return lines.some(({ length }) => length) ? scale : null;
}

function extremes(scales: readonly Scale[]): Scale {
  return scales.reduce(
    (all, { min, max }) => ({
      min: Math.min(all.min, min),
      max: Math.max(all.max, max),
    }),
    { min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY },
  );
}
