/** Of whom a track is: one env, all of them together, or each compared recording. */

import { comparisonOf } from "../../recording/comparison.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import { type Scalar, scalarKey } from "../../recording/scalars.ts";
import type { Series } from "../../recording/series.ts";
import type { Session } from "../../session/session.ts";
import type { Over, Track } from "../../session/view-options.ts";

/** A line of a track, with the name of what it is of. */
export interface TrackLine {
  name: string;
  mean: Series;
}

/** What a track draws: lines, and around the only one a band. */
export interface TrackSeries {
  lines: TrackLine[];
  band: { low: Series; high: Series } | null;
}

/** The envs of a compared recording. */
interface Group {
  name: string;
  envs: number[];
}

export type Whom =
  | { kind: "env"; env: number }
  | { kind: "mean" | "range" | "deviation" }
  | { kind: "lines"; groups: Group[] };

/** The recordings that are compared; []: none are. */
export function comparedGroups({ store }: Session): Group[] {
  const { manifest, arrangement } = store;
  const found = comparisonOf(manifest, arrangement, Number.POSITIVE_INFINITY);
  if (!found) return [];
  return found.lines.map((name, line) => ({
    name,
    envs: found.envs[line]!.filter((env) => env !== null),
  }));
}

/** The env of a selected tile, or the only one; null: none is chosen. */
export function chosenEnv({ store, marks }: Session): number | null {
  if (marks.selection.length === 1) return marks.selection[0]!;
  return store.steps.numEnvs === 1 ? 0 : null;
}

/** What a choice means now: without a selected tile, a tile's track is of all envs. */
export function whomOf(session: Session, over: Over): Whom {
  const env = chosenEnv(session);
  const isAlone = session.store.steps.numEnvs < 2;
  if ((over === "tile" || isAlone) && env !== null) return { kind: "env", env };
  if (over === "range" || over === "deviation") return { kind: over };
  const groups = comparedGroups(session);
  return groups.length ? { kind: "lines", groups } : { kind: "mean" };
}

/** Of whom it is, in words. */
export function textOfWhom(whom: Whom, { store }: Session): string {
  const { numEnvs } = store.steps;
  switch (whom.kind) {
    case "env":
      return nameOfEnv(store.manifest, whom.env).join(" ");
    case "mean":
      return `mean of ${numEnvs} envs`;
    case "range":
      return `mean, range of ${numEnvs}`;
    case "deviation":
      return `mean \u00b1 sd of ${numEnvs}`;
    case "lines":
      return `${whom.groups.length} recordings`;
  }
}

/** The numbers that a track draws. */
export function seriesOf(session: Session, { scalar }: Track, whom: Whom): TrackSeries {
  const { scalars } = session;
  if (whom.kind === "lines") {
    const lines = whom.groups.map(({ name, envs }) => {
      const spread = scalars.spread(scalar, envs);
      const read = (row: number) => spread.mean[row]!;
      return { name, mean: scalars.series(scalar, `mean ${envs}`, read) };
    });
    return { lines, band: null };
  }
  const name = textOfWhom(whom, session);
  if (whom.kind === "env") {
    const read = scalars.read(scalar);
    const one = (row: number) => read(row, whom.env);
    const mean = scalars.series(scalar, `env ${whom.env}`, one);
    return { lines: [{ name, mean }], band: null };
  }
  const mean = meanOf(session, scalar);
  const band = whom.kind === "mean" ? null : bandOf(session, scalar, whom.kind);
  return { lines: [{ name, mean }], band };
}

/** Of reward and return the mean is here already. */
function meanOf({ scalars, store }: Session, scalar: Scalar): Series {
  const { steps } = store;
  if (scalar.index < 0) {
    const read = scalar.name === "reward" ? steps.reward(null) : steps.total(null);
    return scalars.series(scalar, "mean", read);
  }
  const spread = scalars.spread(scalar);
  return scalars.series(scalar, "mean", (row) => spread.mean[row]!);
}

/** The edges of the band around the mean: extremes, or one deviation away. */
function bandOf({ scalars }: Session, scalar: Scalar, kind: "range" | "deviation") {
  const spread = scalars.spread(scalar);
  const isRange = kind === "range";
  const low = (row: number) =>
    isRange ? spread.low[row]! : spread.mean[row]! - spread.deviation[row]!;
  const high = (row: number) =>
    isRange ? spread.high[row]! : spread.mean[row]! + spread.deviation[row]!;
  return {
    low: scalars.series(scalar, `${kind} low`, low),
    high: scalars.series(scalar, `${kind} high`, high),
  };
}

/** A scalar's name on screen: the only number of an array has the array's name. */
export function nameOfScalar(scalar: Scalar, { store }: Session): string {
  const field = store.manifest?.data?.find((one) => one.name === scalar.name);
  const own = field?.names?.[scalar.index];
  if (own) return `${scalar.name}: ${own}`;
  const isAlone = field?.shape.every((n) => n === 1);
  return isAlone ? scalar.name : scalarKey(scalar);
}

/** What decides a scalar's colour. */
export function kindOf({ name, index }: Scalar): "reward" | "total" | "data" {
  return index >= 0 ? "data" : name === "reward" ? "reward" : "total";
}
