/** The overview: all rows in one line, and the window of those in the tracks. */

import { type Span, scaleFor, traceOf, xOf } from "../../recording/downsample.ts";
import type { Series } from "../../recording/series.ts";
import { pointIn } from "../../util/scale.ts";
import { listen, make } from "../dom.ts";
import { formatCount } from "../format.ts";
import { drawBuffered } from "./draw-marks.ts";
import { strokeTrace } from "./draw-traces.ts";
import type { RowWindow } from "./row-window.ts";
import { createSeparator, dragWith, setValue } from "./separator.ts";
import { emptySheet, type Paper, type Sheet } from "./sheet.ts";

export interface Overview {
  el: HTMLElement;
  /** Draw what of the recording is in the page; `series` as a shadow. */
  draw(
    paper: Paper,
    runs: Iterable<readonly [start: number, stop: number]>,
    series: Series | null,
  ): void;
  /** Put the window and the playhead where they are. */
  place(row: number, width: number): void;
}

export interface OverviewParts {
  rows: RowWindow;
  /** The id of what it scrolls. */
  controls: string;
  seek: (row: number) => void;
  /** The window was moved. */
  onMove: () => void;
  signal: AbortSignal;
}

export function createOverview(parts: OverviewParts): Overview {
  const { rows, seek, onMove, signal } = parts;
  const canvas = make("canvas", { class: "rv-overview-canvas", "aria-hidden": "true" });
  const here = make("div", { class: "rv-here", "aria-hidden": "true" });
  const window = createWindow(parts);
  const rowAt = (event: MouseEvent) => rowIn(el, event.clientX, rows.all);
  const from = createHandle("from", "First row in sight", parts, rowAt);
  const to = createHandle("to", "Last row in sight", parts, rowAt);
  const el = make("div", { class: "rv-overview" }, window, canvas, here, from, to);
  listen(el, "dblclick", signal, () => {
    rows.fit();
    onMove();
  });
  // Beside the window: there. In a window of everything the playhead moves.
  const go = (event: PointerEvent) => {
    if (rows.isWhole) seek(Math.round(rowAt(event)));
    else rows.centre(rowAt(event));
    onMove();
  };
  dragWith(el, signal, go, go);
  dragWindow(window, parts, rowAt, go);
  let placed = "";
  return {
    el,
    draw(paper, runs, series) {
      const sheet = emptySheet(canvas, HEIGHT_PX, { ...paper, span: rows.all });
      if (!sheet) return;
      if (series) drawShadow(sheet, series);
      drawBuffered(sheet, runs);
    },
    place(row, width) {
      const [x, left, right] = [row, rows.from, rows.to].map((one) =>
        Math.round(xOf(one, rows.all, width)),
      );
      const next = `${x} ${left} ${right}`;
      if (next === placed) return;
      placed = next;
      here.style.transform = `translateX(${x}px)`;
      window.style.transform = from.style.transform = `translateX(${left}px)`;
      window.style.width = `${Math.max(2, right! - left! + 1)}px`;
      to.style.transform = `translateX(${right! + 1}px)`;
      const text = `rows ${formatCount(Math.round(rows.from))} to ${formatCount(Math.round(rows.to))}`;
      for (const [part, value] of [
        [window, rows.from],
        [from, rows.from],
        [to, rows.to],
      ] as const) {
        setValue(part, Math.round(value), rows.all, text);
      }
    },
  };
}

/** As in timeline.css. */
const HEIGHT_PX = 20;

function rowIn(el: HTMLElement, clientX: number, { from, to }: Span): number {
  const { x } = pointIn(el, clientX, 0);
  return from + (x / Math.max(1, el.offsetWidth - 1)) * (to - from);
}

/** The values of a series, small and faint: where in the recording something is. */
function drawShadow(sheet: Sheet, series: Series): void {
  const { height, density, span, width } = sheet;
  const trace = traceOf(series, span, width);
  const { min, max } = scaleFor(trace);
  const [top, bottom] = [3 * density, height - 7 * density];
  const y = (value: number) => bottom - ((value - min) / (max - min)) * (bottom - top);
  strokeTrace(sheet, trace, y, "--rv-edge");
}

/** The window, which keys move as they move a scroll bar. */
function createWindow({ rows, controls, onMove, signal }: OverviewParts): HTMLElement {
  const el = make("div", {
    class: "rv-window",
    role: "scrollbar",
    tabindex: 0,
    "aria-orientation": "horizontal",
    "aria-controls": controls,
    "aria-label": "Rows in sight",
    title: "Drag to move, double click to show all rows",
  });
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    const length = rows.to - rows.from;
    const by = {
      ArrowLeft: -0.1,
      ArrowRight: 0.1,
      PageUp: -0.9,
      PageDown: 0.9,
      Home: Number.NEGATIVE_INFINITY,
      End: Number.POSITIVE_INFINITY,
    }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (Number.isFinite(by)) rows.pan(by * length);
    else rows.pan(by < 0 ? rows.all.from - rows.from : rows.all.to - rows.to);
    onMove();
  });
  return el;
}

/** An edge of the window, which keys move by a tenth. */
function createHandle(
  edge: "from" | "to",
  label: string,
  { rows, onMove, signal }: OverviewParts,
  rowAt: (event: MouseEvent) => number,
): HTMLElement {
  const moveTo = (row: number) => {
    rows.setEdge(edge, row);
    onMove();
  };
  return createSeparator({
    className: `rv-window-edge rv-window-${edge}`,
    label,
    onKey(by) {
      moveTo(rows[edge] + by * Math.max(1, 0.1 * (rows.to - rows.from)));
    },
    onDrag: (event) => moveTo(rowAt(event)),
    signal,
  });
}

/** Drag the window along; one of all rows moves the playhead. */
function dragWindow(
  el: HTMLElement,
  { rows, onMove, signal }: OverviewParts,
  rowAt: (event: MouseEvent) => number,
  go: (event: PointerEvent) => void,
): void {
  let grip = 0;
  dragWith(
    el,
    signal,
    (event) => {
      if (rows.isWhole) return go(event);
      rows.pan(rowAt(event) - grip - rows.from);
      onMove();
    },
    (event) => {
      grip = rowAt(event) - rows.from;
      if (rows.isWhole) go(event);
    },
  );
}
