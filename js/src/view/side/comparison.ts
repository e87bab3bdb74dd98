/**
 * A comparison in numbers and pixels: returns of each recording, with their differences,
 * and on request each tile drawn as what it differs from the tile of the first one.
 */

import { comparisonOf, returnsOf } from "../../recording/comparison.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import type { Grid } from "../grid/grid.ts";
import { createButton } from "../parts/inputs.ts";
import { createEvaluationPart } from "./evaluation-part.ts";
import { createPixelDifference } from "./pixel-difference.ts";
import { createReturnsTable } from "./returns-table.ts";

export interface ComparisonPanel {
  el: HTMLElement;
  update(): void;
}

export function createComparisonPanel(
  session: Session,
  grid: Grid,
  signal: AbortSignal,
): ComparisonPanel {
  const { store, clock } = session;
  const table = createReturnsTable();
  const difference = createPixelDifference(session, grid);
  const toggle = createButton(
    make("i", { class: "rv-knob" }),
    { class: "rv-differ", role: "switch", "aria-checked": "false" },
    () => {
      isOn = !isOn;
      setAttribute(toggle, "aria-checked", String(isOn));
      draw();
      update();
    },
    signal,
  );
  toggle.append("Pixel difference");
  const caption = make("p", { class: "rv-note" });
  const compared = make(
    "div",
    { class: "rv-paired", role: "group", "aria-label": "Comparison" },
    make("div", { class: "rv-paired-scroll" }, table.el),
    make("div", { class: "rv-line" }, toggle),
    caption,
  );
  const evaluation = createEvaluationPart(session, signal);
  const nothing = createNothing();
  let isOn = false;
  /** By env, the share of pixels that differ from the tile it is compared with. */
  let shares = new Map<number, number>();
  const comparisonNow = () => comparisonOf(store.manifest, store.arrangement);
  const draw = () => {
    shares = difference.draw(isOn ? comparisonNow() : null);
  };
  const update = () => {
    const comparison = comparisonNow();
    if (compared.hidden !== !comparison) compared.hidden = !comparison;
    evaluation.update();
    const isNothing = !comparison && evaluation.el.hidden;
    if (nothing.hidden === isNothing) nothing.hidden = !isNothing;
    if (!comparison || clock.row >= store.numRows) return;
    const reduction = difference.reduction();
    const small = isOn && reduction > 1 ? `; pictures reduced to 1/${reduction}` : "";
    const against = `Differences from ${comparison.lines[0]}`;
    setText(caption, `${against}, at row ${formatCount(clock.row)}${small}`);
    const lines = returnsOf(comparison, store.steps, clock.row);
    table.update(comparison, lines, isOn ? shares : null);
  };
  grid.player.onDraw.on(() => {
    if (isOn) draw();
  }, signal);
  return { el: make("div", {}, evaluation.el, compared, nothing), update };
}

function createNothing(): HTMLElement {
  const call = 'rv.view({"before": a, "after": b})';
  return make(
    "div",
    { class: "rv-nothing", hidden: true },
    make("p", {}, "Nothing is compared. Open two recordings with"),
    make("code", {}, call),
    make("p", {}, "or arrange segments of this one below each other."),
  );
}
