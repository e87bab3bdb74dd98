/**
 * One view of a session: puts the parts together and updates them.
 *
 * The root element has the attributes that tests and style sheets read; they change
 * after the row is drawn.
 */

import { type Manifest, TERMINATED } from "../protocol/messages.ts";
import { nameOfEnv } from "../recording/env-names.ts";
import type { Store } from "../recording/store.ts";
import type { Session } from "../session/session.ts";
import { createActions } from "./actions.ts";
import { listen, make, setAttribute, setText } from "./dom.ts";
import { formatBytes, formatCount, formatValue } from "./format.ts";
import { createCameraPicker } from "./grid/camera-picker.ts";
import { createGrid } from "./grid/grid.ts";
import { showFactor } from "./grid/zoom.ts";
import { icon } from "./icons.ts";
import { type Action, actionOf } from "./keymap.ts";
import { createAnnotations } from "./panels/annotations.ts";
import { createArrangementPanel } from "./panels/arrangement.ts";
import { createComparisonPanel } from "./panels/comparison.ts";
import { createControls } from "./panels/controls.ts";
import { createDumpPanel } from "./panels/dump.ts";
import { createEpisodeTable } from "./panels/episode-table.ts";
import { createHelp } from "./panels/help.ts";
import { createInspector } from "./panels/inspector.ts";
import { createTimeline } from "./timeline/timeline.ts";

/** A playhead that rested for so long is announced to screen readers. */
const REST_MS = 600;
/** Rows that came within this time make a recording "live". */
const LIVE_MS = 5000;

export function mountViewer(
  root: HTMLElement,
  session: Session,
  signal: AbortSignal,
): void {
  const { store, clock, marks, feed } = session;
  root.className = "rollout-viewer";
  root.tabIndex = 0;
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Rollout viewer");
  root.dataset.state = "loading";

  const grid = createGrid(session, signal);
  const inspector = createInspector(session, signal);
  const timeline = createTimeline(session, grid.thumbnails, signal);
  const help = createHelp(signal);
  const controls = createControls(session, (action) => perform(action), signal);
  const dumps = createDumpPanel(session, signal);
  const annotations = createAnnotations(
    session,
    () => root.focus({ preventScroll: true }),
    signal,
  );
  const table = createEpisodeTable(session, signal);
  const comparison = createComparisonPanel(session, grid, signal);
  const arrangementPanel = createArrangementPanel(session, signal);
  const title = make("span", { class: "rv-title" });
  const live = make("span", { class: "rv-live", hidden: true }, "live");
  const back = make(
    "button",
    { type: "button", class: "rv-button rv-back-to-grid", hidden: true },
    icon("grid"),
    "All tiles",
  );
  const cameras = createCameraPicker(session, signal);
  const zoomButton = (action: Action, label: string, content: Node | string) => {
    const made = make(
      "button",
      { type: "button", class: "rv-button rv-bare", "aria-label": label, title: label },
      content,
    );
    listen(made, "click", signal, () => perform(action));
    return made;
  };
  const factor = make("span", {});
  const unzoom = zoomButton("zoomReset", "No zoom", factor);
  const zoom = make(
    "span",
    { class: "rv-group", role: "group", "aria-label": "Zoom" },
    zoomButton("zoomOut", "Zoom out", icon("zoomOut")),
    unzoom,
    zoomButton("zoomIn", "Zoom in", icon("zoomIn")),
  );
  const facts = make("span", { class: "rv-facts" });
  const memory = make("span", { class: "rv-facts rv-memory", title: MEMORY });
  const lost = make("span", { class: "rv-lost" });
  const alerts = make("div", { class: "rv-alerts" });
  const cut = make("div", { class: "rv-cut", role: "status", hidden: true }, CUT);
  const spoken = make("div", { class: "rv-spoken", role: "status" });
  root.replaceChildren(
    make(
      "div",
      { class: "rv-head" },
      title,
      live,
      make("span", { class: "rv-spacer" }),
      back,
      cameras.el,
      zoom,
      controls.episodes,
      arrangementPanel.field,
      lost,
      facts,
      memory,
    ),
    alerts,
    cut,
    arrangementPanel.el,
    make("div", { class: "rv-body" }, grid.el, inspector.el),
    timeline.el,
    controls.el,
    comparison.el,
    annotations.el,
    table.el,
    ...(dumps ? [dumps.el] : []),
    help.el,
    spoken,
  );
  listen(back, "click", signal, () => perform("leave"));

  const actions = createActions({ session, root, grid, help, annotations, table });
  const perform = (action: Action) => {
    actions[action]();
    refresh();
  };

  listen(root, "keydown", signal, (event: KeyboardEvent) => {
    // Always: no key that is typed here may reach the notebook.
    event.stopPropagation();
    const target = event.target as HTMLElement;
    const isField = target.matches("select, input:not(.rv-scrub)");
    if (isField) {
      if (event.key === "Enter" || event.key === "Escape") root.focus();
      return;
    }
    const isButton = target.matches("button");
    if (isButton && (event.key === " " || event.key === "Enter")) return;
    const action = actionOf(event);
    if (!action) return;
    event.preventDefault();
    perform(action);
  });
  // A click anywhere inside gives the keys to the viewer.
  listen(root, "pointerdown", signal, (event: PointerEvent) => {
    const target = event.target as HTMLElement;
    if (!target.closest("button, input, select, code, .rv-paths, .rv-help"))
      root.focus({ preventScroll: true });
  });

  const shownRow = () =>
    store.manifest?.slots.length ? grid.player.drawnRow : clock.row;
  const refresh = () => {
    const { manifest } = store;
    const { player } = grid;
    cameras.update();
    showFactor(factor, grid.zoom.factor);
    controls.update();
    timeline.update();
    dumps?.update();
    annotations.update();
    table.update();
    arrangementPanel.update();
    comparison.update();
    setAttribute(controls.episodes, "aria-pressed", String(table.isOpen));
    setText(title, manifest?.title ?? "");
    const isLive =
      Boolean(manifest?.is_live) && performance.now() - feed.lastRowsAt < LIVE_MS;
    live.hidden = !isLive;
    back.hidden = grid.opened === null;
    const numEnvs = manifest?.num_envs ?? 0;
    const numRows = store.numRows - store.firstRow;
    const noun = store.arrangement ? "tile" : "env";
    setText(facts, manifest ? describe(numEnvs, noun, numRows) : "");
    setText(memory, manifest ? describeMemory(store) : "");
    cut.hidden = !session.isCut;
    setText(lost, manifest ? describeGone(manifest) : "");
    setAttribute(root, "data-num-rows", String(store.numRows));
    setAttribute(root, "data-num-envs", String(numEnvs));
    const hasPictures = Boolean(manifest?.slots.length);
    const shown = shownRow();
    inspector.update(shown);
    if (shown >= 0 && store.numRows) setAttribute(root, "data-row", String(shown));
    const isReady = store.numRows > 0 && (player.drawnRow >= 0 || !hasPictures);
    const state = session.errors.length
      ? "error"
      : !isReady
        ? "loading"
        : isLive
          ? "live"
          : "ready";
    setAttribute(root, "data-state", state);
  };

  // -- when to do what: the clock moves, rows come, time passes

  let frame = 0;
  const onFrame = (now: number) => {
    frame = 0;
    clock.tick(now);
    grid.player.update(now);
    if (clock.isPlaying) frame = requestAnimationFrame(onFrame);
  };
  let isRedrawn = true;
  const redraw = () => {
    if (!isRedrawn) return;
    isRedrawn = false;
    requestAnimationFrame(() => {
      isRedrawn = true;
      if (!signal.aborted) timeline.redraw(grid.player.slots);
    });
  };
  let marked = "";
  let resting: ReturnType<typeof setTimeout> | undefined;
  const speak = () => {
    clearTimeout(resting);
    resting = setTimeout(() => setText(spoken, describeRest(session)), REST_MS);
  };
  marks.onChange.on(speak, signal);
  clock.onChange.on(() => {
    speak();
    if (clock.isPlaying) {
      if (!frame) frame = requestAnimationFrame(onFrame);
    } else grid.player.update();
    const range = String(clock.range);
    if (range !== marked) {
      marked = range;
      redraw();
    }
    refresh();
  }, signal);
  grid.player.onDraw.on(refresh, signal);
  session.onCut.on(refresh, signal);
  session.viewOptions.onChange.on(() => {
    refresh();
    redraw();
  }, signal);
  session.scalars.onChange.on(() => {
    refresh();
    redraw();
  }, signal);
  session.details.onChange.on(() => inspector.update(shownRow()), signal);
  store.onManifest.on(refresh, signal);
  store.onManifest.on(redraw, signal);
  store.onData.on(() => {
    grid.player.update();
    refresh();
    redraw();
  }, signal);
  marks.onChange.on(() => {
    refresh();
    redraw();
  }, signal);
  session.onError.on(() => {
    showErrors(alerts, session, signal);
    refresh();
  }, signal);
  const resized = new ResizeObserver(redraw);
  resized.observe(timeline.el);
  // "live" ends by itself; and the theme may change at any time.
  const timer = setInterval(() => {
    if (root.dataset.state === "live" || live.hidden === false) refresh();
  }, 1000);
  const themed = new MutationObserver(redraw);
  themed.observe(document.body, { attributes: true });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  listen(dark, "change", signal, redraw);
  signal.addEventListener("abort", () => {
    cancelAnimationFrame(frame);
    resized.disconnect();
    themed.disconnect();
    clearInterval(timer);
    clearTimeout(resting);
  });
  showErrors(alerts, session, signal);
  refresh();
  redraw();
}

/** Pictures that are not there any more, and why. */
function describeGone({ num_lost, num_evicted }: Manifest): string {
  const parts = [];
  if (num_lost) parts.push(`${formatCount(num_lost)} pictures lost`);
  if (num_evicted) parts.push(`${formatCount(num_evicted)} made room for newer ones`);
  return parts.join(" · ");
}

const CUT =
  "The kernel has ended. What is in the page still plays; run the cell again " +
  "for the rest, and to dump.";
const MEMORY = "Bytes in the page, in the kernel's memory, and of pictures on its disk";

function describeMemory({ numBytes, kernelBytes, diskBytes }: Store): string {
  const parts = [`page ${formatBytes(numBytes)}`];
  if (kernelBytes) parts.push(`kernel ${formatBytes(kernelBytes)}`);
  if (diskBytes) parts.push(`disk ${formatBytes(diskBytes)}`);
  return parts.join(" \u00b7 ");
}

/** What a screen reader says of the row where the playhead came to rest. */
function describeRest({ clock, store, marks }: Session): string {
  if (clock.isPlaying) return "playing";
  const { row } = clock;
  if (row >= store.numRows) return "";
  const env = marks.selection.length === 1 ? marks.selection[0]! : null;
  const where = `row ${row} of ${store.numRows - 1}`;
  if (env === null) return where;
  const { episode, envStep, total, ends } = store.steps.at(row, env);
  const who = nameOfEnv(store.manifest, env).join(" ");
  if (episode < 0) return `${where}, ${who}`;
  const ended = ends ? (ends & TERMINATED ? ", terminated" : ", truncated") : "";
  return (
    `${where}, ${who} episode ${episode} step ${envStep}, ` +
    `return ${formatValue(total)}${ended}`
  );
}

function describe(numEnvs: number, noun: string, numRows: number): string {
  const counted = (count: number, noun: string) =>
    `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
  return `${counted(numEnvs, noun)} · ${counted(numRows, "row")}`;
}

function showErrors(alerts: HTMLElement, session: Session, signal: AbortSignal): void {
  alerts.replaceChildren(
    ...session.errors.map((text) => {
      const close = make(
        "button",
        { type: "button", class: "rv-button rv-bare", "aria-label": "Close" },
        icon("close"),
      );
      listen(close, "click", signal, () => {
        session.errors.splice(session.errors.indexOf(text), 1);
        session.onError.emit();
      });
      return make(
        "div",
        { class: "rv-alert", role: "alert" },
        make("span", {}, text),
        close,
      );
    }),
  );
}
