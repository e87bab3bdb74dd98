/**
 * The rows of the episode table, of which only those in sight are in the document.
 *
 * All are of one height. One is active: it is the one that Tab reaches, and the arrow
 * keys move from it.
 */

import { listen, make, setAttribute } from "../dom.ts";

export interface VirtualRow {
  el: HTMLElement;
  /** What has the focus while the row is active. */
  button: HTMLElement;
  /** Show what belongs to this place. */
  update(place: number): void;
}

export interface VirtualRowsOptions {
  /** Above the rows, also while they scroll. */
  head: HTMLElement;
  count: () => number;
  create: () => VirtualRow;
  /** A row was clicked. */
  onPick: (place: number) => void;
}

export interface VirtualRows {
  /** The scrolled element: the head and the rows. */
  el: HTMLElement;
  draw(): void;
  /** There are more rows, or fewer. */
  resize(): void;
  /** Go to the first row; it is active. */
  toTop(): void;
}

const ROW_PX = 34;
/** Rows beyond the edges that are drawn too, so that scrolling shows no gap. */
const BEYOND = 4;
/** By how many rows a key moves. */
const MOVES: Record<string, number> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 8,
  PageUp: -8,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

export function createVirtualRows(
  { head, count, create, onPick }: VirtualRowsOptions,
  signal: AbortSignal,
): VirtualRows {
  const body = make("div", { role: "rowgroup", class: "rv-episode-body" });
  const el = make(
    "div",
    { class: "rv-episode-scroll", role: "table", "aria-label": "Episodes" },
    head,
    body,
  );
  const rows: VirtualRow[] = [];
  let active = 0;
  const activate = (place: number) => {
    active = Math.max(0, Math.min(place, count() - 1));
  };
  /** Of the rows in sight, without the head. */
  const heightInSight = () => el.clientHeight - head.offsetHeight;
  const draw = () => {
    const height = heightInSight();
    if (height <= 0) return; // closed, or not laid out now
    const first = Math.max(0, Math.floor(el.scrollTop / ROW_PX) - BEYOND);
    const stop = Math.ceil((el.scrollTop + height) / ROW_PX) + BEYOND;
    const last = Math.min(count(), stop);
    while (rows.length < last - first) {
      const row = create();
      rows.push(row);
      body.append(row.el);
    }
    for (const [index, row] of rows.entries()) {
      // A place keeps its row while it is in sight: it keeps the focus, too.
      const place =
        first + ((((index - first) % rows.length) + rows.length) % rows.length);
      row.el.hidden = place >= last;
      if (!row.el.hidden) drawRow(row, place, place === active);
    }
  };
  listen(body, "click", signal, ({ target }: MouseEvent) => {
    const row = (target as HTMLElement).closest<HTMLElement>("[data-place]");
    const place = Number(row?.dataset.place);
    if (!(place < count())) return;
    active = place;
    onPick(place);
    draw();
  });
  listen(body, "keydown", signal, (event: KeyboardEvent) => {
    const by = MOVES[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // here they move in the list
    activate(active + by);
    bringIntoSight(el, active, heightInSight());
    draw();
    rows.find((row) => row.el.dataset.place === String(active))?.button.focus();
  });
  listen(el, "scroll", signal, draw, { passive: true });
  const resized = new ResizeObserver(draw);
  resized.observe(el);
  signal.addEventListener("abort", () => resized.disconnect());
  return {
    el,
    draw,
    resize() {
      activate(active);
      setAttribute(el, "aria-rowcount", String(count() + 1));
      body.style.height = `${count() * ROW_PX}px`;
    },
    toTop() {
      active = el.scrollTop = 0;
    },
  };
}

function drawRow(row: VirtualRow, place: number, isActive: boolean): void {
  setAttribute(row.button, "tabindex", isActive ? "0" : "-1");
  if (row.el.dataset.place !== String(place)) {
    row.el.style.transform = `translateY(${place * ROW_PX}px)`;
    row.el.dataset.place = String(place);
    setAttribute(row.el, "aria-rowindex", String(place + 2));
  }
  row.update(place);
}

function bringIntoSight(scroller: HTMLElement, place: number, height: number): void {
  const top = place * ROW_PX;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + ROW_PX > scroller.scrollTop + height)
    scroller.scrollTop = top + ROW_PX - height;
}
