/** One view of a session: puts the parts together and updates them. */

import type { Session } from "../session/session.ts";
import { createActions } from "./actions.ts";
import { createAlerts } from "./alerts.ts";
import { make } from "./dom.ts";
import { createDumpPanel } from "./dump/dump.ts";
import { createSaveMenu } from "./dump/save.ts";
import { keepFocus } from "./focus.ts";
import { formatCount } from "./format.ts";
import { createGrid } from "./grid/grid.ts";
import { createArrangementPanel } from "./head/arrangement.ts";
import { createHead } from "./head/head.ts";
import { followHeight } from "./height.ts";
import { createHelp } from "./help.ts";
import type { Action } from "./keymap.ts";
import { createToasts, type Toasts } from "./parts/toast.ts";
import { createTooltips } from "./parts/tooltip.ts";
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
  const help = createHelp(leave, signal);
  const transport = createTransport(session, perform, signal);
  const spoken = createSpoken(session, signal);
  const toasts = createToasts(signal, spoken.say);
  const dumps = session.jobs
    ? createDumpPanel(session, session.jobs, toasts, signal)
    : createSaveMenu(session, grid, toasts, signal);
  const arrangement = createArrangementPanel(session, signal);
  const alerts = createAlerts(session, spoken.say, signal);
  grid.notify = toasts.show;
  offerUndo(root, session, toasts, perform, signal);
  const head = createHead({
    session,
    grid,
    side,
    arrangement: arrangement.tool,
    dump: dumps.tools,
    perform,
    signal,
  });
  root.replaceChildren(
    head.el,
    ...alerts.els,
    arrangement.el,
    make("div", { class: "rv-main" }, grid.el, side.el, toasts.el),
    timeline.el,
    transport.el,
    help.el,
    createTooltips(root, signal),
    spoken.el,
  );
  followHeight({ root, session, grid, signal });
  const actions = createActions({ session, root, grid, help, notes, side, toasts });
  const isAnythingOpen = () =>
    help.isOpen || side.isOpen || grid.opened !== null || marks.selection.length > 0;
  const canUndo = () => session.undo.last !== null;
  listenToKeys({ root, perform, isAnythingOpen, canUndo, signal });
  const focus = keepFocus(root, signal);

  const updated = [side, head, alerts, transport, timeline, dumps, arrangement];
  const refresh = () => {
    for (const part of updated) part.update();
    updateRoot(root, session, shownRow(), head.isLive);
    focus.restore();
  };
  redrawOnChange({ root, session, player, timeline, head, refresh, inspect, signal });
}

const countOf = (count: number) => (count ? formatCount(count) : "");

/** Say what was done, in the view where it was, with a button that undoes it. */
function offerUndo(
  root: HTMLElement,
  { undo, views }: Session,
  toasts: Toasts,
  perform: (action: Action) => void,
  signal: AbortSignal,
): void {
  undo.onPush.on(() => {
    const text = undo.last?.text;
    const isHere = views.size < 2 || root.matches(":focus-within");
    if (!text || !isHere) return;
    const action = { text: "Undo", do: () => perform("undo") };
    toasts.show({ text, key: "undo", actions: [action] });
  }, signal);
}
