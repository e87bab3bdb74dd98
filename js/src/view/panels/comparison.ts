/**
 * A comparison in numbers and pixels: returns line by line, with their differences, and
 * on request each tile drawn as what it differs from the tile of the first line.
 */

import {
  type Comparison,
  comparisonOf,
  differ,
  referenceOf,
  returnsOf,
} from "../../recording/comparison.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatValue } from "../format.ts";
import type { Grid } from "../grid/grid.ts";

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
  const table = make("table", { class: "rv-paired-table" });
  const toggle = make(
    "button",
    { type: "button", class: "rv-button rv-differ", "aria-pressed": "false" },
    "Pixel difference",
  );
  const caption = make("span", { class: "rv-facts" });
  const el = make(
    "div",
    { class: "rv-paired", role: "group", "aria-label": "Comparison", hidden: true },
    make("div", { class: "rv-line" }, toggle, caption),
    make("div", { class: "rv-paired-scroll" }, table),
  );
  const frames = grid.el.querySelector<HTMLCanvasElement>(".rv-frames")!;
  const canvas = make("canvas", {
    class: "rv-difference",
    "aria-hidden": "true",
    hidden: true,
  });
  frames.after(canvas);
  let isOn = false;
  let shape = "";
  let cells: HTMLElement[][] = [];
  /** By env, the share of pixels that differ from the tile above. */
  let shares = new Map<number, number>();

  listen(toggle, "click", signal, () => {
    isOn = !isOn;
    setAttribute(toggle, "aria-pressed", String(isOn));
    draw();
    update();
  });

  const draw = () => {
    const comparison = comparisonOf(store.manifest, store.arrangement);
    canvas.hidden = !isOn || !comparison || grid.opened !== null;
    shares = new Map();
    if (canvas.hidden || !comparison) return;
    // Where a part of the grid is in sight, the pictures lie on that part.
    canvas.style.cssText = frames.style.cssText;
    shares = drawDifferences(frames, canvas, session, grid, comparison);
  };
  const build = ({ lines, keys }: Comparison) => {
    const head = ["return", "mean", ...keys].map((text) =>
      make("th", { scope: "col" }, text),
    );
    cells = lines.map(() => ["", ...keys].map(() => make("td", {})));
    table.replaceChildren(
      make("thead", {}, make("tr", {}, ...head)),
      make(
        "tbody",
        {},
        ...lines.map((name, line) =>
          make("tr", {}, make("th", { scope: "row" }, name), ...cells[line]!),
        ),
      ),
    );
  };
  const update = () => {
    const comparison = comparisonOf(store.manifest, store.arrangement);
    el.hidden = !comparison;
    if (!comparison || clock.row >= store.numRows) return;
    const now = JSON.stringify([comparison.lines, comparison.keys]);
    if (now !== shape) build(comparison);
    shape = now;
    const reduction = Number(frames.dataset.reduction ?? 1);
    setText(
      caption,
      !isOn
        ? `returns at row ${clock.row}, and what they differ from ${comparison.lines[0]}`
        : `against ${comparison.lines[0]}` +
            (reduction > 1 ? `, of pictures reduced to 1/${reduction}` : ""),
    );
    for (const [line, found] of returnsOf(
      comparison,
      store.steps,
      clock.row,
    ).entries()) {
      const own = cells[line]!;
      for (const [column, value] of found.returns.entries()) {
        const share = shares.get(comparison.envs[line]![column] ?? -1);
        fill(own[column + 1]!, value, line ? found.differences[column]! : null, share);
      }
      const mean = own[0]!;
      if (line) fill(mean, null, found.mean, undefined);
      else fill(mean, found.mean, null, undefined);
      mean.title = `of ${found.count} ${line ? "pairs" : "returns"}`;
    }
  };
  grid.player.onDraw.on(() => {
    if (isOn) draw();
  }, signal);
  return { el, update };
}

/** Write a return, its difference and the share of differing pixels into a cell. */
function fill(
  cell: HTMLElement,
  value: number | null,
  difference: number | null,
  share: number | undefined,
): void {
  const parts = [];
  if (value !== null) parts.push(formatValue(value));
  if (difference !== null && Number.isFinite(difference))
    parts.push(`${difference > 0 ? "+" : ""}${formatValue(difference)}`);
  if (share !== undefined && Number.isFinite(share))
    parts.push(`${(100 * share).toFixed(share && share < 0.1 ? 2 : 1)} %`);
  setText(cell, parts.join(" \u00b7 "));
  const sign = difference === null ? 0 : Math.sign(difference) || 0;
  setAttribute(cell, "data-sign", String(sign));
}

function drawDifferences(
  frames: HTMLCanvasElement,
  canvas: HTMLCanvasElement,
  { store }: Session,
  { player }: Grid,
  comparison: Comparison,
): Map<number, number> {
  const shares = new Map<number, number>();
  const from = frames.getContext("2d");
  const to = canvas.getContext("2d");
  const [width, height] = [frames.width, frames.height];
  if (!from || !to || !width || !height) return shares;
  if (canvas.width !== width || canvas.height !== height)
    [canvas.width, canvas.height] = [width, height];
  to.clearRect(0, 0, width, height);
  const slots = store.manifest?.slots ?? [];
  const [columns, cellWidth, cellHeight] = (
    ["columns", "cellWidth", "cellHeight"] as const
  ).map((name) => Number(frames.dataset[name])) as [number, number, number];
  const at = (index: number): [number, number] => [
    (index % columns) * cellWidth,
    Math.floor(index / columns) * cellHeight,
  ];
  const pixels = (index: number) =>
    from.getImageData(...at(index), cellWidth, cellHeight).data;
  for (const [index, slot] of player.slots.entries()) {
    const { env, camera } = slots[slot]!;
    const reference = referenceOf(comparison, env);
    if (reference === null) continue;
    const other = player.slots.findIndex(
      (one) => slots[one]!.env === reference && slots[one]!.camera === camera,
    );
    if (other < 0) continue;
    const out = new ImageData(cellWidth, cellHeight);
    shares.set(env, differ(pixels(other), pixels(index), out.data));
    to.putImageData(out, ...at(index));
  }
  return shares;
}
