/**
 * A comparison in numbers and pixels: returns line by line, with their differences, and
 * on request each tile drawn as what it differs from the tile of the first line.
 */

import { comparisonOf, returnsOf } from "../../recording/comparison.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import type { Grid } from "../grid/grid.ts";
import { createButton } from "../parts/inputs.ts";
import { createPixelDifference } from "./pixel-difference.ts";
import { createReturnsTable } from "./returns-table.ts";

export interface ComparisonPanel {
  el: HTMLElement;
  /** Whether anything is compared. */
  readonly isOffered: boolean;
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
    "Pixel difference",
    { class: "rv-differ", "aria-pressed": "false" },
    () => {
      isOn = !isOn;
      setAttribute(toggle, "aria-pressed", String(isOn));
      draw();
      update();
    },
    signal,
  );
  const caption = make("span", { class: "rv-facts" });
  const el = make(
    "div",
    { class: "rv-paired", role: "group", "aria-label": "Comparison" },
    make("div", { class: "rv-line" }, toggle, caption),
    make("div", { class: "rv-paired-scroll" }, table.el),
  );
  let isOn = false;
  /** By env, the share of pixels that differ from the tile above. */
  let shares = new Map<number, number>();
  const comparisonNow = () => comparisonOf(store.manifest, store.arrangement);
  const draw = () => {
    shares = difference.draw(isOn ? comparisonNow() : null);
  };
  const update = () => {
    const comparison = comparisonNow();
    if (!comparison || clock.row >= store.numRows) return;
    const first = comparison.lines[0];
    const reduction = difference.reduction();
    setText(
      caption,
      !isOn
        ? `returns at row ${clock.row}, and what they differ from ${first}`
        : `against ${first}` +
            (reduction > 1 ? `, of pictures reduced to 1/${reduction}` : ""),
    );
    table.update(comparison, returnsOf(comparison, store.steps, clock.row), shares);
  };
  grid.player.onDraw.on(() => {
    if (isOn) draw();
  }, signal);
  return {
    el,
    update,
    get isOffered() {
      return comparisonNow() !== null;
    },
  };
}
