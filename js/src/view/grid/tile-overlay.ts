/**
 * What is drawn above the pictures: captions, outcomes, what is missing, the selection.
 *
 * One element for each tile, an option of a list, whose text changes only where it has
 * to.
 */

import type { Cell } from "../../playback/cells.ts";
import { type Layout, tileAt } from "../../playback/layout.ts";
import type { Player } from "../../playback/player.ts";
import { DAMAGED, IDLE } from "../../protocol/messages.ts";
import { recordedAt } from "../../recording/arrangement.ts";
import { marksOf } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { pointIn } from "../../util/scale.ts";
import { make, setAttribute } from "../dom.ts";
import { placeTile, type Tile, tileOf } from "./tile.ts";
import {
  type ActionText,
  Decimals,
  gapOf,
  nameOfTile,
  readActions,
  writeLabels,
  writeNumbers,
  writeOutcome,
  writeRemark,
} from "./tile-text.ts";

export interface PlacedTiles {
  slots: readonly number[];
  layout: Layout;
  /** Those in sight. */
  cells: readonly Cell[];
}

/** A row that was drawn, and slots: without a picture, to come, and shown as previews. */
export type DrawnRow = Pick<Player, "drawnRow" | "absent" | "missing" | "previewed">;

export interface TileOverlay {
  el: HTMLElement;
  readonly tiles: readonly Tile[];
  /** Of the whole grid; null: nothing is placed yet. */
  readonly placed: PlacedTiles | null;
  place(placed: PlacedTiles): void;
  /** Show a row, as it was drawn. */
  update(drawn: DrawnRow): void;
  /** Give the tiles their names, for those who do not see them. */
  nameTiles(row: number): void;
  /** Slot at a point of the page; null: none. */
  slotAt(x: number, y: number): number | null;
}

const LABELS = ["env", "episode", "step", "action"] as const;
/** A tile without a caption has its text over the picture from this width on. */
const ROOMY_PX = 160;

export function createTileOverlay(session: Session): TileOverlay {
  const { store, marks, viewOptions } = session;
  const el = make("div", {
    class: "rv-overlay",
    role: "listbox",
    "aria-label": "Tiles",
    "aria-multiselectable": "true",
  });
  let tiles: Tile[] = [];
  let placed: PlacedTiles | null = null;
  const decimals = new Decimals();
  const isRecorded = (row: number) => row >= 0 && row < store.numRows;

  const write = ({ drawnRow: row, absent, missing, previewed }: DrawnRow) => {
    setAttribute(el, "data-hidden", viewOptions.now.hidden);
    const actions = viewOptions.shows("action") ? readActions(session) : null;
    const hasLabel = LABELS.some((name) => viewOptions.shows(name));
    const hasSums = viewOptions.shows("reward") || viewOptions.shows("return");
    const [gaps, pending] = [new Set(absent), new Set(missing)];
    const isKnown = isRecorded(row);
    const isTextHidden = el.dataset.text === "hover";
    for (const tile of tiles) {
      const { slot, env } = tile;
      const isSelected = marks.selection.includes(env);
      setAttribute(tile.el, "data-selected", String(isSelected));
      setAttribute(tile.el, "aria-selected", String(isSelected));
      // Text that is not shown is not written either.
      const isSeen =
        !isTextHidden || isSelected || tile.el.matches(":hover, :focus-visible");
      const kind = isKnown
        ? writeRow(session, tile, row, decimals, isSeen, actions)
        : IDLE;
      const isAbsent = gaps.has(slot);
      const reason = isAbsent ? store.whyNotReproducible(row, env) : "";
      const gap = gapOf(kind, isAbsent, pending.has(slot), {
        renders: store.manifest?.renders,
        isUnmade: reason !== "",
      });
      setAttribute(tile.el, "data-gap", gap);
      if (tile.el.title !== reason) tile.el.title = reason;
      tile.label.hidden = !hasLabel;
      tile.sums.hidden = !hasSums;
      tile.caption.hidden = !hasLabel && !hasSums;
      const isRepeated = !gap && store.isRepeated(row, slot);
      const isDamaged = !gap && kind === DAMAGED;
      const isPreview = previewed.includes(slot);
      const remark = isDamaged ? "damaged" : isRepeated ? "repeated" : "";
      writeRemark(tile, isPreview ? "preview" : remark);
    }
  };

  return {
    el,
    get tiles() {
      return tiles;
    },
    get placed() {
      return placed;
    },
    place(next) {
      placed = next;
      const { layout, cells } = next;
      const before = new Map(tiles.map((tile) => [tile.slot, tile]));
      tiles = cells.map(({ slot, index }) => {
        const tile = tileOf(store.manifest!, slot, before.get(slot));
        placeTile(tile, layout, index);
        return tile;
      });
      const { caption, tileWidth } = layout;
      el.style.setProperty("--rv-caption-height", `${caption}px`);
      setAttribute(el, "data-text", caption ? "below" : sizeOf(tileWidth));
      replaceTiles(el, tiles);
    },
    update(drawn) {
      const { count } = decimals;
      write(drawn);
      // A later tile may have needed others than those before it.
      if (decimals.count !== count) write(drawn);
    },
    nameTiles(row) {
      for (const tile of tiles) {
        const moment = isRecorded(row) ? store.steps.at(row, tile.env) : null;
        const gap = tile.el.dataset.gap ?? "";
        setAttribute(tile.el, "aria-label", nameOfTile(tile, moment, gap));
      }
    },
    slotAt(x, y) {
      if (!placed) return null;
      const { slots, layout } = placed;
      const at = pointIn(el, x, y);
      const index = tileAt(layout, slots.length, at.x, at.y);
      const slot = slots[index ?? -1] ?? -1;
      return slot < 0 ? null : slot;
    },
  };
}

function sizeOf(tileWidth: number): "over" | "hover" {
  return tileWidth >= ROOMY_PX ? "over" : "hover";
}

/** Put tiles into the page; those that stay are not moved, and keep the focus. */
function replaceTiles(el: HTMLElement, tiles: readonly Tile[]): void {
  const wanted = new Set<Element>(tiles.map((tile) => tile.el));
  for (const child of [...el.children]) if (!wanted.has(child)) child.remove();
  for (const [at, tile] of tiles.entries())
    if (el.children[at] !== tile.el) el.insertBefore(tile.el, el.children[at] ?? null);
  // One of them can be reached by Tab; the others from it, by arrows.
  if (!el.querySelector('[tabindex="0"]')) tiles[0]?.el.setAttribute("tabindex", "0");
}

/** Write what happened to a tile's env in a row, and return the row's kind. */
function writeRow(
  session: Session,
  tile: Tile,
  row: number,
  decimals: Decimals,
  isSeen: boolean,
  actions: ActionText | null,
): number {
  const { store, viewOptions } = session;
  const moment = store.steps.at(row, tile.env);
  // One picture of all envs: the numbers of one of them are not the picture's.
  if (tile.isShared) return moment.kind;
  if (isSeen) {
    const action = actions?.(row, tile.env) ?? null;
    writeNumbers(tile, moment, decimals, viewOptions.shows("reward"), action);
  }
  writeOutcome(tile, moment);
  writeLabels(tile, labelsAt(session, row, tile.env, moment.episode));
  return moment.kind;
}

function labelsAt(
  { store }: Session,
  row: number,
  env: number,
  episode: number,
): Record<string, unknown> | undefined {
  if (episode < 0) return undefined;
  const { arrangement, recorded } = store;
  const own = arrangement ? recordedAt(arrangement, row, env)?.env : env;
  if (own === undefined) return undefined;
  return marksOf(recorded.steps.episodes.info(own, episode));
}
