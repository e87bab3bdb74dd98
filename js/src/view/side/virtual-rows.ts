/**
 * The rows of the episode list, of which only those in sight are in the document.
 *
 * All are of one height. One is active: it is the one that Tab reaches, and the arrow
 * keys move from it. Sizes are read when they change, never while rows are drawn.
 */

import { listen, make, onResize, setAttribute } from "../dom.ts";
import { type Pick, pickOfClick, pickOfKey, placeAfter } from "./row-picks.ts";

export interface VirtualRow {
  el: HTMLElement;
  /** Show what belongs to this place. */
  update(place: number): void;
}

export interface VirtualRowsOptions {
  /** Above the rows, also while they scroll. */
  head: HTMLElement;
  count: () => number;
  create: () => VirtualRow;
  /** A row was moved to, clicked or opened. */
  onPick: (place: number, pick: Pick) => void;
}

export interface VirtualRows {
  /** The scrolled element: the head and the rows. */
  el: HTMLElement;
  draw(): void;
  /** There are more rows, or fewer; or they became visible. */
  resize(): void;
  /** Go to the first row; it is active. */
  toTop(): void;
  /** Give the focus to the active row, and pick it. */
  enter(): void;
}

/** Rows beyond the edges that are drawn too, so that scrolling shows no gap. */
const BEYOND = 4;

export function createVirtualRows(
  { head, count, create, onPick }: VirtualRowsOptions,
  signal: AbortSignal,
): VirtualRows {
  const rowPx = matchMedia("(pointer: coarse)").matches ? 44 : 34;
  const body = make("div", { role: "rowgroup", class: "rv-episode-body" });
  const el = make(
    "div",
    {
      class: "rv-episode-scroll",
      role: "grid",
      "aria-label": "Episodes",
      "aria-multiselectable": "true",
      style: `--rv-row: ${rowPx}px`,
    },
    head,
    body,
  );
  const rows: VirtualRow[] = [];
  let active = 0;
  /** Of the rows in sight, without the head. */
  let height = 0;
  let top = 0;
  const measure = () => {
    height = el.clientHeight - head.offsetHeight;
    top = el.scrollTop;
  };
  const draw = () => {
    if (height <= 0) return; // closed, or not laid out now
    const first = Math.max(0, Math.floor(top / rowPx) - BEYOND);
    const last = Math.min(count(), Math.ceil((top + height) / rowPx) + BEYOND);
    while (rows.length < last - first) {
      const row = create();
      rows.push(row);
      body.append(row.el);
    }
    for (const [index, row] of rows.entries()) {
      // A place keeps its row while it is in sight: it keeps the focus, too.
      const place =
        first + ((((index - first) % rows.length) + rows.length) % rows.length);
      const isHidden = place >= last;
      if (row.el.hidden !== isHidden) row.el.hidden = isHidden;
      if (!isHidden) drawRow(row, place, place === active, rowPx);
    }
  };
  const pick = (place: number, how: Pick) => {
    active = Math.max(0, Math.min(place, count() - 1));
    bringIntoSight(el, active * rowPx, rowPx, height);
    top = el.scrollTop;
    onPick(active, how);
    draw();
  };
  const focus = () =>
    rows
      .find((row) => row.el.dataset.place === String(active))
      ?.el.focus({ preventScroll: true });
  const pickAt = (place: number, how: Pick) => place < count() && pick(place, how);
  listenToPicks(body, pickAt, signal, (key, how) => {
    if (!count()) return;
    pick(placeAfter(key, active), how);
    focus();
  });
  const scrolled = () => {
    top = el.scrollTop;
    draw();
  };
  listen(el, "scroll", signal, scrolled, { passive: true });
  onResize([el], signal, () => {
    measure();
    draw();
  });
  return {
    el,
    draw,
    resize() {
      active = Math.max(0, Math.min(active, count() - 1));
      setAttribute(el, "aria-rowcount", String(count() + 1));
      body.style.height = `${count() * rowPx}px`;
      measure();
    },
    toTop() {
      active = top = el.scrollTop = 0;
    },
    enter() {
      if (!count()) return;
      pick(active, "only");
      focus();
    },
  };
}

/** Call `onClick` for the place of a clicked row, `onKey` for a key of the list. */
function listenToPicks(
  body: HTMLElement,
  onClick: (place: number, how: Pick) => void,
  signal: AbortSignal,
  onKey: (key: string, how: Pick) => void,
): void {
  let isByPointer = false;
  for (const type of ["click", "dblclick"])
    listen(body, type, signal, (event: MouseEvent) => {
      const row = (event.target as HTMLElement).closest<HTMLElement>("[data-place]");
      onClick(Number(row?.dataset.place), pickOfClick(event));
    });
  listen(body, "pointerdown", signal, () => {
    isByPointer = true;
  });
  listen(body, "focusout", signal, (event: FocusEvent) => {
    if (!body.contains(event.relatedTarget as Node | null)) isByPointer = false;
  });
  listen(body, "keydown", signal, (event: KeyboardEvent) => {
    const how = pickOfKey(event, isByPointer);
    if (!how) return;
    isByPointer = false;
    event.preventDefault();
    event.stopPropagation(); // here they move in the list
    onKey(event.key, how);
  });
}

function drawRow(
  row: VirtualRow,
  place: number,
  isActive: boolean,
  rowPx: number,
): void {
  setAttribute(row.el, "tabindex", isActive ? "0" : "-1");
  if (row.el.dataset.place !== String(place)) {
    row.el.style.transform = `translateY(${place * rowPx}px)`;
    row.el.dataset.place = String(place);
    setAttribute(row.el, "aria-rowindex", String(place + 2));
  }
  row.update(place);
}

function bringIntoSight(el: HTMLElement, top: number, rowPx: number, height: number) {
  if (top < el.scrollTop) el.scrollTop = top;
  else if (top + rowPx > el.scrollTop + height) el.scrollTop = top + rowPx - height;
}
