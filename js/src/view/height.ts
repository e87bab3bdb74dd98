/**
 * How high a view is in a notebook: what surrounds it shows all of it, controls too.
 *
 * The page that is a viewer alone, and one in the whole screen, have the height of the
 * window. Elsewhere it fits what scrolls around it, and its lower edge can be dragged.
 */

import type { Session } from "../session/session.ts";
import { scaleOf } from "../util/scale.ts";
import { listen, make, onAbort, onResize, setAttribute } from "./dom.ts";
import type { Grid } from "./grid/grid.ts";

export interface HeightParts {
  root: HTMLElement;
  session: Session;
  grid: Grid;
  signal: AbortSignal;
}

const MIN_PX = 320;
/** Of the pictures: so much shows whatever is below them. */
const MIN_STAGE_PX = 120;
/** The panel has room to read in, also beside pictures that are not as high. */
const PANEL_PX = 320;
/** In a view that is no wider it is a sheet below them; side.css has both. */
const [SHEET_PX, NARROW_PX] = [280, 700];
/** Of what is shown in their place before there are any. */
const EMPTY_PX = 220;
const MAX_PX = 4000;
/** Of what is around a view: so much of it shows that the notebook goes on. */
const AROUND_PX = 24;
/** A frame that is as high as its content: what a screen has at least. */
const FRAMED_PX = 640;
const STEP_PX = 16;
/** Widths that are back so soon are so by the view's own height. */
const BACK_MS = 250;
/** A cell's code, and what it printed, are in sight too where they need no more. */
const MAX_ABOVE = 0.4;

/** Keep the root's height until the signal. */
export function followHeight(parts: HeightParts): void {
  const { root, session, grid, signal } = parts;
  const isWindow = () =>
    root.hasAttribute("data-rollout-viewer") || document.fullscreenElement === root;
  const handle = createHandle(parts, () => fit());
  root.append(handle);
  const hasPanel = () => session.viewOptions.now.panel !== "";
  let [room, widths, before, changedAt] = [0, "", 0, 0];

  const fit = () => {
    handle.hidden = isWindow();
    if (isWindow() || !root.offsetWidth) {
      if (isWindow()) root.style.height = "";
      return;
    }
    room ||= roomFor(root);
    const { height } = session.viewOptions.now;
    // A root that is too low shows less of them than there is.
    const all = Math.max(root.offsetHeight, root.scrollHeight);
    const others = all - grid.el.parentElement!.offsetHeight;
    const isSheet = root.clientWidth <= NARROW_PX;
    const below = others + (hasPanel() && isSheet ? SHEET_PX : 0);
    const pictures = grid.wantedHeight(room - below) || EMPTY_PX;
    const least = hasPanel() && !isSheet ? PANEL_PX : MIN_STAGE_PX;
    const fitting = Math.min(room, below + Math.max(pictures, least));
    const next = Math.round(height || Math.max(MIN_PX, others + MIN_STAGE_PX, fitting));
    const text = `${next}px`;
    if (root.style.height !== text) {
      root.style.height = text;
      changedAt = performance.now();
    }
    setAttribute(handle, "aria-valuenow", String(next));
  };
  const measure = () => {
    room = 0;
    fit();
  };
  // In the next frame: a height that changes while sizes are observed is an error.
  let frame = 0;
  // Of the pictures too: one that is opened alone needs another height.
  const observed = [root, grid.el, grid.el.firstElementChild!];
  onResize(observed, signal, () => {
    const now = `${root.offsetWidth} ${grid.el.offsetWidth} ${grid.opened}`;
    if (now === widths) return;
    // Shown after it was hidden, it may be elsewhere.
    if (widths.startsWith("0 ")) room = 0;
    // A height that brings a scroll bar takes it away again, and so on for ever.
    const width = root.offsetWidth;
    const isBack = width === before && performance.now() - changedAt < BACK_MS;
    const last = Number.parseFloat(widths);
    if (last !== width) before = last;
    widths = now;
    if (isBack) return;
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(fit);
  });
  onAbort(signal, () => cancelAnimationFrame(frame));
  for (const part of [session.store.onManifest, session.viewOptions.onChange])
    part.on(fit, signal);
  let hadRows = false;
  // Before the first pictures are decoded: for a lower view they were smaller ones.
  grid.onRows = () => {
    if (hadRows) return;
    hadRows = session.store.numRows > 0;
    fit();
  };
  listen(window as unknown as EventTarget, "resize", signal, measure);
  listen(document, "fullscreenchange", signal, fit);
  fit();
}

/** CSS pixels that the nearest scroller around an element shows of it at most. */
function roomFor(root: HTMLElement): number {
  const before = root.style.height;
  const around = [...ancestorsOf(root)].filter((el) =>
    /auto|scroll|hidden|clip/.test(getComputedStyle(el).overflowY),
  );
  // A scroller that is as high as its content shows any height of it.
  const heightsAt = (height: number) => {
    root.style.height = `${height}px`;
    return around.map((el) => el.clientHeight);
  };
  const cell = root.closest(".jp-Cell");
  const above = cell ? topOf(root) - topOf(cell) : 0;
  const tops = around.map((el) => el.scrollTop);
  const [low, high] = [heightsAt(0), heightsAt(MAX_PX)];
  root.style.height = before;
  for (const [index, el] of around.entries()) el.scrollTop = tops[index]!;
  const limits = high.flatMap((height, index) => {
    const grown = height - low[index]!;
    const isLimit = height > 0 && grown < MAX_PX - 1;
    const el = around[index]!;
    const isFirst = el.contains(cell) && above < MAX_ABOVE * height;
    return isLimit ? [height - (isFirst ? above : edgesIn(el, root))] : [];
  });
  const shown = Math.min(windowHeight(), ...limits);
  return Math.max(MIN_PX, shown / scaleOf(root) - AROUND_PX);
}

function topOf(el: Element): number {
  return el.getBoundingClientRect().top;
}

/** What edges of a box of limited height, and of all in it, take beyond `AROUND_PX`. */
function edgesIn(box: HTMLElement, root: HTMLElement): number {
  if (getComputedStyle(box).maxHeight === "none") return 0;
  let edges = 0;
  for (const el of ancestorsOf(root)) {
    const { paddingTop, paddingBottom } = getComputedStyle(el);
    edges += Number.parseFloat(paddingTop) + Number.parseFloat(paddingBottom);
    if (el === box) break;
  }
  return Math.max(0, edges - AROUND_PX);
}

/** A window in a frame may be as high as its content. */
function windowHeight(): number {
  return window === window.top ? innerHeight : Math.max(innerHeight, FRAMED_PX);
}

function* ancestorsOf(el: HTMLElement): Generator<HTMLElement> {
  let node: Node | null = el;
  for (;;) {
    // Out of shadow trees too: marimo puts a widget into one.
    node = node.parentNode ?? (node as Partial<ShadowRoot>).host ?? null;
    if (!node || node === document.documentElement) return;
    if (node instanceof HTMLElement && node !== document.body) yield node;
  }
}

/** The lower edge, which is dragged or moved by keys; a double click fits it again. */
function createHandle(
  { root, session, signal }: HeightParts,
  fit: () => void,
): HTMLElement {
  const handle = make("div", {
    class: "rv-height-handle",
    role: "separator",
    tabindex: 0,
    "aria-orientation": "horizontal",
    "aria-label": "Height of the viewer",
    "aria-valuemin": MIN_PX,
    "aria-valuemax": MAX_PX,
    title: "Drag for another height; double click: as high as fits",
  });
  const { viewOptions } = session;
  const set = (height: number) =>
    viewOptions.set({
      height: height && Math.round(Math.max(MIN_PX, Math.min(MAX_PX, height))),
    });
  let from: { y: number; height: number } | null = null;
  listen(handle, "pointerdown", signal, (event: PointerEvent) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    from = { y: event.clientY, height: root.offsetHeight };
    handle.setPointerCapture(event.pointerId);
  });
  listen(handle, "pointermove", signal, ({ clientY }: PointerEvent) => {
    if (from) set(from.height + (clientY - from.y) / scaleOf(root));
  });
  const end = () => {
    from = null;
  };
  listen(handle, "pointerup", signal, end);
  listen(handle, "pointercancel", signal, end);
  listen(handle, "dblclick", signal, () => {
    set(0);
    fit();
  });
  listen(handle, "keydown", signal, (event: KeyboardEvent) => {
    const by = { ArrowUp: -STEP_PX, ArrowDown: STEP_PX }[event.key];
    if (by === undefined && event.key !== "Home") return;
    event.preventDefault();
    event.stopPropagation();
    set(by === undefined ? 0 : root.offsetHeight + by);
  });
  return handle;
}
