/**
 * The inspector: everything known at the playhead of the selected tile.
 *
 * What is in the page is shown as it plays; what is not is asked for when the
 * playhead rests, or now and then (step-details.ts).
 */

import {
  IDLE,
  RESET,
  TERMINAL_MISSING,
  TERMINATED,
  TRUNCATED,
} from "../../protocol/messages.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Value } from "../../recording/step-details.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount, formatValue } from "../format.ts";
import { icon } from "../icons.ts";
import { createValueView, type ValueView } from "./value-view.ts";

export interface Inspector {
  el: HTMLElement;
  /** Show a row of the selected tile, or of the first one. */
  update(row: number): void;
}

const FACTS = [
  "row",
  "episode",
  "step",
  "reward",
  "return",
  "ends",
  "segment",
  "seed",
  "options",
  "labels",
] as const;
/** A playhead that moved within this time is on its way elsewhere. */
const REST_MS = 120;
/** So many rows may come before their numbers do. */
const FOLLOWED_ROWS = 120;
type Fact = (typeof FACTS)[number];

/** The env whose numbers are shown. */
export function inspectedEnv({ store, marks }: Session): number {
  return marks.selection[0] ?? store.manifest?.slots[0]?.env ?? 0;
}

export function createInspector(session: Session, signal: AbortSignal): Inspector {
  const { store, clock, details, viewOptions } = session;
  const name = make("b", {});
  const close = make(
    "button",
    { type: "button", class: "rv-button rv-bare", "aria-label": "Close inspector" },
    icon("close"),
  );
  listen(close, "click", signal, () => viewOptions.set({ isInspecting: false }));
  const facts = createFacts();
  const values = make("div", { class: "rv-values" });
  const note = make("p", { class: "rv-note" });
  const el = make(
    "aside",
    { class: "rv-inspector", "aria-label": "Inspector", hidden: true, tabindex: 0 },
    make(
      "div",
      { class: "rv-inspector-in" },
      make("div", { class: "rv-inspector-head" }, name, close),
      facts.el,
      values,
      note,
    ),
  );
  let views: ValueView[] = [];
  let last = { row: -1, at: Number.NEGATIVE_INFINITY };
  let resting: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", () => clearTimeout(resting));
  let form = "";

  const showValues = (found: Value[], row: number, env: number) => {
    const next = JSON.stringify(found.map((one) => [one.name, one.dtype, one.shape]));
    if (next !== form) {
      form = next;
      views = found.map((one) => createValueView(one, store.manifest?.meanings ?? []));
      values.replaceChildren(...views.map((view) => view.el));
    }
    for (const [index, view] of views.entries()) view.update(found[index]!);
    const fault = details.fault(row, env);
    setText(note, fault || (found.length ? "" : "No action or data in this row."));
    el.dataset.state = "there";
  };

  const update = (row: number) => {
    el.hidden = !viewOptions.now.isInspecting;
    if (el.hidden || row < 0 || row >= store.numRows) return;
    const env = inspectedEnv(session);
    setText(name, nameOfEnv(store.manifest, env).join(" "));
    facts.update(factsAt(session, row, env));
    const now = performance.now();
    if (row !== last.row) {
      last = { row, at: now };
      clearTimeout(resting);
      resting = setTimeout(() => update(last.row), REST_MS + 1);
    }
    const isMoving = clock.isPlaying || now - last.at < REST_MS;
    const pace = clock.isFollowing ? "follows" : isMoving ? "moves" : "rests";
    const at = store.recordedAt(row, env);
    if (!at) return;
    const numRows = store.recorded.steps.numRows;
    details.want(at.row, at.env, numRows, pace);
    // While it plays, the rows to come are asked for before they are shown.
    const ahead = store.recordedAt(
      Math.min(store.numRows - 1, row + Math.ceil(clock.rate * clock.every)),
      env,
    );
    if (clock.isPlaying && ahead) details.want(ahead.row, ahead.env, numRows, "moves");
    const from = knownRow(session, at.row, at.env);
    const found = details.at(from, at.env);
    setAttribute(el, "data-row", String(row));
    setAttribute(el, "data-env", String(env));
    if (found) showValues(found, from, at.env);
    // The numbers of another row stay, dimmed, till those of this one come.
    else el.dataset.state = "asked";
    if (!found) setText(note, whyNot(session));
    else if (from !== at.row) setText(note, `Numbers of row ${formatCount(from)}`);
  };
  return { el, update };
}

/** The row whose numbers are shown: while rows come, the newest that has any. */
function knownRow({ details, clock }: Session, row: number, env: number): number {
  if (!clock.isFollowing) return row;
  for (let back = 0; back <= FOLLOWED_ROWS; back++)
    if (details.at(row - back, env)) return row - back;
  return row;
}

function whyNot({ details, isCut, store }: Session): string {
  if (!details.canAsk || isCut)
    return "Actions and data of this row are not in this page.";
  return store.manifest?.data?.length ? "Asking the kernel\u2026" : "";
}

function createFacts() {
  const rows = FACTS.map((fact) => {
    const value = make("dd", {});
    const row = make("div", { "data-fact": fact }, make("dt", {}, fact), value);
    return { fact, row, value };
  });
  return {
    el: make("dl", { class: "rv-known" }, ...rows.map(({ row }) => row)),
    update(texts: Record<Fact, string>) {
      for (const { fact, row, value } of rows) {
        setText(value, texts[fact]);
        row.hidden = !texts[fact];
      }
    },
  };
}

function factsAt(session: Session, row: number, env: number): Record<Fact, string> {
  const { store } = session;
  const { kind, ends, reward, envStep, episode, total } = store.steps.at(row, env);
  const hasEpisode = episode >= 0;
  const at = store.recordedAt(row, env) ?? { row, env };
  const info = hasEpisode ? store.steps.episodes.info(env, episode) : {};
  const entries = (record: Record<string, unknown> = {}) =>
    Object.entries(record)
      .map(([key, value]) => `${key} ${asText(value)}`)
      .join(", ");
  return {
    row: formatCount(at.row),
    episode: hasEpisode ? formatCount(episode) : "none",
    step: hasEpisode ? formatCount(envStep) : "",
    reward: formatValue(reward),
    return: hasEpisode ? formatValue(total) : "",
    ends: describeEnds(kind, ends),
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
  if (kind === TERMINAL_MISSING) parts.push("no terminal picture");
  return parts.join(", ") || "continues";
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
