/** What is known of a row of an env: its reward, its episode and how that ends. */

import {
  DAMAGED,
  type EpisodeInfo,
  IDLE,
  RESET,
  TERMINAL_MISSING,
} from "../../protocol/messages.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import { outcomeOf, textOfOutcome } from "../../recording/episode-query.ts";
import { marksOf, textOfLabel } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount, formatReturn, formatValue } from "../format.ts";
import { createTrackButton } from "./on-timeline.ts";

const FACTS = [
  "row",
  "step",
  "reward",
  "return",
  "outcome",
  "here",
  "picture",
  "segment",
  "options",
] as const;
type Fact = (typeof FACTS)[number];

export interface InspectorFacts {
  el: HTMLElement;
  update(row: number, env: number): void;
}

export function createInspectorFacts(
  session: Session,
  signal: AbortSignal,
): InspectorFacts {
  const name = make("h3", {});
  const known = make("span", { class: "rv-inspector-of" });
  const rows = FACTS.map((fact) => createFact(fact, session, signal));
  const head = make("div", { class: "rv-inspector-head" }, name, known);
  const list = make("dl", { class: "rv-known" }, ...rows.map(({ row }) => row));
  return {
    el: make("section", { class: "rv-section" }, head, list),
    update(at, env) {
      const { title, about, result, texts } = factsAt(session, at, env);
      setText(name, title);
      setText(known, about);
      for (const { fact, row, end, update } of rows) {
        update(texts[fact]);
        if (row.hidden !== !texts[fact]) row.hidden = !texts[fact];
        if (end) setAttribute(end, "data-outcome", result);
      }
    },
  };
}

function createFact(fact: Fact, session: Session, signal: AbortSignal) {
  const value = make("dd", {});
  const row = make("div", { "data-fact": fact }, make("dt", {}, fact), value);
  let update = (text: string) => setText(value, text);
  if (fact === "reward" || fact === "return") {
    const button = createTrackButton(session, { name: fact, index: -1 }, signal);
    value.append(button.el);
    update = button.update;
  }
  const end = fact === "outcome" ? make("i", { class: "rv-end" }) : null;
  if (end) {
    const text = make("span", {});
    value.append(end, text);
    update = (now) => setText(text, now);
  }
  return { fact, row, end, update };
}

interface FactsNow {
  title: string;
  /** Beside the title: seed and labels. */
  about: string;
  /** How the episode ended. */
  result: string;
  texts: Record<Fact, string>;
}

function factsAt(session: Session, row: number, env: number): FactsNow {
  const { store } = session;
  const { episodes } = store.steps;
  const moment = store.steps.at(row, env);
  const { kind, reward, envStep, episode, total, isNan, numNan } = moment;
  const number = episode < 0 ? null : episodes.numberOf(env, episode);
  const info = number === null ? {} : episodes.info(env, episode);
  const result = number === null ? "" : outcomeOf(episodes, number);
  const at = store.recordedAt(row, env) ?? { row, env };
  const length = number === null || result === "running" ? 0 : episodes.length[number]!;
  return {
    title: titleOf(session, env, episode),
    about: aboutOf(info),
    result,
    texts: {
      row: formatCount(at.row),
      step: stepText(number === null ? null : envStep, length),
      reward: isNan ? "NaN" : formatValue(reward),
      return: number === null ? "" : formatReturn(total, numNan),
      outcome: [textOfOutcome(result), ...verdictsOf(info)]
        .filter(Boolean)
        .join(" \u00b7 "),
      here: describeKind(kind),
      picture: isRepeated(session, row, env) ? "an earlier row's, shown again" : "",
      segment: info.segment ?? "",
      options: optionsOf(info),
    },
  };
}

function titleOf({ store }: Session, env: number, episode: number): string {
  const [kind, number] = nameOfEnv(store.manifest, env);
  const name = kind === "env" ? `Env ${number}` : `${kind} ${number}`;
  if (episode < 0) return name;
  const isAlone = store.recorded.steps.numEnvs === 1 && !store.arrangement;
  const text = `pisode ${formatCount(episode)}`;
  return isAlone ? `E${text}` : `${name} \u00b7 e${text}`;
}

const VERDICTS = ["success", "failure"];

function verdictsOf(info: EpisodeInfo): string[] {
  const marks = marksOf(info) ?? {};
  return VERDICTS.filter((name) => name in marks);
}

function aboutOf({ seed, labels = {} }: EpisodeInfo): string {
  const others = Object.entries(labels).filter(([name]) => !VERDICTS.includes(name));
  const parts = seed == null ? [] : [`seed ${seed}`];
  return [...parts, ...others.map(textOfLabel)].join(" \u00b7 ");
}

function stepText(step: number | null, length: number): string {
  if (step === null) return "";
  return formatCount(step) + (length ? ` of ${formatCount(length)}` : "");
}

function isRepeated({ store }: Session, row: number, env: number): boolean {
  const slots = store.manifest?.slots ?? [];
  return slots.some((one, slot) => one.env === env && store.isRepeated(row, slot));
}

function optionsOf({ options = {} }: EpisodeInfo): string {
  return Object.entries(options as Record<string, unknown>)
    .map(([key, value]) => `${key} ${asText(value)}`)
    .join(", ");
}

/** What is unusual about the row itself. */
function describeKind(kind: number): string {
  if (kind === RESET) return "starts here";
  if (kind === IDLE) return "not stepped";
  if (kind === DAMAGED) return "damaged in the file";
  return kind === TERMINAL_MISSING ? "no terminal picture" : "";
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
