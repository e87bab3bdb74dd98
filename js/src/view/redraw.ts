/**
 * When a view is updated: the clock moves, rows come, time passes.
 *
 * `refresh` is cheap, and happens at every change. The traces of the timeline are drawn
 * anew at most once a frame, and only where they may have changed.
 */

import type { Clock } from "../playback/clock.ts";
import type { Player } from "../playback/player.ts";
import type { Session } from "../session/session.ts";
import { onDensity } from "../util/density.ts";
import { listen, onAbort, onResize } from "./dom.ts";
import type { Head } from "./head/head.ts";
import { followScheme } from "./scheme.ts";
import type { Timeline } from "./timeline/timeline.ts";

export interface RedrawParts {
  root: HTMLElement;
  session: Session;
  player: Player;
  timeline: Timeline;
  head: Head;
  /** Update all parts. */
  refresh: () => void;
  /** Update the inspector. */
  inspect: () => void;
  signal: AbortSignal;
}

/** Update the view whenever it has to be, until the signal. */
export function redrawOnChange(parts: RedrawParts): void {
  const { session, player, timeline, refresh, inspect, signal } = parts;
  const { store, clock, marks, viewOptions, scalars, details } = session;
  const redraw = createRedraw(timeline, player, signal);
  const refreshAll = () => {
    refresh();
    redraw();
  };
  const tick = createTicker(clock, player, signal);
  let range = "";
  clock.onChange.on(() => {
    if (clock.isPlaying) tick();
    else player.update();
    if (range !== String(clock.range)) {
      range = String(clock.range);
      redraw();
    }
    refresh();
  }, signal);
  store.onData.on(() => {
    player.update();
    refreshAll();
  }, signal);
  store.onManifest.on(refreshAll, signal);
  for (const part of [viewOptions, scalars, marks])
    part.onChange.on(refreshAll, signal);
  player.onDraw.on(refresh, signal);
  session.onCut.on(refresh, signal);
  session.onError.on(refresh, signal);
  details.onChange.on(inspect, signal);
  // "live" ends by itself.
  const timer = setInterval(() => parts.head.isLive && refresh(), 1000);
  onAbort(signal, () => clearInterval(timer));
  redrawWithWindow(parts.root, timeline.el, refreshAll, signal);
  // Nothing is drawn in a hidden tab: rows would pass unseen.
  listen(document, "visibilitychange", signal, () => {
    if (document.hidden) clock.pause();
  });
  refreshAll();
}

/** Return what draws the timeline's traces, once a frame however often it is called. */
function createRedraw(
  timeline: Timeline,
  player: Player,
  signal: AbortSignal,
): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      if (!signal.aborted) timeline.redraw(player.slots);
    });
  };
}

/** Return what starts to draw rows as they are due, until the clock pauses. */
export function createTicker(
  clock: Clock,
  player: Pick<Player, "update">,
  signal: AbortSignal,
): () => void {
  let frame = 0;
  const onFrame = (now: number) => {
    frame = 0;
    clock.tick(now);
    player.update(now);
    if (clock.isPlaying) tick();
  };
  const tick = () => {
    // One at a time: a row that is due asks for the next frame too.
    frame ||= requestAnimationFrame(onFrame);
  };
  onAbort(signal, () => cancelAnimationFrame(frame));
  return tick;
}

/** Redraw in another size, in other colours and on another screen. */
function redrawWithWindow(
  root: HTMLElement,
  el: HTMLElement,
  redraw: () => void,
  signal: AbortSignal,
): void {
  onResize([el], signal, redraw);
  followScheme(root, redraw, signal);
  onDensity(redraw, signal);
}
