/** One view of a session: puts the parts together and updates them. */

import type { Session } from "../session/session.ts";
import { createActions } from "./actions.ts";
import { createAlerts } from "./alerts.ts";
import { make } from "./dom.ts";
import { createDumpPanel } from "./dump/dump.ts";
import { keepFocus } from "./focus.ts";
import { formatCount } from "./format.ts";
import { createGrid } from "./grid/grid.ts";
import { createArrangementPanel } from "./head/arrangement.ts";
import { createHead } from "./head/head.ts";
import { followHeight } from "./height.ts";
import { createHelp } from "./help.ts";
import type { Action } from "./keymap.ts";
import { createToasts } from "./parts/toast.ts";
import { redrawOnChange } from "./redraw.ts";
import { listenToKeys, setUpRoot, updateRoot } from "./root.ts";
import { createComparisonPanel } from "./side/comparison.ts";
import { createEpisodeTable } from "./side/episode-table.ts";
import { createInspector } from "./side/inspector.ts";
import { createNotes } from "./side/notes.ts";
import { createSide, type Panel } from "./side/side.ts";
import { createSpoken } from "./spoken.ts";
import { createTimeline } from "./timeline/timeline.ts";
import { createTransport } from "./transport/transport.ts";

export function mountViewer(
  root: HTMLElement,
  session: Session,
  signal: AbortSignal,
): void {
  const { store, clock, marks } = session;
  const perform = (action: Action) => {
    actions[action]();
    refresh();
  };
  const leave = () => root.focus({ preventScroll: true });
  setUpRoot(root);
  const grid = createGrid(session, signal);
  const { player } = grid;
  const inspector = createInspector(session, signal);
  const table = createEpisodeTable(session, () => perform("open"), signal);
  const comparison = createComparisonPanel(session, grid, signal);
  const notes = createNotes(session, leave, signal);
  // Without pictures the clock's row is shown as it is.
  const shownRow = () => (store.manifest?.slots.length ? player.drawnRow : clock.row);
  const inspect = () => inspector.update(shownRow());
  const panels: Panel[] = [
    { name: "inspector", title: "Inspector", ...inspector, update: inspect },
    {
      name: "episodes",
      title: "Episodes",
      count: () => countOf(store.recorded.steps.episodes.count),
      ...table,
    },
    { name: "compare", title: "Compare", ...comparison },
    {
      name: "notes",
      title: "Notes",
      count: () => countOf(marks.bookmarks.length),
      ...notes,
    },
  ];
  const side = createSide(panels, session.viewOptions, leave, signal);
  const timeline = createTimeline(session, grid, signal);
  const help = createHelp(signal);
  const transport = createTransport(session, perform, signal);
  const dumps = createDumpPanel(session, signal);
  const arrangement = createArrangementPanel(session, signal);
  const alerts = createAlerts(session, signal);
  const toasts = createToasts(signal);
  grid.notify = toasts.show;
  const fields = [arrangement.field, ...(dumps ? [dumps.field] : [])];
  const head = createHead({ session, grid, side, fields, perform, signal });
  root.replaceChildren(
    head.el,
    ...alerts.els,
    arrangement.el,
    make("div", { class: "rv-main" }, grid.el, side.el),
    timeline.el,
    transport.el,
    ...(dumps ? [dumps.el] : []),
    toasts.el,
    help.el,
    createSpoken(session, signal),
  );
  followHeight({ root, session, grid, signal });
  const actions = createActions({ session, root, grid, help, notes, side });
  const isAnythingOpen = () =>
    help.isOpen || side.isOpen || grid.opened !== null || marks.selection.length > 0;
  listenToKeys(root, perform, isAnythingOpen, signal);
  const focus = keepFocus(root, signal);

  const updated = [head, alerts, transport, timeline, dumps, arrangement, side];
  const refresh = () => {
    for (const part of updated) part?.update();
    updateRoot(root, session, shownRow(), head.isLive);
    focus.restore();
  };
  redrawOnChange({ root, session, player, timeline, head, refresh, inspect, signal });
}

const countOf = (count: number) => (count ? formatCount(count) : "");
