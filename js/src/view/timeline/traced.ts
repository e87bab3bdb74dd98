/** What the timeline draws: the chosen scalars, of one env or of all together. */

import { type Scalar, scalarKey } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import type { OptionValues } from "../../session/view-options.ts";
import { scalarsOf } from "./trace-picker.ts";

/** The scalars that are drawn, the one in front first. */
export function tracedScalars({ viewOptions }: Session): Scalar[] {
  return scalarsOf(viewOptions.now.trace);
}

/** Whether the spread over all envs is drawn, and not one of them. */
export function isSpread({ over }: OptionValues): boolean {
  return over !== "tile";
}

/** The env whose numbers are drawn; null: the mean over all envs. */
export function tracedEnv({ marks, viewOptions }: Session): number | null {
  const isOne = marks.selection.length === 1 && !isSpread(viewOptions.now);
  return isOne ? marks.selection[0]! : null;
}

/** Reads a scalar of that env by row, or the mean. */
export function traceReader(session: Session, scalar: Scalar): (row: number) => number {
  const env = tracedEnv(session);
  if (env !== null) {
    const read = session.scalars.read(scalar);
    return (row) => read(row, env);
  }
  const { mean, numRows } = session.scalars.spread(scalar);
  return (row) => (row < numRows ? mean[row]! : Number.NaN);
}

/** A scalar's name on screen: the only number of an array has the array's name. */
export function nameOfScalar(scalar: Scalar, { store }: Session): string {
  const shape = store.manifest?.data?.find((one) => one.name === scalar.name)?.shape;
  const isAlone = shape?.every((n) => n === 1);
  return isAlone ? scalar.name : scalarKey(scalar);
}

/** What decides a scalar's colour, in the legend and in the plot. */
export function kindOf({ name, index }: Scalar): "reward" | "total" | "data" {
  return index >= 0 ? "data" : name === "reward" ? "reward" : "total";
}
