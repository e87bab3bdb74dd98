/** What is under the pointer on the timeline: numbers, a picture, notes. */

import type { Thumbnail, Thumbnails } from "../../decode/thumbnails.ts";
import { TERMINATED, TRUNCATED } from "../../protocol/messages.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Session } from "../../session/session.ts";
import { pointIn } from "../../util/scale.ts";
import { listen, make, onAbort, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { inspectedEnv } from "../side/inspector.ts";
import { isOnRows } from "./gestures.ts";
import { chosenEnv } from "./whom.ts";

export interface TooltipParts {
  session: Session;
  thumbnails: Thumbnails;
  /** Over which the pointer moves. */
  el: HTMLElement;
  plot: HTMLElement;
  rowAt: (clientX: number) => number;
  /** CSS pixels from the left edge of the plot. */
  xOfRow: (row: number) => number;
  /** The values of all tracks in a row. */
  describe: (row: number) => string[];
  /** Show a row in all tiles; null: that of the playhead. */
  preview: (row: number | null) => void;
  signal: AbortSignal;
}

/** A pointer that rests for so long previews its row. */
const REST_MS = 150;
const NOTE_PX = 6;

export interface Tooltip {
  el: HTMLElement;
  /** Say anew what is under the pointer: of another env, or with other tracks. */
  update(): void;
}

export function createTooltip(parts: TooltipParts): Tooltip {
  const { session, el, plot, rowAt, preview, signal } = parts;
  const text = make("span", { class: "rv-hint-text" });
  const caption = make("span", { class: "rv-hint-caption" });
  const picture = make("canvas", { class: "rv-thumbnail", "aria-hidden": "true" });
  const hint = make("div", { class: "rv-hint", hidden: true }, picture, caption, text);
  const showPicture = createPicture(parts, hint, picture, caption);
  let [shown, at, env] = [-1, 0, -1];
  let timer: ReturnType<typeof setTimeout> | undefined;

  const hide = () => {
    clearTimeout(timer);
    preview(null);
    hint.hidden = true;
    shown = -1;
  };
  const move = (event: PointerEvent) => {
    if (event.pointerType === "touch") return;
    if (!isOnRows(event, plot)) return hide();
    const row = Math.round(rowAt(event.clientX));
    if (row >= session.store.numRows) return hide();
    at = pointIn(plot, event.clientX, 0).x;
    hint.hidden = false;
    setText(text, linesFor(parts, row, at).join("\n"));
    place();
    if (row === shown) return;
    draw(row);
    clearTimeout(timer);
    if (!event.buttons) timer = setTimeout(preview, REST_MS, row);
  };
  const draw = (row: number) => {
    shown = row;
    env = inspectedEnv(session);
    showPicture(row);
  };
  const place = () => {
    const left = plot.offsetLeft + at + 8;
    const x = Math.max(0, Math.min(el.offsetWidth - hint.offsetWidth, left));
    hint.style.transform = `translateX(${Math.round(x)}px)`;
  };
  listen(el, "pointermove", signal, move);
  listen(el, "pointerleave", signal, hide);
  listen(el, "pointerdown", signal, () => {
    clearTimeout(timer);
    preview(null);
  });
  onAbort(signal, () => clearTimeout(timer));
  const update = () => {
    if (shown < 0) return;
    const lines = linesFor(parts, shown, at).join("\n");
    if (lines !== text.textContent) {
      setText(text, lines);
      place(); // it reads the layout, and this may be each frame
    }
    if (env !== inspectedEnv(session)) draw(shown);
  };
  return { el: hint, update };
}

/** Return what shows the picture of a row, of the env that the inspector shows. */
function createPicture(
  { session, thumbnails }: TooltipParts,
  hint: HTMLElement,
  picture: HTMLCanvasElement,
  caption: HTMLElement,
): (row: number) => void {
  const { store } = session;
  let wanted = -1;
  return (row) => {
    wanted = row;
    const env = inspectedEnv(session);
    const slots = store.manifest?.slots ?? [];
    const slot = slots.findIndex((one) => one.env === env || one.shared);
    const draw = (found: Thumbnail | null) => {
      if (row !== wanted) return;
      picture.hidden = caption.hidden = !found;
      hint.dataset.row = String(row);
      if (!found) return;
      const isShared = slots[slot]!.shared;
      const name = nameOfEnv(store.manifest, env).join(" ");
      setText(caption, isShared ? "picture of all envs" : `picture of ${name}`);
      [picture.width, picture.height] = [found.width, found.height];
      const image = new ImageData(found.pixels, found.width);
      picture.getContext("2d")?.putImageData(image, 0, 0);
    };
    const at = slot < 0 ? null : store.recordedSlotAt(row, slot);
    if (at) thumbnails.request(at.row, at.slot, draw);
    else draw(null);
  };
}

/** A row's numbers, its segment, and the notes near the pointer. */
function linesFor(parts: TooltipParts, row: number, x: number): string[] {
  const { session, describe } = parts;
  const { store } = session;
  const env = inspectedEnv(session);
  const place = [`row ${formatCount(row)}`];
  if (env < store.steps.numEnvs) {
    const { episode, envStep } = store.steps.at(row, env);
    const name = nameOfEnv(store.manifest, env).join(" ");
    if (episode >= 0) place.push(name, `ep ${episode}`, `step ${envStep}`);
  }
  const lines = [place.join(" \u00b7 "), ...describe(row)];
  const segment = store.manifest?.segments?.find(
    ([, start, stop]) => start <= row && row < stop,
  );
  if (segment) lines.push(`segment ${segment[0]}`);
  return [...lines, ...endsNear(parts, row, x), ...notesNear(parts, x)];
}

/** How an episode ended at a point of the plot. */
function endsNear({ session, xOfRow }: TooltipParts, row: number, x: number): string[] {
  const { steps } = session.store;
  const env = chosenEnv(session);
  const found = [steps.findEnd(row - 1, 1, env), steps.findEnd(row, -1, env)].find(
    (one) => one !== null && Math.abs(xOfRow(one) - x) <= NOTE_PX,
  );
  if (found === undefined || found === null) return [];
  const ends = steps.ends(found, env);
  const how = [ends & TERMINATED && "terminated", ends & TRUNCATED && "truncated"];
  const text = how.filter(Boolean).join(" and ");
  return [
    `row ${formatCount(found)}: ${env === null ? "episodes" : "episode"} ${text}`,
  ];
}

/** Bookmarks at a point of the plot, with their notes. */
function notesNear({ session, xOfRow }: TooltipParts, x: number): string[] {
  const { marks } = session;
  return marks.bookmarks
    .filter((row) =>
      session.shownRows([row]).some((one) => Math.abs(xOfRow(one) - x) <= NOTE_PX),
    )
    .map((row) => `bookmark: ${marks.notes.get(row) || `row ${formatCount(row)}`}`);
}
