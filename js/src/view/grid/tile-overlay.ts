/**
 * What is drawn above the pictures: labels, outcomes, what is missing, the selection.
 *
 * One element for each tile, whose text changes only where it has to.
 */

import { type Layout, tileAt } from "../../playback/layout.ts";
import { IDLE } from "../../protocol/messages.ts";
import type { Session } from "../../session/session.ts";
import { pointIn } from "../../util/scale.ts";
import { make, setAttribute } from "../dom.ts";
import { placeTile, type Tile, tileOf } from "./tile.ts";
import {
  type ActionText,
  gapOf,
  readActions,
  writeNumbers,
  writeOutcome,
} from "./tile-text.ts";

export interface TileOverlay {
  el: HTMLElement;
  /** Make tiles for the slots at these places in the grid. */
  place(slots: readonly number[], layout: Layout, indices: readonly number[]): void;
  /** Show a row; `absent` and `missing` are slots. */
  update(row: number, absent: readonly number[], missing: readonly number[]): void;
  /** Slot at a point of the page; null: none. */
  slotAt(x: number, y: number): number | null;
}

const LABELS = ["env", "episode", "step", "action"] as const;
/** Below this width a tile has no text: see the container queries of widget.css. */
const TINY_PX = 84;

export function createTileOverlay(session: Session): TileOverlay {
  const { store, marks, viewOptions } = session;
  const el = make("div", { class: "rv-overlay" });
  let tiles: Tile[] = [];
  let grid: { slots: readonly number[]; layout: Layout } | null = null;

  return {
    el,
    place(slots, layout, indices) {
      grid = { slots, layout };
      const before = new Map(tiles.map((tile) => [tile.slot, tile]));
      tiles = indices.map((index) => {
        const slot = slots[index]!;
        const tile = tileOf(store.manifest!, slot, before.get(slot));
        placeTile(tile, layout, index);
        return tile;
      });
      el.replaceChildren(...tiles.map((tile) => tile.el));
    },
    update(row, absent, missing) {
      setAttribute(el, "data-hidden", viewOptions.now.hidden);
      const actions = viewOptions.shows("action") ? readActions(session) : null;
      const hasLabel = LABELS.some((name) => viewOptions.shows(name));
      const hasSums = viewOptions.shows("reward") || viewOptions.shows("return");
      // Text that no tile has room for (widget.css) is not written either.
      const isTiny = grid !== null && grid.layout.tileWidth <= TINY_PX;
      const [gaps, pending] = [new Set(absent), new Set(missing)];
      const isRecorded = row >= 0 && row < store.numRows;
      for (const tile of tiles) {
        const { slot, env } = tile;
        const kind = isRecorded ? writeRow(session, tile, row, isTiny, actions) : IDLE;
        const gap = gapOf(kind, gaps.has(slot), pending.has(slot));
        setAttribute(tile.el, "data-gap", gap);
        tile.label.hidden = !hasLabel;
        tile.sums.hidden = !hasSums;
        tile.repeated.hidden = Boolean(gap) || !store.isRepeated(row, slot);
        const isSelected = marks.selection.includes(env);
        setAttribute(tile.el, "data-selected", String(isSelected));
      }
    },
    slotAt(x, y) {
      if (!grid) return null;
      const { slots, layout } = grid;
      const at = pointIn(el, x, y);
      const index = tileAt(layout, slots.length, at.x, at.y);
      return index === null ? null : slots[index]!;
    },
  };
}

/** Write what happened to a tile's env in a row, and return the row's kind. */
function writeRow(
  { store, viewOptions }: Session,
  tile: Tile,
  row: number,
  isTiny: boolean,
  actions: ActionText | null,
): number {
  const moment = store.steps.at(row, tile.env);
  // One picture of all envs: the numbers of one of them are not the picture's.
  if (tile.isShared) return moment.kind;
  if (!isTiny) {
    const action = actions?.(row, tile.env) ?? null;
    writeNumbers(tile, moment, viewOptions.shows("reward"), action);
  }
  writeOutcome(tile, moment);
  return moment.kind;
}
