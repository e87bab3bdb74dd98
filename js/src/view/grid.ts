/**
 * The pictures: one canvas of frame pixels, and the overlay above it.
 *
 * Owns the player and its workers. One tile may be open alone.
 */

import { Farm } from "../farm.ts";
import { type Layout, layOut, layOutAlone } from "../layout.ts";
import { Peek } from "../peek.ts";
import { Player, type Surface } from "../player.ts";
import type { Session } from "../session.ts";
import { listen, make } from "./dom.ts";
import { overlayOf } from "./overlay.ts";

export interface Grid {
  el: HTMLElement;
  player: Player;
  /** Small pictures of other rows, from the same workers. */
  peek: Peek;
  /** Open a slot alone; null: all of them. */
  open(slot: number | null): void;
  readonly opened: number | null;
  /** Draw the overlay anew. */
  refresh(): void;
}

/** Decoding takes whole cores; more than four gain nothing at 60 rows a second. */
const MAX_WORKERS = 4;
const MIN_HEIGHT_PX = 220;
/** Share of the window's height: the controls below stay in sight. */
const HEIGHT_SHARE = 0.56;
const FULL_HEIGHT_SHARE = 0.76;

export function gridOf(session: Session, signal: AbortSignal): Grid {
  const { store, clock, marks } = session;
  const canvas = make("canvas", { class: "rv-frames", width: 1, height: 1 });
  const overlay = overlayOf(session);
  const tiles = make("div", { class: "rv-grid" }, canvas, overlay.el);
  const waiting = make("div", { class: "rv-waiting" }, "Waiting for the first row");
  const el = make("div", { class: "rv-stage" }, tiles, waiting);
  const numWorkers = Math.max(1, Math.min(MAX_WORKERS, navigator.hardwareConcurrency));
  const farm = new Farm(numWorkers, signal);
  const player = new Player(store, clock, farm, surfaceOf(canvas));
  player.onError = session.fail;
  session.played.add(player.stats);
  let opened: number | null = null;
  let placed = "";

  const place = () => {
    const slots = store.manifest?.slots ?? [];
    waiting.hidden = store.numRows > 0 && slots.length > 0;
    if (store.numRows > 0 && !slots.length)
      waiting.textContent = "No pictures were recorded";
    const width = el.clientWidth;
    if (!slots.length || !width || !store.numRows) return;
    if (opened !== null && opened >= slots.length) opened = null;
    const shown = opened === null ? slots.map((_, index) => index) : [opened];
    const sizes = shown.map((slot) => slots[slot]!);
    const share = document.fullscreenElement ? FULL_HEIGHT_SHARE : HEIGHT_SHARE;
    const height = Math.max(MIN_HEIGHT_PX, Math.round(innerHeight * share));
    const space = { width, height, density: devicePixelRatio || 1 };
    const layout =
      opened === null
        ? layOut(sizes, space, store.manifest!.columns)
        : layOutAlone(sizes[0]!, space);
    const key = JSON.stringify([shown, layout]);
    if (key === placed) return;
    placed = key;
    show(canvas, tiles, layout);
    overlay.place(shown, layout);
    session.looked.set(player, shown);
    player.setLayout(shown, layout);
    refresh();
  };
  const refresh = () => {
    const row = player.drawnRow;
    overlay.update(row, player.absent, player.missing);
  };

  const observer = new ResizeObserver(place);
  observer.observe(el);
  signal.addEventListener("abort", () => {
    observer.disconnect();
    session.looked.delete(player);
  });
  store.onReset.on(() => {
    player.reset();
    placed = "";
    opened = null;
  }, signal);
  listen(document, "fullscreenchange", signal, place);
  store.onManifest.on(place, signal);
  store.onData.on(place, signal);
  marks.onChange.on(refresh, signal);
  session.looks.onChange.on(refresh, signal);
  session.columns.onChange.on(refresh, signal);
  player.onDraw.on(refresh, signal);

  const open = (slot: number | null) => {
    opened = slot;
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
    peek: new Peek(store, farm),
    open,
    refresh,
    get opened() {
      return opened;
    },
  };
}

/** Give canvas and tiles their sizes, and tell tests where a tile is. */
function show(canvas: HTMLCanvasElement, tiles: HTMLElement, layout: Layout): void {
  const width = layout.columns * layout.tileWidth;
  const height = layout.rows * layout.tileHeight;
  tiles.style.width = `${width}px`;
  tiles.style.height = `${height}px`;
  tiles.classList.toggle("rv-enlarged", layout.isEnlarged);
  canvas.dataset.columns = String(layout.columns);
  canvas.dataset.reduction = String(layout.reduction);
  canvas.dataset.cellWidth = String(layout.cellWidth);
  canvas.dataset.cellHeight = String(layout.cellHeight);
}

function surfaceOf(canvas: HTMLCanvasElement): Surface {
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
