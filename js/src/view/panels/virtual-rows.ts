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
}

export interface VirtualRowsOptions<Row extends VirtualRow> {
  /** Above the rows, also while they scroll. */
  head: HTMLElement;
  count: () => number;
  create: () => Row;
  /** Show in a row what belongs to its place. */
  update: (row: Row, place: number) => void;
  /** A row was clicked. */
  onPick: (place: number) => void;
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

export class VirtualRows<Row extends VirtualRow> {
  /** The scrolled element: the head and the rows. */
  readonly el: HTMLElement;
  readonly #options: VirtualRowsOptions<Row>;
  readonly #body = make("div", { role: "rowgroup", class: "rv-episode-body" });
  readonly #rows: Row[] = [];
  #active = 0;

  constructor(options: VirtualRowsOptions<Row>, signal: AbortSignal) {
    this.#options = options;
    this.el = make(
      "div",
      { class: "rv-episode-scroll", role: "table", "aria-label": "Episodes" },
      options.head,
      this.#body,
    );
    const draw = () => this.draw();
    listen(this.#body, "click", signal, (event: MouseEvent) => this.#click(event));
    listen(this.#body, "keydown", signal, (event: KeyboardEvent) => this.#press(event));
    listen(this.el, "scroll", signal, draw, { passive: true });
    const resized = new ResizeObserver(draw);
    resized.observe(this.el);
    signal.addEventListener("abort", () => resized.disconnect());
  }

  /** There are more rows, or fewer. */
  resize(): void {
    const count = this.#options.count();
    this.#active = Math.max(0, Math.min(this.#active, count - 1));
    setAttribute(this.el, "aria-rowcount", String(count + 1));
    this.#body.style.height = `${count * ROW_PX}px`;
  }

  /** Go to the first row; it is active. */
  toTop(): void {
    this.#active = 0;
    this.el.scrollTop = 0;
  }

  draw(): void {
    const height = this.#height();
    if (height <= 0) return; // closed, or not laid out now
    const rows = this.#rows;
    const { scrollTop } = this.el;
    const first = Math.max(0, Math.floor(scrollTop / ROW_PX) - BEYOND);
    const stop = Math.ceil((scrollTop + height) / ROW_PX) + BEYOND;
    const last = Math.min(this.#options.count(), stop);
    while (rows.length < last - first) {
      const row = this.#options.create();
      rows.push(row);
      this.#body.append(row.el);
    }
    for (const [index, row] of rows.entries()) {
      // A place keeps its row while it is in sight: it keeps the focus, too.
      const place =
        first + ((((index - first) % rows.length) + rows.length) % rows.length);
      row.el.hidden = place >= last;
      if (!row.el.hidden) this.#drawRow(row, place);
    }
  }

  #drawRow(row: Row, place: number): void {
    setAttribute(row.button, "tabindex", place === this.#active ? "0" : "-1");
    if (row.el.dataset.place !== String(place)) {
      row.el.style.transform = `translateY(${place * ROW_PX}px)`;
      row.el.dataset.place = String(place);
      setAttribute(row.el, "aria-rowindex", String(place + 2));
    }
    this.#options.update(row, place);
  }

  /** Of the rows in sight, without the head. */
  #height(): number {
    return this.el.clientHeight - this.#options.head.offsetHeight;
  }

  #click({ target }: MouseEvent): void {
    const row = (target as HTMLElement).closest<HTMLElement>("[data-place]");
    const place = Number(row?.dataset.place ?? Number.NaN);
    if (!(place < this.#options.count())) return;
    this.#active = place;
    this.#options.onPick(place);
    this.draw();
  }

  #press(event: KeyboardEvent): void {
    const by = MOVES[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // here they move in the list
    const last = this.#options.count() - 1;
    this.#active = Math.max(0, Math.min(last, this.#active + by));
    this.#scrollTo(this.#active * ROW_PX);
    this.draw();
    const place = String(this.#active);
    this.#rows.find((row) => row.el.dataset.place === place)?.button.focus();
  }

  /** Bring the row that begins there into sight. */
  #scrollTo(top: number): void {
    const height = this.#height();
    if (top < this.el.scrollTop) this.el.scrollTop = top;
    else if (top + ROW_PX > this.el.scrollTop + height)
      this.el.scrollTop = top + ROW_PX - height;
  }
}
