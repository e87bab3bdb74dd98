/** What is under the pointer on the timeline: numbers, and a small picture. */

import type { Thumbnail, Thumbnails } from "../../decode/thumbnails.ts";
import type { Session } from "../../session/session.ts";
import { pointIn } from "../../util/scale.ts";
import { listen, make } from "../dom.ts";
import { formatCount, formatValue } from "../format.ts";
import { inspectedEnv } from "../side/inspector.ts";
import { nameOfScalar, tracedScalars, traceReader } from "./traced.ts";

export interface TooltipParts {
  session: Session;
  thumbnails: Thumbnails;
  /** Over which the pointer moves, and in which the tooltip is. */
  plot: HTMLElement;
  rowAt: (clientX: number) => number;
  signal: AbortSignal;
}

export function createTooltip(parts: TooltipParts): void {
  const { session, thumbnails, plot, rowAt, signal } = parts;
  const { store } = session;
  const text = make("span", { class: "rv-hint-text" });
  const picture = make("canvas", { class: "rv-thumbnail", "aria-hidden": "true" });
  const el = make("output", { class: "rv-hint", hidden: true }, picture, text);
  plot.append(el);
  let shown = -1;

  const move = (event: PointerEvent) => {
    const row = rowAt(event.clientX);
    if (row >= store.numRows || event.pointerType === "touch") return;
    text.textContent = describeRow(session, row);
    el.hidden = false;
    if (row !== shown) showPicture(row);
    place(event.clientX);
  };
  const place = (clientX: number) => {
    const { x: at } = pointIn(plot, clientX, 0);
    const x = Math.max(0, Math.min(plot.offsetWidth - el.offsetWidth, at + 8));
    el.style.transform = `translateX(${Math.round(x)}px)`;
  };
  const showPicture = (row: number) => {
    shown = row;
    const env = inspectedEnv(session);
    const slots = store.manifest?.slots ?? [];
    const slot = slots.findIndex((one) => one.env === env || one.shared);
    if (slot < 0) return;
    const draw = (found: Thumbnail | null) => {
      if (row !== shown) return;
      picture.hidden = !found;
      el.dataset.row = String(row);
      if (!found) return;
      [picture.width, picture.height] = [found.width, found.height];
      const image = new ImageData(found.pixels, found.width);
      picture.getContext("2d")?.putImageData(image, 0, 0);
    };
    const at = store.recordedSlotAt(row, slot);
    if (at) thumbnails.request(at.row, at.slot, draw);
    else draw(null);
  };
  listen(plot, "pointermove", signal, move);
  listen(plot, "pointerleave", signal, () => {
    el.hidden = true;
    shown = -1;
  });
}

/** A row's numbers, its segment, and whether it is a bookmark. */
function describeRow(session: Session, row: number): string {
  const { store, marks } = session;
  const parts = tracedScalars(session).map((scalar) => {
    const value = traceReader(session, scalar)(row);
    return `${nameOfScalar(scalar, session)} ${formatValue(value)}`;
  });
  const segment = store.manifest?.segments?.find(
    ([, start, stop]) => start <= row && row < stop,
  );
  if (segment) parts.push(segment[0]);
  if (marks.bookmarks.includes(row)) parts.push("bookmark");
  return [`row ${formatCount(row)}`, ...parts].join(" \u00b7 ");
}
