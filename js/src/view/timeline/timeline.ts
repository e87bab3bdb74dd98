/**
 * The timeline: a ruler, a track for each chosen scalar, lanes of segments and ends, and
 * an overview of all rows with the window of those that are in sight.
 */

import { rowAtX, xOf } from "../../recording/downsample.ts";
import type { Session } from "../../session/session.ts";
import { pointIn } from "../../util/scale.ts";
import { make } from "../dom.ts";
import type { Grid } from "../grid/grid.ts";
import { inspectedEnv } from "../side/inspector.ts";
import { followGestures } from "./gestures.ts";
import { createLanes } from "./lanes.ts";
import { createOverview } from "./overview.ts";
import { createPaletteReader, type Palette } from "./palette.ts";
import { createRangeHandles } from "./range-handles.ts";
import { RowWindow } from "./row-window.ts";
import { createPlayhead, createScrub } from "./scrub.ts";
import { createTooltip } from "./tooltip.ts";
import { createTrackList } from "./track-list.ts";
import { createAddButton } from "./track-menu.ts";
import { createWindowMemory } from "./window-memory.ts";

export interface Timeline {
  el: HTMLElement;
  /** Draw all of it anew: rows came, or something was selected or marked. */
  redraw(slots: readonly number[]): void;
  /** Follow the playhead. */
  update(): void;
}

/** Several views may be in one document. */
let numTimelines = 0;

export function createTimeline(
  session: Session,
  { thumbnails, player }: Pick<Grid, "thumbnails" | "player">,
  signal: AbortSignal,
): Timeline {
  const { clock, store } = session;
  const rows = new RowWindow();
  const tracks = createTrackList(session, signal);
  tracks.el.id = `rv-tracks-${numTimelines++}`;
  const lanes = createLanes(session, createAddButton(session, signal));
  const scrub = createScrub(session, signal);
  const playhead = createPlayhead();
  const palettes = createPaletteReader();
  let palette: Palette | null = null;
  let width = 0;
  let isAsked = false;
  const memory = createWindowMemory(session, rows, signal);

  const rowAt = (clientX: number) => {
    const row = rowAtX(pointIn(plot, clientX, 0).x, rows, width);
    return Math.max(rows.all.from, Math.min(rows.all.to, row));
  };
  const handles = createRangeHandles(clock, rowAt, signal);
  const overview = createOverview({
    rows,
    controls: tracks.el.id,
    seek: (row) => clock.seek(row),
    onMove: () => move(),
    signal,
  });
  const plot = make(
    "div",
    { class: "rv-plot" },
    handles.el,
    scrub.el,
    playhead.el,
    palettes.el,
  );
  const el = make(
    "div",
    { class: "rv-timeline", role: "group", "aria-label": "Timeline" },
    lanes.ruler,
    tracks.el,
    lanes.segments,
    lanes.ends,
    make(
      "div",
      { class: "rv-lane" },
      make("div", { class: "rv-gutter" }, "overview"),
      overview.el,
    ),
    plot,
  );

  const place = () => {
    playhead.place(Math.round(xOf(clock.row, rows, width)), width, clock.row);
    handles.place(rows, width);
    overview.place(clock.row, width);
  };
  const draw = () => {
    if (!width || !palette) return;
    const paper = { width, density: devicePixelRatio || 1, span: rows, palette };
    lanes.draw(paper);
    tracks.draw(paper);
    place();
    hint.update();
    memory.note();
  };
  /** Draw in the next frame, however often the window moves till then. */
  const ask = () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      if (!signal.aborted) draw();
    });
  };
  /** Draw a window that the user moved. */
  const move = () => {
    memory.forget();
    ask();
  };
  const episodeAt = (row: number) => store.steps.episodeAt(row, inspectedEnv(session));
  followGestures({ el, plot, clock, rows, rowAt, episodeAt, onMove: move, signal });
  const hint = createTooltip({
    session,
    thumbnails,
    el,
    plot,
    rowAt,
    xOfRow: (row) => xOf(row, rows, width),
    describe: tracks.describe,
    preview: (row) => player.preview(row),
    signal,
  });
  el.append(hint.el);

  return {
    el,
    redraw(slots) {
      rows.setBounds(...clock.bounds);
      memory.restore();
      tracks.refresh();
      tracks.update(clock.row);
      lanes.refresh();
      palette = palettes.read();
      width = plot.clientWidth;
      tracks.measure();
      const paper = { width, density: devicePixelRatio || 1, span: rows, palette };
      if (width) overview.draw(paper, store.buffered(slots), tracks.main);
      draw();
    },
    update() {
      const before = rows.from + rows.to;
      rows.setBounds(...clock.bounds);
      rows.follow(clock);
      memory.restore();
      if (rows.from + rows.to !== before) ask();
      else if (width) place();
      scrub.update();
      tracks.update(clock.row);
    },
  };
}
