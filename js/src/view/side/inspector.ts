/**
 * The inspector: everything known at the playhead of the selected tile.
 *
 * What is in the page is shown as it plays; what is not is asked for when the
 * playhead rests, or now and then (step-details.ts).
 */

import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { createInspectorFacts } from "./inspector-facts.ts";
import { createPaceMeter } from "./pace-meter.ts";
import { createValueList } from "./value-view.ts";

export interface Inspector {
  el: HTMLElement;
  /** Show a row of the selected tile, or of the first one. */
  update(row: number): void;
}

/** So many rows may come before their numbers do. */
const FOLLOWED_ROWS = 120;
const HINT = "Click a number to add it to the timeline.";

/** The env whose numbers are shown. */
export function inspectedEnv({ store, marks }: Session): number {
  return marks.selection[0] ?? store.manifest?.slots[0]?.env ?? 0;
}

export function createInspector(session: Session, signal: AbortSignal): Inspector {
  const { store, clock, details, viewOptions } = session;
  const facts = createInspectorFacts(session, signal);
  const values = createValueList(session, signal);
  const note = make("p", { class: "rv-note" });
  const hint = make("p", { class: "rv-note" }, HINT);
  const el = make(
    "div",
    { class: "rv-inspector", role: "group", "aria-label": "Inspector" },
    facts.el,
    values.el,
    note,
    hint,
  );
  const paceAt = createPaceMeter(clock, (row) => update(row), signal);
  const update = (row: number) => {
    if (viewOptions.now.panel !== "inspector" || row < 0 || row >= store.numRows)
      return;
    const env = inspectedEnv(session);
    facts.update(row, env);
    const pace = paceAt(row);
    const at = store.recordedAt(row, env);
    if (!at) return;
    details.want(at.row, at.env, store.recorded.steps.numRows, pace);
    if (clock.isPlaying) wantAhead(session, row, env);
    const from = knownRow(session, at.row, at.env);
    const found = details.at(from, at.env);
    setAttribute(el, "data-row", String(row));
    setAttribute(el, "data-env", String(env));
    // The numbers of another row stay, dimmed, till those of this one come.
    setAttribute(el, "data-state", found ? "there" : "asked");
    if (found) values.update(found, store.manifest?.meanings ?? []);
    if (hint.hidden === values.hasNumbers) hint.hidden = !values.hasNumbers;
    if (!found) setText(note, whyNot(session));
    else if (from !== at.row) setText(note, `Numbers of row ${formatCount(from)}`);
    else {
      const none = found.length ? "" : "No action or data in this row.";
      setText(note, details.fault(from, at.env) || none);
    }
  };
  return { el, update };
}

/** Ask for the numbers of a row to come, before it is shown. */
function wantAhead({ store, clock, details }: Session, row: number, env: number): void {
  const next = Math.min(store.numRows - 1, row + Math.ceil(clock.rate * clock.every));
  const at = store.recordedAt(next, env);
  if (at) details.want(at.row, at.env, store.recorded.steps.numRows, "moves");
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
