/** What the pointer and the wheel do on the timeline. */

import type { Clock } from "../../playback/clock.ts";
import { listen } from "../dom.ts";
import type { RowWindow } from "./row-window.ts";

export interface GestureParts {
  /** The whole timeline, and the part of it that rows are drawn in. */
  el: HTMLElement;
  plot: HTMLElement;
  clock: Clock;
  rows: RowWindow;
  /** The row at a point of the page, any fraction. */
  rowAt: (clientX: number) => number;
  /** The rows of the episode at a row; null: there is none. */
  episodeAt: (row: number) => readonly [start: number, stop: number] | null;
  /** The window was moved. */
  onMove: () => void;
  signal: AbortSignal;
}

/** These have gestures of their own. */
const OWN = "button, [role=separator], [role=scrollbar], [popover], .rv-overview";
/** A press that moves less is a click. */
const CLICK_PX = 3;

/** Whether a pointer is where rows are drawn. */
export function isOnRows(event: MouseEvent, plot: HTMLElement): boolean {
  const target = event.target as Element;
  return !target.closest(OWN) && event.clientX >= plot.getBoundingClientRect().left;
}

export function followGestures(parts: GestureParts): void {
  // A second finger ends what the first one did.
  followPinch(parts);
  followPointer(parts);
  followWheel(parts);
}

/** A pointer that is down. */
interface Press {
  x: number;
  row: number;
  /** Where the playhead was. */
  rowBefore: number;
  isRange: boolean;
  isMoved: boolean;
}

/** Drag to move the playhead; on the ruler or with Shift to choose a range. */
function followPointer(parts: GestureParts): void {
  const { el, plot, clock, rowAt, episodeAt, signal } = parts;
  let isOnRuler = false;
  let start: Press | null = null;
  const rowOf = (event: MouseEvent) => Math.round(rowAt(event.clientX));
  listen(el, "pointerdown", signal, (event: PointerEvent) => {
    if (start && !event.isPrimary) {
      // A second finger: the first one was no click.
      if (!start.isRange && !start.isMoved) clock.seek(start.rowBefore);
      start = null;
    }
    if (event.button || !event.isPrimary || !isOnRows(event, plot)) return;
    isOnRuler = (event.target as Element).closest(".rv-ruler") !== null;
    const isRange = event.shiftKey || isOnRuler;
    const [row, rowBefore] = [rowOf(event), clock.row];
    start = { x: event.clientX, row, rowBefore, isRange, isMoved: false };
    el.setPointerCapture(event.pointerId);
    if (!isRange) clock.seek(start.row);
  });
  listen(el, "pointermove", signal, (event: PointerEvent) => {
    if (!start || !event.isPrimary) return;
    start.isMoved ||= Math.abs(event.clientX - start.x) > CLICK_PX;
    const row = rowOf(event);
    if (!start.isRange) clock.seek(row);
    else if (start.isMoved)
      clock.setRange([Math.min(start.row, row), Math.max(start.row, row) + 1]);
  });
  listen(el, "pointerup", signal, (event: PointerEvent) => {
    if (!start || !event.isPrimary) return;
    if (start.isRange && !start.isMoved) clock.seek(start.row);
    start = null;
  });
  listen(el, "pointercancel", signal, () => {
    start = null;
  });
  listen(el, "dblclick", signal, (event: MouseEvent) => {
    if (!isOnRows(event, plot) || (event.target as Element).closest(".rv-ruler"))
      return;
    const found = episodeAt(rowOf(event));
    if (found) clock.setRange(found);
  });
  // Neither a selection of text, nor the focus on what was pressed.
  listen(el, "mousedown", signal, (event: MouseEvent) => {
    if (!(event.target as Element).closest("button, [popover]")) event.preventDefault();
  });
}

/** Ctrl and the wheel zoom, Shift and the wheel move; the wheel alone is the page's. */
function followWheel(parts: GestureParts): void {
  const { el, plot, rows, rowAt, onMove, signal } = parts;
  const turn = (event: WheelEvent) => {
    const { deltaX, deltaY, ctrlKey, shiftKey } = event;
    const isPan = shiftKey && !ctrlKey && !rows.isWhole;
    if (!ctrlKey && !isPan) return;
    event.preventDefault();
    const px = (deltaY || deltaX) * (event.deltaMode ? 16 : 1);
    if (ctrlKey) {
      const step = Math.max(-50, Math.min(50, px));
      rows.zoom(Math.exp(step * 0.006), rowAt(event.clientX));
    } else rows.pan((px / plot.clientWidth) * (rows.to - rows.from));
    onMove();
  };
  listen(el, "wheel", signal, turn, { passive: false });
}

/** Two fingers zoom. */
function followPinch(parts: GestureParts): void {
  const { el, rows, rowAt, onMove, signal } = parts;
  const fingers = new Map<number, number>();
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.max(10, Math.abs(a! - b!));
  };
  listen(
    el,
    "pointerdown",
    signal,
    ({ pointerId, pointerType, clientX }: PointerEvent) => {
      if (pointerType === "touch") fingers.set(pointerId, clientX);
    },
  );
  listen(
    el,
    "pointermove",
    signal,
    (event: PointerEvent) => {
      if (!fingers.has(event.pointerId) || fingers.size !== 2) {
        if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
        return;
      }
      event.stopImmediatePropagation();
      const before = apart();
      fingers.set(event.pointerId, event.clientX);
      const [a, b] = [...fingers.values()];
      rows.zoom(before / apart(), rowAt((a! + b!) / 2));
      onMove();
    },
    { capture: true },
  );
  for (const type of ["pointerup", "pointercancel"])
    listen(el, type, signal, ({ pointerId }: PointerEvent) => {
      fingers.delete(pointerId);
    });
}
