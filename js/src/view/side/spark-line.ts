/** The return over an episode as a small line: only of rows that are in sight. */

import { makeSvg, setAttribute } from "../dom.ts";

const WIDTH = 100;
const HEIGHT = 20;
/** Points of a line. */
const MOST_POINTS = 32;

export interface SparkLine {
  el: SVGElement;
  /** Draw rows start..stop of what `read` returns. */
  update(read: (row: number) => number, start: number, stop: number): void;
}

export function createSparkLine(): SparkLine {
  const path = makeSvg("path", {});
  const el = makeSvg(
    "svg",
    {
      class: "rv-spark",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    path,
  );
  return {
    el,
    update: (read, start, stop) =>
      setAttribute(path, "d", linePath(samplesOf(read, start, stop))),
  };
}

/** Numbers of some of the rows start..stop, the first and the last among them. */
export function samplesOf(
  read: (row: number) => number,
  start: number,
  stop: number,
): number[] {
  const count = Math.min(MOST_POINTS, stop - start);
  const step = count > 1 ? (stop - 1 - start) / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => read(Math.round(start + i * step)));
}

/** A line from the left to the right, as high as there is room. */
export function linePath(samples: readonly number[]): string {
  const known = samples.filter(Number.isFinite);
  const [min, max] = [Math.min(...known), Math.max(...known)];
  const scale = max > min ? (HEIGHT - 4) / (max - min) : 0;
  const step = WIDTH / Math.max(1, samples.length - 1);
  let path = "";
  for (const [i, sample] of samples.entries()) {
    if (!Number.isFinite(sample)) continue;
    const y = scale ? HEIGHT - 2 - (sample - min) * scale : HEIGHT / 2;
    path += `${path ? "L" : "M"}${(i * step).toFixed(1)} ${y.toFixed(1)}`;
  }
  return path;
}
