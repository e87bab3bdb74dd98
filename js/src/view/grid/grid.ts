/**
 * The pictures: canvases of frame pixels, and the overlay above them.
 *
 * Owns the player and its workers. One tile may be open alone. There are canvases of the
 * tiles that are in sight and of no others: these are decoded.
 */

import { type Thumbnail, Thumbnails } from "../../decode/thumbnails.ts";
import { numDecodeWorkers, WorkerPool } from "../../decode/worker-pool.ts";
import { Player } from "../../playback/player.ts";
import type { Session } from "../../session/session.ts";
import { onDensity } from "../../util/density.ts";
import { listen, onAbort, onResize } from "../dom.ts";
import type { Toast } from "../parts/toast.ts";
import { createFrameCopy } from "./frame-copy.ts";
import { Frames } from "./frames.ts";
import { followPreviews } from "./preview-part.ts";
import { createStage, type Stage } from "./stage.ts";
import { followTileClicks } from "./tile-clicks.ts";
import { followTileKeys } from "./tile-keys.ts";
import { createTileMenu, toastOf } from "./tile-menu.ts";
import { createTileOverlay, type TileOverlay } from "./tile-overlay.ts";
import type { Zoom } from "./zoom.ts";

export interface Grid {
  el: HTMLElement;
  player: Player;
  /** The pictures that are shown now. */
  frames: Frames;
  /** Small pictures of other rows, from the same workers. */
  thumbnails: Thumbnails;
  /** Open a slot alone; null: all of them. */
  open(slot: number | null): void;
  readonly opened: number | null;
  readonly zoom: Zoom;
  /** Draw the overlay anew. */
  refresh(): void;
  /** The exact picture of a recorded row; the next one is asked for when it is here. */
  readPicture(row: number, slot: number): Promise<Thumbnail | null>;
  /** Copy the picture of the selected tile as a PNG; else of the first tile. */
  copyFrame(): Promise<void>;
  /** Save it as a file. */
  saveFrame(): Promise<void>;
  /** Height in CSS pixels, of no more than this, that the pictures need at their width. */
  wantedHeight(most: number): number;
  /** Called before rows that came are laid out: there may be more room for them. */
  onRows: () => void;
  /** Shows what was copied or saved. */
  notify: (toast: Toast) => void;
}

/** About as wide as the tooltip's picture. */
const THUMBNAIL_PX = 160;

export function createGrid(session: Session, signal: AbortSignal): Grid {
  const { store, clock } = session;
  const frames = new Frames();
  const overlay = createTileOverlay(session);
  const pool = new WorkerPool(numDecodeWorkers(), signal);
  const player = new Player(store, clock, pool, frames);
  player.onError = session.fail;
  session.playerStats.add(player.stats);
  const stage = createStage({ session, frames, overlay, player, signal });
  // Of two askers one would not get its answer.
  const [exact, reader] = [0, 1].map(
    () => new Thumbnails(store, pool, { cacheSize: 0, reduction: () => 1 }),
  ) as [Thumbnails, Thumbnails];
  const frameCopy = createFrameCopy(session, exact, signal);
  const notify = (toast: Toast) => grid.notify(toast);
  const drawnRow = () => player.drawnRow;
  const parts = { session, overlay, stage, signal };
  const menu = createTileMenu({ ...parts, frameCopy, drawnRow, notify });
  stage.el.append(menu.el);
  followChanges(session, player, stage, () => grid.onRows(), signal);
  followSize(stage, signal);
  followPreviews(session, player, signal);
  followTileClicks(parts);
  followTileKeys({ ...parts, menu });
  nameAtRest(session, player, overlay, signal);
  onAbort(signal, () => session.visibleSlots.delete(player));
  stage.place();
  const grid: Grid = {
    el: stage.el,
    player,
    frames,
    thumbnails: new Thumbnails(store, pool, {
      cacheSize: 0,
      reduction: ({ width }) => Math.round(width / THUMBNAIL_PX),
    }),
    open: stage.open,
    zoom: stage.zoom,
    refresh: stage.refresh,
    get opened() {
      return stage.opened;
    },
    readPicture: (row, slot) => new Promise((done) => reader.request(row, slot, done)),
    async copyFrame() {
      const slot = chosenSlot(session, stage, player);
      if (slot === undefined) return;
      notify(toastOf(await frameCopy.copy(slot, player.drawnRow)));
    },
    async saveFrame() {
      const slot = chosenSlot(session, stage, player);
      if (slot === undefined) return;
      notify(toastOf(await frameCopy.save(slot, player.drawnRow)));
    },
    wantedHeight: stage.wantedHeight,
    onRows: () => {},
    notify: () => {},
  };
  return grid;
}

/** The slot that is open alone, of the selected tile, or the first. */
function chosenSlot(
  { store, marks }: Session,
  { opened }: Stage,
  { slots }: Player,
): number | undefined {
  const all = store.manifest?.slots ?? [];
  const selected = all.findIndex(({ env }) => env === marks.selection[0]);
  return opened ?? (selected < 0 ? slots[0] : selected);
}

/** Lay out anew what came or was chosen, or only draw the overlay anew. */
function followChanges(
  session: Session,
  player: Player,
  stage: Stage,
  onRows: () => void,
  signal: AbortSignal,
): void {
  const { store, marks, viewOptions, scalars } = session;
  const { place, refresh, reset } = stage;
  store.onReset.on(() => {
    player.reset();
    reset();
  }, signal);
  store.onManifest.on(place, signal);
  store.onData.on(() => {
    onRows();
    place();
  }, signal);
  session.onCut.on(place, signal);
  marks.onChange.on(refresh, signal);
  viewOptions.onChange.on(() => {
    place();
    refresh();
  }, signal);
  scalars.onChange.on(refresh, signal);
  player.onDraw.on(refresh, signal);
  // Tiles whose text is hidden write it when they are pointed at.
  for (const type of ["pointerover", "focusin"])
    listen(stage.el, type, signal, refresh);
}

/** Lay out anew when there is more room, or less. */
function followSize({ el, place }: Stage, signal: AbortSignal): void {
  onResize([el], signal, place);
  listen(document, "fullscreenchange", signal, place);
  onDensity(place, signal);
}

/** So long nothing changes before the tiles are given new names. */
const REST_MS = 250;

/** Name the tiles when nothing moves any more: names of each frame would be of no use. */
function nameAtRest(
  { clock, marks }: Session,
  player: Player,
  overlay: TileOverlay,
  signal: AbortSignal,
): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const start = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!clock.isPlaying) overlay.nameTiles(player.drawnRow);
    }, REST_MS);
  };
  player.onDraw.on(start, signal);
  clock.onChange.on(start, signal);
  marks.onChange.on(start, signal);
  onAbort(signal, () => clearTimeout(timer));
}
