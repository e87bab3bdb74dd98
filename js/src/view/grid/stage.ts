/** The window onto the grid: lays out its tiles, and shows those that are in sight. */

import { cellsIn } from "../../playback/cells.ts";
import {
  actual,
  cornerOf,
  heightOf,
  type Layout,
  partIn,
  widthOf,
  zoomed,
} from "../../playback/layout.ts";
import type { Player } from "../../playback/player.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import { createEmpty } from "./empty.ts";
import { type FittedGrid, fitGrid } from "./fit.ts";
import type { Frames } from "./frames.ts";
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
  /** Height in CSS pixels, of no more than this, that the pictures need at its width. */
  wantedHeight(most: number): number;
  /** Scroll to a slot's tile, if a part of it is out of sight. */
  reveal(slot: number): void;
}

export interface StageParts {
  session: Session;
  frames: Frames;
  overlay: TileOverlay;
  player: Player;
  signal: AbortSignal;
}

/** Around the grid; stage.css has the same. */
const EDGE_PX = 8;

export function createStage(parts: StageParts): Stage {
  const { session, frames, overlay, player, signal } = parts;
  const tiles = make("div", { class: "rv-grid" }, frames.el, overlay.el);
  const empty = createEmpty(session);
  const el = make("div", { class: "rv-stage" }, tiles, empty.el);
  let opened: number | null = null;
  let fitted: FittedGrid | null = null;
  let layout: Layout | null = null;
  let shown = "";

  /** The room for pictures, with that of a scroll bar that only a zoom needs. */
  const spaceNow = () => ({
    width: Math.max(1, el.offsetWidth - 2 * EDGE_PX),
    height: Math.max(1, el.offsetHeight - 2 * EDGE_PX),
    density: devicePixelRatio || 1,
    hasCaptions: session.viewOptions.hasCaptions,
  });
  const place = () => {
    const hasPictures = empty.update();
    tiles.hidden = !hasPictures;
    if (!hasPictures || !el.offsetWidth) return;
    const numSlots = session.store.manifest!.slots.length;
    if (opened !== null && opened >= numSlots) opened = null;
    fitted = fitGrid(session, opened, spaceNow());
    layOutTiles();
    showPart();
  };
  const layOutTiles = () => {
    if (!fitted) return;
    const { slots, layout: base, space } = fitted;
    layout = zoom.isActual
      ? actual(base, slots.length, space)
      : zoomed(base, slots.length, zoom.factor, space);
    tiles.style.width = `${widthOf(layout)}px`;
    tiles.style.height = `${heightOf(layout)}px`;
  };
  /** Show the tiles that are in sight. */
  const showPart = () => {
    if (!fitted || !layout) return;
    const { slots, sizes, space } = fitted;
    const part = partIn(layout, {
      x: el.scrollLeft - tiles.offsetLeft,
      y: el.scrollTop - tiles.offsetTop,
      width: el.clientWidth,
      height: el.clientHeight,
    });
    const key = JSON.stringify([slots, sizes, layout, part, space.density]);
    if (key === shown) return;
    shown = key;
    const { density } = space;
    const cells = cellsIn(layout, slots, sizes, part, density);
    overlay.place({ slots, layout, cells });
    session.visibleSlots.set(
      player,
      cells.map(({ slot }) => slot),
    );
    player.setCells(cells, frames.place({ layout, part, cells, sizes, density }));
    refresh();
  };
  const refresh = () => {
    overlay.update(player);
    el.classList.toggle("rv-previews", player.previewed.length > 0);
  };

  const zoom = createZoom({
    el,
    inner: tiles,
    layout: () => layout,
    fitScale: () => fitted?.layout.scale ?? 1,
    middle: () => middleOfSelected(session, fitted, layout),
    onZoom: layOutTiles,
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
      opened = fitted = layout = null;
      shown = "";
      frames.reset();
    },
    wantedHeight(most) {
      if (!empty.update()) return 0;
      const space = { ...spaceNow(), height: Math.max(1, most - 2 * EDGE_PX) };
      return heightOf(fitGrid(session, opened, space).layout) + 2 * EDGE_PX;
    },
    reveal(slot) {
      const index = fitted?.slots.indexOf(slot) ?? -1;
      if (index < 0 || !layout) return;
      revealTile(el, tiles, layout, index);
      showPart();
    },
  };
}

/** The middle of the first selected tile, in the grid; null: none is selected. */
function middleOfSelected(
  { marks, store }: Session,
  fitted: FittedGrid | null,
  layout: Layout | null,
): { x: number; y: number } | null {
  const env = marks.selection[0];
  if (env === undefined || !fitted || !layout) return null;
  const all = store.manifest?.slots ?? [];
  const index = fitted.slots.findIndex((slot) => all[slot]?.env === env);
  if (index < 0) return null;
  const { x, y } = cornerOf(layout, index);
  return { x: x + layout.tileWidth / 2, y: y + layout.tileHeight / 2 };
}

function revealTile(
  el: HTMLElement,
  tiles: HTMLElement,
  layout: Layout,
  index: number,
): void {
  const corner = cornerOf(layout, index);
  const move = (now: number, room: number, start: number, length: number) =>
    Math.min(Math.max(now, start + length - room), start);
  const { tileWidth, tileHeight, caption } = layout;
  const [x, y] = [tiles.offsetLeft + corner.x, tiles.offsetTop + corner.y];
  el.scrollTo(
    move(el.scrollLeft, el.clientWidth, x, tileWidth),
    move(el.scrollTop, el.clientHeight, y, tileHeight + caption),
  );
}
