/** What keys and buttons do. */

import { SPEEDS } from "../playback/clock.ts";
import { linkOf } from "../session/link.ts";
import type { Session } from "../session/session.ts";
import { copyText } from "./clipboard.ts";
import type { Grid } from "./grid/grid.ts";
import { ZOOM_IN, ZOOM_OUT } from "./grid/zoom.ts";
import type { Help } from "./help.ts";
import type { Action } from "./keymap.ts";
import type { Toasts } from "./parts/toast.ts";
import type { Notes } from "./side/notes.ts";
import type { Side } from "./side/side.ts";
import { nextLoop } from "./transport/transport.ts";

export interface ActionParts {
  session: Session;
  root: HTMLElement;
  grid: Grid;
  help: Help;
  notes: Notes;
  side: Side;
  toasts: Toasts;
}

export function createActions(parts: ActionParts): Record<Action, () => void> {
  return {
    ...createPlayback(parts),
    ...createTileActions(parts),
    ...createPanelActions(parts),
    ...createCopies(parts),
  };
}

/** The playhead: where it is, how fast it moves, and between which rows. */
function createPlayback({ session }: ActionParts) {
  const { clock, marks, store } = session;
  const stepToEnd = (direction: 1 | -1) => {
    const env = marks.selection.length === 1 ? marks.selection[0]! : null;
    const row = store.steps.findEnd(clock.row, direction, env);
    if (row !== null && row >= store.firstRow) clock.step(row - clock.row);
  };
  return {
    toggle: () => clock.toggle(),
    back: () => clock.step(-1),
    forward: () => clock.step(1),
    back10: () => clock.step(-10),
    forward10: () => clock.step(10),
    first: () => {
      clock.pause();
      clock.seek(clock.bounds[0]);
    },
    last: () => {
      clock.pause();
      if (store.manifest?.is_live) clock.follow();
      else clock.seek(clock.bounds[1] - 1);
    },
    previousEnd: () => stepToEnd(-1),
    nextEnd: () => stepToEnd(1),
    ...createTenths(session),
    markIn: () => clock.mark("in", clock.row),
    markOut: () => clock.mark("out", clock.row),
    unmark: () => clock.unmark(),
    loop: () => clock.setLoop(nextLoop(clock)),
    follow: () => clock.follow(!clock.isFollowing),
    slower: () =>
      clock.setSpeed(SPEEDS.findLast((speed) => speed < clock.speed) ?? clock.speed),
    faster: () =>
      clock.setSpeed(SPEEDS.find((speed) => speed > clock.speed) ?? clock.speed),
  };
}

type Tenth = Extract<Action, `tenth${string}`>;

/** Nine tenths of what there is are at 9. */
function createTenths({ clock }: Session): Record<Tenth, () => void> {
  const goTo = (digit: number) => () => {
    const [first, stop] = clock.bounds;
    clock.seek(first + Math.round(((stop - 1 - first) * digit) / 10));
  };
  const entries = [...Array(10).keys()].map((digit) => [`tenth${digit}`, goTo(digit)]);
  return Object.fromEntries(entries) as Record<Tenth, () => void>;
}

/** Which tile is selected, which is opened, and how large all of them are. */
function createTileActions({ session, grid }: ActionParts) {
  const { marks, store } = session;
  const { zoom } = grid;
  const slots = () => store.manifest?.slots ?? [];
  const open = () => {
    const env = marks.selection[0] ?? slots()[0]?.env;
    const slot = slots().findIndex((one) => one.env === env);
    if (slot >= 0) grid.open(slot);
  };
  const selectTile = (by: 1 | -1) => {
    const envs = [...new Set(slots().map((slot) => slot.env))];
    if (!envs.length) return;
    const now = envs.indexOf(marks.selection[0] ?? -1);
    const next = now < 0 ? (by > 0 ? 0 : envs.length - 1) : now + by;
    marks.select([envs[(next + envs.length) % envs.length]!]);
    if (grid.opened !== null) open();
  };
  return {
    open,
    nextTile: () => selectTile(1),
    previousTile: () => selectTile(-1),
    zoomIn: () => zoom.set(zoom.factor * ZOOM_IN),
    zoomOut: () => zoom.set(zoom.factor * ZOOM_OUT),
    zoomReset: () => zoom.reset(),
    zoomPixels: () => zoom.showActual(),
    zoomDouble: () => {
      zoom.showActual();
      zoom.set(2 * zoom.factor);
    },
  };
}

/** What is put into the clipboard, and taken back. */
function createCopies({ session, grid, toasts }: ActionParts) {
  return {
    copyFrame: () => void grid.copyFrame(),
    copyLink: async () => {
      const link = linkOf(session);
      const isCopied = await copyText(link);
      const text = isCopied ? "Link copied" : "Copy this link";
      toasts.show({ text, code: link, kind: "done", key: "link" });
    },
    undo: () => {
      const step = session.undo.undo();
      if (step) toasts.show({ text: `Undone: ${step.text}`, key: "undo" });
    },
  };
}

/** What is shown beside the tiles, bookmarks too; `leave` closes one part after another. */
function createPanelActions(parts: ActionParts) {
  const { session, root, grid, help, notes, side } = parts;
  const { marks, viewOptions } = session;
  return {
    bookmark: () => {
      const { row } = session.place();
      const isNew = !marks.bookmarks.includes(row);
      session.bookmark(row);
      side.open("notes");
      notes.writeAt(row, isNew);
    },
    unbookmark: () => session.unbookmark(session.place().row),
    episodes: () => side.toggle("episodes"),
    labels: () => viewOptions.set({ hasText: !viewOptions.now.hasText }),
    inspect: () => side.toggle("inspector"),
    full: () => {
      if (document.fullscreenElement === root) document.exitFullscreen();
      else root.requestFullscreen?.().catch(session.fail);
    },
    leave: () => {
      if (help.isOpen) help.toggle(false);
      else if (side.isOpen) side.close();
      else if (grid.opened !== null) grid.open(null);
      else marks.select([]);
    },
    help: () => help.toggle(),
  };
}
