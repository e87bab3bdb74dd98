/**
 * The pictures: one canvas of frame pixels, and the overlay above it.
 *
 * Owns the player and its workers. One tile may be open alone. The canvas has the
 * tiles that are in sight and no other: these are decoded.
 */

import { Thumbnails } from "../../decode/thumbnails.ts";
import { numDecodeWorkers, WorkerPool } from "../../decode/worker-pool.ts";
import {
  cutOut,
  type GridPart,
  type Layout,
  layOut,
  layOutAlone,
  partIn,
  type Size,
  zoomed,
} from "../../playback/layout.ts";
import { Player, type Surface } from "../../playback/player.ts";
import type { Session } from "../../session/session.ts";
import { isSame } from "../../util/same.ts";
import { listen, make } from "../dom.ts";
import { slotsInSight } from "./camera-picker.ts";
import { createTileOverlay } from "./tile-overlay.ts";
import { createZoom, type Zoom } from "./zoom.ts";

export interface Grid {
  el: HTMLElement;
  player: Player;
  /** Small pictures of other rows, from the same workers. */
  thumbnails: Thumbnails;
  /** Open a slot alone; null: all of them. */
  open(slot: number | null): void;
  readonly opened: number | null;
  readonly zoom: Zoom;
  /** Draw the overlay anew. */
  refresh(): void;
}

/** About as wide as the tooltip's picture. */
const THUMBNAIL_PX = 160;
const MIN_HEIGHT_PX = 220;
/** Share of the window's height: the controls below stay in sight. */
const HEIGHT_SHARE = 0.56;
const FULL_HEIGHT_SHARE = 0.76;
/** A grid may be higher than its window by so much before it scrolls within one. */
const MAX_WINDOWS = 2;
const SCROLL_BAR_PX = 14;

export function createGrid(session: Session, signal: AbortSignal): Grid {
  const { store, clock, marks } = session;
  const canvas = make("canvas", { class: "rv-frames", width: 1, height: 1 });
  const overlay = createTileOverlay(session);
  const tiles = make("div", { class: "rv-grid" }, canvas, overlay.el);
  const waiting = make("div", { class: "rv-waiting" }, "Waiting for the first row");
  const el = make("div", { class: "rv-stage" }, tiles, waiting);
  const pool = new WorkerPool(numDecodeWorkers(), signal);
  const player = new Player(store, clock, pool, createSurface(canvas));
  player.onError = session.fail;
  session.playerStats.add(player.stats);
  let opened: number | null = null;
  let placed = "";
  let shown: { slots: number[]; part: GridPart } | null = null;
  let base: { slots: number[]; sizes: Size[]; layout: Layout } | null = null;

  /** Lay out what is to be shown, at no zoom. */
  const place = () => {
    const slots = store.manifest?.slots ?? [];
    waiting.hidden = store.numRows > 0 && slots.length > 0;
    if (store.numRows > 0 && !slots.length)
      waiting.textContent = "No pictures were recorded";
    // With the room of a scroll bar that only a zoom needs.
    const width = el.offsetWidth;
    if (!slots.length || !width || !store.numRows) return;
    if (opened !== null && opened >= slots.length) opened = null;
    const { together, slots: all } = slotsInSight(session);
    const chosen = opened === null ? all : [opened];
    const sizes = chosen.map((slot) => slots[slot]!);
    const share = document.fullscreenElement ? FULL_HEIGHT_SHARE : HEIGHT_SHARE;
    const height = Math.max(MIN_HEIGHT_PX, Math.round(innerHeight * share));
    const density = devicePixelRatio || 1;
    const fit = (width: number) =>
      opened === null
        ? layOut(sizes, { width, height, density }, store.manifest!.columns, together)
        : layOutAlone(sizes[0]!, { width, height, density });
    let layout = fit(width);
    // A grid that is higher than two windows scrolls within one, beside its scroll bar.
    const isHigh =
      opened === null && layout.rows * layout.tileHeight > MAX_WINDOWS * height;
    if (isHigh) layout = fit(width - SCROLL_BAR_PX);
    const full = layout.rows * layout.tileHeight;
    const seen = isHigh ? Math.max(height, layout.tileHeight) : full;
    el.style.height = isHigh || zoom.factor > 1 ? `${seen}px` : "";
    base = { slots: chosen, sizes, layout };
    showPart();
  };
  /** Show what of it is in sight. */
  const showPart = () => {
    if (!base) return;
    const { slots, sizes } = base;
    const layout = zoomed(base.layout, sizes, zoom.factor, devicePixelRatio || 1);
    tiles.style.width = `${layout.columns * layout.tileWidth}px`;
    tiles.style.height = `${layout.rows * layout.tileHeight}px`;
    const part = partIn(layout, {
      x: el.scrollLeft,
      y: el.scrollTop,
      width: el.clientWidth,
      height: el.style.height ? el.clientHeight : Number.POSITIVE_INFINITY,
    });
    const { indices, layout: own } = cutOut(layout, slots.length, part);
    const key = JSON.stringify([slots, layout, part]);
    if (key === placed) return;
    placed = key;
    const visible = indices.map((index) => slots[index]!);
    const before = shown && isSame(shown.slots, slots) ? copyOf(canvas) : null;
    overlay.place(slots, layout, indices);
    session.visibleSlots.set(player, visible);
    player.setLayout(visible, own);
    show(canvas, tiles, own, part);
    // Till the pixels of this part come, those that were there stay in their places.
    if (before) drawBefore(canvas, before, shown!.part, own, part);
    shown = { slots, part };
    refresh();
  };
  const refresh = () => {
    const row = player.drawnRow;
    overlay.update(row, player.absent, player.missing);
  };

  const zoom = createZoom({
    el,
    inner: tiles,
    onZoom: () => place(),
    onMove: () => showPart(),
    signal,
  });
  const observer = new ResizeObserver(place);
  observer.observe(el);
  signal.addEventListener("abort", () => {
    observer.disconnect();
    session.visibleSlots.delete(player);
  });
  store.onReset.on(() => {
    player.reset();
    placed = "";
    opened = null;
    base = null;
    shown = null;
  }, signal);
  listen(document, "fullscreenchange", signal, place);
  store.onManifest.on(place, signal);
  store.onData.on(place, signal);
  marks.onChange.on(refresh, signal);
  session.viewOptions.onChange.on(() => {
    place();
    refresh();
  }, signal);
  session.scalars.onChange.on(refresh, signal);
  player.onDraw.on(refresh, signal);

  const open = (slot: number | null) => {
    opened = slot;
    zoom.reset();
    place();
    el.classList.toggle("rv-alone", slot !== null);
  };
  listen(overlay.el, "click", signal, (event: MouseEvent) => {
    const slot = overlay.slotAt(event.clientX, event.clientY);
    if (slot === null || event.detail > 1) return;
    const { env } = store.manifest!.slots[slot]!;
    const isOnly = marks.selection.length === 1 && marks.selection[0] === env;
    if (event.shiftKey || event.ctrlKey || event.metaKey) {
      const others = marks.selection.filter((one) => one !== env);
      marks.select(marks.selection.includes(env) ? others : [...others, env]);
    } else marks.select(isOnly && opened === null ? [] : [env]);
  });
  listen(overlay.el, "dblclick", signal, (event: MouseEvent) => {
    const slot = overlay.slotAt(event.clientX, event.clientY);
    if (slot === null) return;
    marks.select([store.manifest!.slots[slot]!.env]);
    open(opened === null ? slot : null);
  });
  place();
  return {
    el,
    player,
    thumbnails: new Thumbnails(store, pool, {
      cacheSize: 0,
      reduction: ({ width }) => Math.round(width / THUMBNAIL_PX),
    }),
    open,
    zoom,
    refresh,
    get opened() {
      return opened;
    },
  };
}

/** Put the canvas where its tiles are; tests read from it where a tile is. */
function show(
  canvas: HTMLCanvasElement,
  tiles: HTMLElement,
  own: Layout,
  { columns, rows }: GridPart,
): void {
  canvas.style.left = `${columns[0] * own.tileWidth}px`;
  canvas.style.top = `${rows[0] * own.tileHeight}px`;
  canvas.style.width = `${own.columns * own.tileWidth}px`;
  canvas.style.height = `${own.rows * own.tileHeight}px`;
  tiles.classList.toggle("rv-enlarged", own.isEnlarged);
  canvas.dataset.columns = String(own.columns);
  canvas.dataset.reduction = String(own.reduction);
  canvas.dataset.cellWidth = String(own.cellWidth);
  canvas.dataset.cellHeight = String(own.cellHeight);
}

function copyOf(canvas: HTMLCanvasElement): OffscreenCanvas {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  copy.getContext("2d")?.drawImage(canvas, 0, 0);
  return copy;
}

/** Draw a copy of another part of the same tiles where they are now. */
function drawBefore(
  canvas: HTMLCanvasElement,
  before: OffscreenCanvas,
  was: GridPart,
  own: Layout,
  part: GridPart,
): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  context.imageSmoothingEnabled = false;
  context.drawImage(
    before,
    (was.columns[0] - part.columns[0]) * own.cellWidth,
    (was.rows[0] - part.rows[0]) * own.cellHeight,
    (was.columns[1] - was.columns[0]) * own.cellWidth,
    (was.rows[1] - was.rows[0]) * own.cellHeight,
  );
}

function createSurface(canvas: HTMLCanvasElement): Surface {
  // Patches come from memory and tests read pixels back: no trip to the GPU.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("[rollout_viewer] this browser draws no 2d canvas");
  return {
    resize(width, height) {
      canvas.width = width;
      canvas.height = height;
    },
    put(pixels, width, x, y) {
      context.putImageData(new ImageData(pixels, width), x, y);
    },
    clear(x, y, width, height) {
      context.clearRect(x, y, width, height);
    },
  };
}
