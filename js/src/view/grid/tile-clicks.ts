/** Clicks on tiles: one selects an env, two open a tile alone, or all of them again. */

import type { Session } from "../../session/session.ts";
import { listen } from "../dom.ts";
import type { Stage } from "./stage.ts";
import type { TileOverlay } from "./tile-overlay.ts";

export interface TileClickParts {
  session: Session;
  overlay: TileOverlay;
  stage: Stage;
  signal: AbortSignal;
}

export function followTileClicks(parts: TileClickParts): void {
  const { session, overlay, stage, signal } = parts;
  const { store, marks } = session;
  const slotOf = (event: MouseEvent) => overlay.slotAt(event.clientX, event.clientY);
  const envOf = (slot: number) => store.manifest!.slots[slot]!.env;

  listen(overlay.el, "click", signal, (event: MouseEvent) => {
    const slot = slotOf(event);
    if (slot === null || event.detail > 1) return;
    const env = envOf(slot);
    const { selection } = marks;
    if (event.shiftKey || event.ctrlKey || event.metaKey) {
      const others = selection.filter((one) => one !== env);
      marks.select(selection.includes(env) ? others : [...others, env]);
      return;
    }
    const isOnly = selection.length === 1 && selection[0] === env;
    marks.select(isOnly && stage.opened === null ? [] : [env]);
  });
  listen(overlay.el, "dblclick", signal, (event: MouseEvent) => {
    const slot = slotOf(event);
    if (slot === null) return;
    marks.select([envOf(slot)]);
    stage.open(stage.opened === null ? slot : null);
  });
}
