/**
 * The pictures: one canvas of frame pixels, and the overlay above it.
 *
 * Owns the player and its workers. One tile may be open alone. The canvas has the
 * tiles that are in sight and no other: these are decoded.
 */

import { Thumbnails } from "../../decode/thumbnails.ts";
import { numDecodeWorkers, WorkerPool } from "../../decode/worker-pool.ts";
import { Player } from "../../playback/player.ts";
import type { Session } from "../../session/session.ts";
import { onDensity } from "../../util/density.ts";
import { listen } from "../dom.ts";
import { FramesCanvas } from "./frames-canvas.ts";
import { createStage, type Stage } from "./stage.ts";
import { followTileClicks } from "./tile-clicks.ts";
import { createTileOverlay } from "./tile-overlay.ts";
import type { Zoom } from "./zoom.ts";

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

export function createGrid(session: Session, signal: AbortSignal): Grid {
  const { store, clock } = session;
  const frames = new FramesCanvas();
  const overlay = createTileOverlay(session);
  const pool = new WorkerPool(numDecodeWorkers(), signal);
  const player = new Player(store, clock, pool, frames);
  player.onError = session.fail;
  session.playerStats.add(player.stats);
  const stage = createStage({ session, frames, overlay, player, signal });
  followChanges(session, player, stage, signal);
  followSize(stage, signal);
  followTileClicks({ session, overlay, stage, signal });
  signal.addEventListener("abort", () => session.visibleSlots.delete(player));
  stage.place();
  return {
    el: stage.el,
    player,
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
  };
}

/** Lay out anew what came or was chosen, or only draw the overlay anew. */
function followChanges(
  session: Session,
  player: Player,
  stage: Stage,
  signal: AbortSignal,
): void {
  const { store, marks, viewOptions, scalars } = session;
  const { place, refresh, reset } = stage;
  store.onReset.on(() => {
    player.reset();
    reset();
  }, signal);
  store.onManifest.on(place, signal);
  store.onData.on(place, signal);
  marks.onChange.on(refresh, signal);
  viewOptions.onChange.on(() => {
    place();
    refresh();
  }, signal);
  scalars.onChange.on(refresh, signal);
  player.onDraw.on(refresh, signal);
}

/** Lay out anew when there is more room, or less. */
function followSize({ el, place }: Stage, signal: AbortSignal): void {
  const observer = new ResizeObserver(place);
  observer.observe(el);
  signal.addEventListener("abort", () => observer.disconnect());
  listen(document, "fullscreenchange", signal, place);
  onDensity(place, signal);
}
