/** The keys of a tile that has the focus: arrows move to others, Enter opens it alone. */

import type { Session } from "../../session/session.ts";
import { listen, setAttribute } from "../dom.ts";
import type { Stage } from "./stage.ts";
import type { TileMenu } from "./tile-menu.ts";
import type { TileOverlay } from "./tile-overlay.ts";

export interface TileKeyParts {
  session: Session;
  overlay: TileOverlay;
  stage: Stage;
  menu: TileMenu;
  signal: AbortSignal;
}

export function followTileKeys(parts: TileKeyParts): void {
  const { session, overlay, stage, menu, signal } = parts;
  const { marks, store } = session;
  const slotOf = (el: HTMLElement) => Number(el.dataset.slot);
  const envOf = (slot: number) => store.manifest!.slots[slot]!.env;
  const focus = (slot: number) => {
    stage.reveal(slot);
    const found = overlay.tiles.find((tile) => tile.slot === slot);
    if (!found) return;
    for (const { el } of overlay.tiles)
      setAttribute(el, "tabindex", el === found.el ? "0" : "-1");
    found.el.focus({ preventScroll: true });
  };
  const open = (slot: number, isAlone: boolean) => {
    stage.open(isAlone ? slot : null);
    focus(slot);
  };

  listen(overlay.el, "keydown", signal, (event: KeyboardEvent) => {
    const tile = event.target as HTMLElement;
    if (!tile.matches(".rv-tile") || event.metaKey || event.altKey) return;
    const slot = slotOf(tile);
    const env = envOf(slot);
    const { selection } = marks;
    const next = event.shiftKey ? null : neighbour(overlay, slot, event.key);
    if (next !== null) {
      focus(next);
      if (!event.ctrlKey) marks.select([envOf(next)]);
    } else if (event.key === " " && event.ctrlKey) {
      const others = selection.filter((one) => one !== env);
      marks.select(selection.includes(env) ? others : [...others, env]);
    } else if (event.key === "Enter" && !event.ctrlKey && !event.shiftKey) {
      open(slot, stage.opened === null);
    } else if (event.key === "Escape" && stage.opened !== null) {
      open(slot, false);
    } else if (event.key === "F10" && event.shiftKey) {
      menu.open(slot, tile);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** The slot that a key moves to; null: the key moves to none. */
function neighbour({ placed }: TileOverlay, slot: number, key: string): number | null {
  if (!placed) return null;
  const { slots, layout } = placed;
  const { columns } = layout;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[
    key
  ];
  if (by === undefined) return null;
  const at = slots.indexOf(slot);
  let next = at + by;
  // A line may be shorter than the others.
  while (slots[next] === -1) next += by < 0 ? -1 : 1;
  if (next >= 0 && next < slots.length) return slots[next]!;
  // The last line may be shorter than the others.
  const isBelow = Math.floor(at / columns) < Math.floor((slots.length - 1) / columns);
  return by === columns && isBelow ? slots.at(-1)! : slot;
}
