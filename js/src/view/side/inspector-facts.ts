/** What is known of a row of an env: its reward, its episode and how that ends. */

import {
  DAMAGED,
  IDLE,
  RESET,
  TERMINAL_MISSING,
  TERMINATED,
  TRUNCATED,
} from "../../protocol/messages.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { formatCount, formatReturn, formatValue } from "../format.ts";

const FACTS = [
  "row",
  "episode",
  "step",
  "reward",
  "return",
  "ends",
  "picture",
  "segment",
  "seed",
  "options",
  "labels",
] as const;
type Fact = (typeof FACTS)[number];

export interface InspectorFacts {
  el: HTMLElement;
  update(row: number, env: number): void;
}

export function createInspectorFacts(session: Session): InspectorFacts {
  const rows = FACTS.map((fact) => {
    const value = make("dd", {});
    const row = make("div", { "data-fact": fact }, make("dt", {}, fact), value);
    return { fact, row, value };
  });
  return {
    el: make("dl", { class: "rv-known" }, ...rows.map(({ row }) => row)),
    update(at, env) {
      const texts = factsAt(session, at, env);
      for (const { fact, row, value } of rows) {
        setText(value, texts[fact]);
        row.hidden = !texts[fact];
      }
    },
  };
}

function factsAt(session: Session, row: number, env: number): Record<Fact, string> {
  const { store } = session;
  const moment = store.steps.at(row, env);
  const { kind, ends, reward, envStep, episode, total, isNan, numNan } = moment;
  const hasEpisode = episode >= 0;
  const at = store.recordedAt(row, env) ?? { row, env };
  const slots = store.manifest?.slots ?? [];
  const isRepeated = slots.some(
    (one, slot) => one.env === env && store.isRepeated(row, slot),
  );
  const info = hasEpisode ? store.steps.episodes.info(env, episode) : {};
  const entries = (record: Record<string, unknown> = {}) =>
    Object.entries(record)
      .map(([key, value]) => `${key} ${asText(value)}`)
      .join(", ");
  return {
    row: formatCount(at.row),
    episode: hasEpisode ? formatCount(episode) : "none",
    step: hasEpisode ? formatCount(envStep) : "",
    reward: isNan ? "NaN" : formatValue(reward),
    return: hasEpisode ? formatReturn(total, numNan) : "",
    ends: describeEnds(kind, ends),
    picture: isRepeated ? "an earlier row's, shown again" : "",
    segment: info.segment ?? "",
    seed: info.seed == null ? "" : String(info.seed),
    options: entries(info.options as Record<string, unknown>),
    labels: entries(info.labels),
  };
}

function describeEnds(kind: number, ends: number): string {
  const parts = [];
  if (ends & TERMINATED) parts.push("terminated");
  if (ends & TRUNCATED) parts.push("truncated");
  if (kind === RESET) parts.push("starts here");
  if (kind === IDLE) parts.push("not stepped");
  if (kind === DAMAGED) parts.push("damaged in the file");
  if (kind === TERMINAL_MISSING) parts.push("no terminal picture");
  return parts.join(", ") || "continues";
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
