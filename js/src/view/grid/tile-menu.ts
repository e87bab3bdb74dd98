/** The menu of a tile: by a right click, Shift+F10, or a finger that stays. */

import { recordedAt } from "../../recording/arrangement.ts";
import type { Session } from "../../session/session.ts";
import { listen, onAbort } from "../dom.ts";
import { createMenu, type MenuEntry } from "../parts/menu.ts";
import type { Toast } from "../parts/toast.ts";
import type { Copied, FrameCopy } from "./frame-copy.ts";
import type { Stage } from "./stage.ts";
import type { TileOverlay } from "./tile-overlay.ts";

export interface TileMenuParts {
  session: Session;
  overlay: TileOverlay;
  stage: Stage;
  frameCopy: FrameCopy;
  drawnRow: () => number;
  notify: (toast: Toast) => void;
  signal: AbortSignal;
}

const LONG_PRESS_MS = 500;
/** A finger that moves so far scrolls. */
const MOVED_PX = 10;

export interface TileMenu {
  el: HTMLElement;
  open(slot: number, at: Element | { x: number; y: number }): void;
}

export function createTileMenu(parts: TileMenuParts): TileMenu {
  const { overlay, signal } = parts;
  let slot = 0;
  const menu = createMenu("Tile", () => entriesOf(parts, slot), signal);
  const open: TileMenu["open"] = (of, at) => {
    slot = of;
    menu.open(at);
  };
  const openAt = (x: number, y: number, isPressed: boolean) => {
    const under = overlay.slotAt(x, y);
    if (under === null) return false;
    const show = () => open(under, { x, y });
    if (isPressed) onRelease(show, signal);
    else show();
    return true;
  };
  listen(overlay.el, "contextmenu", signal, (event: MouseEvent) => {
    const tile = (event.target as Element).closest<HTMLElement>(".rv-tile");
    // By a key, it is at no point of the page.
    const isByKey = event.button !== 2 && tile && !event.clientX && !event.clientY;
    if (isByKey) open(Number(tile.dataset.slot), tile);
    else if (!openAt(event.clientX, event.clientY, event.buttons > 0)) return;
    event.preventDefault();
  });
  followLongPress(overlay.el, (x, y) => openAt(x, y, true), signal);
  return { el: menu.el, open };
}

function entriesOf(parts: TileMenuParts, slot: number): MenuEntry[] {
  const { session, stage, frameCopy, notify } = parts;
  const row = parts.drawnRow();
  const isAlone = stage.opened !== null;
  const report = (outcome: Promise<Copied>) =>
    void outcome.then((done) => notify(toastOf(done)), session.fail);
  const place = placeOf(session, slot, row);
  const code = place ? `cache.at(${place.row}, env=${place.env})` : "";
  return [
    {
      text: isAlone ? "Show all tiles" : "Show alone",
      icon: "grid",
      hint: isAlone ? "Esc" : "Enter",
      choose: () => stage.open(isAlone ? null : slot),
    },
    "",
    ...labelEntries(session, place),
    {
      text: "Bookmark this row",
      icon: "bookmark",
      isDisabled: !place || session.marks.bookmarks.includes(place.row),
      choose: () => place && session.bookmark(place.row),
    },
    "",
    {
      text: "Copy frame as PNG",
      icon: "copy",
      choose: () => report(frameCopy.copy(slot, row)),
    },
    {
      text: "Save frame as PNG",
      icon: "download",
      choose: () => report(frameCopy.save(slot, row)),
    },
    {
      text: `Copy ${code}`,
      icon: "copy",
      isDisabled: !place,
      choose: () => copyText(code, notify),
    },
  ];
}

function labelEntries(session: Session, place: PlaceOfTile | null): MenuEntry[] {
  if (!place || place.episode < 0) return [];
  const { env, episode } = place;
  const { episodes } = session.store.recorded.steps;
  const labels = episodes.labels(env, episode);
  return ["success", "failure"].map((name) => ({
    text: `Label ${name}`,
    icon: "label",
    isOn: name in labels,
    isRadio: true, // closes the menu
    choose: () => session.label(env, episode, name, name in labels ? null : true),
  }));
}

interface PlaceOfTile {
  row: number;
  env: number;
  /** -1: the env is between episodes. */
  episode: number;
}

/** Where what a tile shows was recorded. */
function placeOf({ store }: Session, slot: number, row: number): PlaceOfTile | null {
  const env = store.manifest?.slots[slot]?.env;
  if (env === undefined || row < 0 || row >= store.numRows) return null;
  const { arrangement, recorded } = store;
  const place = arrangement ? recordedAt(arrangement, row, env) : { row, env };
  if (!place) return null;
  return { ...place, episode: recorded.steps.at(place.row, place.env).episode };
}

export function toastOf(outcome: Copied): Toast {
  if (outcome === "copied") return { text: "Frame copied", kind: "done", key: "frame" };
  if (outcome === "saved") return { text: "Frame saved", kind: "done", key: "frame" };
  return { text: "There is no picture of this row", key: "frame" };
}

function copyText(text: string, notify: (toast: Toast) => void): void {
  const say = (said: string) => notify({ text: said, key: "code" });
  const copied = navigator.clipboard?.writeText(text) ?? Promise.reject();
  copied.then(
    () => notify({ text: `Copied ${text}`, kind: "done", key: "code" }),
    () => say(text),
  );
}

/** A button or finger that is released beside what it opened would close it. */
function onRelease(show: () => void, signal: AbortSignal): void {
  const options = { once: true, capture: true };
  listen(document, "pointerup", signal, () => setTimeout(show), options);
}

/** Browsers of which a finger that stays opens no menu of their own. */
function followLongPress(
  el: HTMLElement,
  open: (x: number, y: number) => unknown,
  signal: AbortSignal,
): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let from = { x: 0, y: 0 };
  const stop = () => clearTimeout(timer);
  listen(el, "pointerdown", signal, (event: PointerEvent) => {
    stop();
    if (event.pointerType !== "touch" || !event.isPrimary) return;
    from = { x: event.clientX, y: event.clientY };
    timer = setTimeout(() => open(from.x, from.y), LONG_PRESS_MS);
  });
  listen(el, "pointermove", signal, ({ clientX, clientY }: PointerEvent) => {
    if (Math.hypot(clientX - from.x, clientY - from.y) > MOVED_PX) stop();
  });
  for (const type of ["pointerup", "pointercancel", "contextmenu"])
    listen(el, type, signal, stop);
  onAbort(signal, stop);
}
