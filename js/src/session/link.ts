/**
 * A place as a link: `#row=866&env=3&range=10-20` of a page without a kernel, and
 * `viewer.goto(866, env=3)` of one with it. Both ends of a range belong to it.
 */

import type { Session } from "./session.ts";

export interface LinkedPlace {
  row: number;
  env: number | null;
  /** Stop is exclusive. */
  range: [start: number, stop: number] | null;
}

/** Where the playhead is, in the recording. */
function placeOf(session: Session): LinkedPlace {
  const { clock, store } = session;
  const envs = session.selectedEnvs();
  const env = envs.length === 1 ? envs[0]! : null;
  return {
    row: session.place().row,
    env,
    range: store.arrangement ? null : clock.range,
  };
}

export function formatHash({ row, env, range }: LinkedPlace): string {
  const parts = [`row=${row}`];
  if (env !== null) parts.push(`env=${env}`);
  if (range) parts.push(`range=${range[0]}-${range[1] - 1}`);
  return `#${parts.join("&")}`;
}

/** Return the place that a page's address names; null: it names none. */
export function parseHash(hash: string): LinkedPlace | null {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const numberOf = (text: string | null) =>
    text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
  const row = numberOf(fields.get("row"));
  if (row === null) return null;
  const [start, last] = (fields.get("range") ?? "").split("-").map(numberOf);
  const isRange =
    typeof start === "number" && typeof last === "number" && start <= last;
  return {
    row,
    env: numberOf(fields.get("env")),
    range: isRange ? [start, last + 1] : null,
  };
}

export function hashOf(session: Session): string {
  return formatHash(placeOf(session));
}

/** What leads back here: an address, or a line of Python where there is a kernel. */
export function linkOf(session: Session): string {
  if (!session.jobs) return location.href.replace(/#.*$/, "") + hashOf(session);
  const { row, env } = placeOf(session);
  return `viewer.goto(${row}${env === null ? "" : `, env=${env}`})`;
}

/** Go to a linked place, as far as it is in this recording. */
export function goToLink(session: Session, { row, env, range }: LinkedPlace): void {
  const { clock, store } = session;
  if (range) clock.setRange(range);
  const isEnv = env !== null && env < store.recorded.steps.numEnvs;
  session.goTo(row, isEnv ? env : null);
}
