/** The window onto the grid: lays out its tiles, and shows those that are in sight. */

import {
  cutOut,
  type GridPart,
  type Layout,
  partIn,
  zoomed,
} from "../../playback/layout.ts";
import type { Player } from "../../playback/player.ts";
import type { Session } from "../../session/session.ts";
import { isSame } from "../../util/same.ts";
import { make } from "../dom.ts";
import { type FittedGrid, fitGrid } from "./fit.ts";
import type { FramesCanvas } from "./frames-canvas.ts";
import type { TileOverlay } from "./tile-overlay.ts";
import { createZoom, type Zoom } from "./zoom.ts";

export interface Stage {
  el: HTMLElement;
  readonly zoom: Zoom;
  /** The slot that is open alone; null: all are shown. */
  readonly opened: number | null;
  /** Open a slot alone; null: all of them. */
  open(slot: number | null): void;
  /** Lay out what is to be shown. */
  place(): void;
  /** Draw the overlay anew. */
  refresh(): void;
  /** Another recording, or the same arranged anew: nothing of it is shown yet. */
  reset(): void;
}

export interface StageParts {
  session: Session;
  frames: FramesCanvas;
  overlay: TileOverlay;
  player: Player;
  signal: AbortSignal;
}

export function createStage(parts: StageParts): Stage {
  const { session, frames, overlay, player, signal } = parts;
  const tiles = make("div", { class: "rv-grid" }, frames.el, overlay.el);
  const waiting = make("div", { class: "rv-waiting" }, "Waiting for the first row");
  const el = make("div", { class: "rv-stage" }, tiles, waiting);
  let opened: number | null = null;
  let fitted: FittedGrid | null = null;
  let shown: { key: string; slots: number[]; part: GridPart } | null = null;

  const place = () => {
    const { manifest, numRows } = session.store;
    const numSlots = manifest?.slots.length ?? 0;
    waiting.hidden = numRows > 0 && numSlots > 0;
    if (numRows > 0 && !numSlots) waiting.textContent = "No pictures were recorded";
    // With the room of a scroll bar that only a zoom needs.
    const width = el.offsetWidth;
    if (!numSlots || !width || !numRows) return;
    if (opened !== null && opened >= numSlots) opened = null;
    fitted = fitGrid(session, opened, width);
    el.style.height = fitted.isHigh || zoom.factor > 1 ? `${fitted.height}px` : "";
    showPart();
  };
  /** Show the tiles that are in sight. */
  const showPart = () => {
    if (!fitted) return;
    const { slots, sizes } = fitted;
    const layout = zoomed(fitted.layout, sizes, zoom.factor, devicePixelRatio || 1);
    tiles.style.width = `${layout.columns * layout.tileWidth}px`;
    tiles.style.height = `${layout.rows * layout.tileHeight}px`;
    const part = partInSight(el, layout);
    const key = JSON.stringify([slots, layout, part]);
    if (key === shown?.key) return;
    const before = shown && isSame(shown.slots, slots) ? shown.part : null;
    shown = { key, slots, part };
    const copy = before && frames.copy();
    const { indices, layout: own } = cutOut(layout, slots.length, part);
    const visible = indices.map((index) => slots[index]!);
    overlay.place(slots, layout, indices);
    session.visibleSlots.set(player, visible);
    player.setLayout(visible, own);
    frames.place(own, part);
    tiles.classList.toggle("rv-enlarged", own.isEnlarged);
    // Till the pixels of this part come, those that were there stay in their places.
    if (copy) frames.drawCopy(copy, before, own, part);
    refresh();
  };
  const refresh = () => overlay.update(player.drawnRow, player.absent, player.missing);

  const zoom = createZoom({
    el,
    inner: tiles,
    onZoom: place,
    onMove: showPart,
    signal,
  });
  return {
    el,
    zoom,
    get opened() {
      return opened;
    },
    open(slot) {
      opened = slot;
      zoom.reset();
      place();
      el.classList.toggle("rv-alone", slot !== null);
    },
    place,
    refresh,
    reset() {
      opened = fitted = shown = null;
    },
  };
}

/** The tiles that the window shows any of, as far as it is scrolled now. */
function partInSight(el: HTMLElement, layout: Layout): GridPart {
  return partIn(layout, {
    x: el.scrollLeft,
    y: el.scrollTop,
    width: el.clientWidth,
    height: el.style.height ? el.clientHeight : Number.POSITIVE_INFINITY,
  });
}
