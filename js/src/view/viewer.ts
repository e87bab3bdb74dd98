/** One view of a session: puts the parts together and updates them. */

import type { Session } from "../session/session.ts";
import { createActions } from "./actions.ts";
import { createAlerts } from "./alerts.ts";
import { make, setAttribute } from "./dom.ts";
import { keepFocus } from "./focus.ts";
import { createGrid } from "./grid/grid.ts";
import { createHeader } from "./header.ts";
import type { Action } from "./keymap.ts";
import { createAnnotations } from "./panels/annotations.ts";
import { createArrangementPanel } from "./panels/arrangement.ts";
import { createComparisonPanel } from "./panels/comparison.ts";
import { createControls } from "./panels/controls.ts";
import { createDumpPanel } from "./panels/dump.ts";
import { createEpisodeTable } from "./panels/episode-table.ts";
import { createHelp } from "./panels/help.ts";
import { createInspector } from "./panels/inspector.ts";
import { redrawOnChange } from "./redraw.ts";
import { listenToKeys, setUpRoot, updateRoot } from "./root.ts";
import { createSpoken } from "./spoken.ts";
import { createTimeline } from "./timeline/timeline.ts";

export function mountViewer(
  root: HTMLElement,
  session: Session,
  signal: AbortSignal,
): void {
  const { store, clock } = session;
  const perform = (action: Action) => {
    actions[action]();
    refresh();
  };
  setUpRoot(root);
  const grid = createGrid(session, signal);
  const { player } = grid;
  const inspector = createInspector(session, signal);
  const timeline = createTimeline(session, grid.thumbnails, signal);
  const help = createHelp(signal);
  const controls = createControls(session, perform, signal);
  const dumps = createDumpPanel(session, signal);
  const leave = () => root.focus({ preventScroll: true });
  const annotations = createAnnotations(session, leave, signal);
  const table = createEpisodeTable(session, signal);
  const comparison = createComparisonPanel(session, grid, signal);
  const arrangement = createArrangementPanel(session, signal);
  const alerts = createAlerts(session, signal);
  const fields = [controls.episodes, arrangement.field];
  const header = createHeader({ session, grid, fields, perform, signal });
  root.replaceChildren(
    header.el,
    ...alerts.els,
    arrangement.el,
    make("div", { class: "rv-body" }, grid.el, inspector.el),
    timeline.el,
    controls.el,
    comparison.el,
    annotations.el,
    table.el,
    ...(dumps ? [dumps.el] : []),
    help.el,
    createSpoken(session, signal),
  );
  const actions = createActions({ session, root, grid, help, annotations, table });
  const isAnythingOpen = () =>
    help.isOpen ||
    annotations.isOpen ||
    table.isOpen ||
    grid.opened !== null ||
    session.marks.selection.length > 0;
  listenToKeys(root, perform, isAnythingOpen, signal);
  const focus = keepFocus(root, signal);

  // Without pictures the clock's row is shown as it is.
  const shownRow = () => (store.manifest?.slots.length ? player.drawnRow : clock.row);
  const inspect = () => inspector.update(shownRow());
  const updated = [header, alerts, controls, timeline, dumps, annotations, table];
  const refresh = () => {
    for (const part of [...updated, arrangement, comparison]) part?.update();
    setAttribute(controls.episodes, "aria-pressed", String(table.isOpen));
    inspect();
    updateRoot(root, session, shownRow(), header.isLive);
    focus.restore();
  };
  redrawOnChange({
    root,
    session,
    player,
    timeline,
    header,
    refresh,
    inspect,
    signal,
  });
}
