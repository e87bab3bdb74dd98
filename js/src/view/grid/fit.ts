/** How large the tiles are at no zoom: as the room on the page allows. */

import {
  heightOf,
  type Layout,
  layOut,
  layOutAlone,
  type Size,
  type Space,
} from "../../playback/layout.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Session } from "../../session/session.ts";
import { slotsInSight } from "./camera-picker.ts";

const SCROLL_BAR_PX = 14;

export interface FittedGrid {
  /** Those of tiles, line by line; -1: none is there. */
  slots: number[];
  sizes: Size[];
  layout: Layout;
  space: Space;
}

/** Fit all slots in sight into a space, or one that is open alone. */
export function fitGrid(
  session: Session,
  opened: number | null,
  space: Space,
): FittedGrid {
  const { slots: all, columns: most } = session.store.manifest!;
  const { together, slots: inSight } = slotsInSight(session);
  const { slots, columns } = inLines(
    session,
    opened === null ? inSight : [opened],
    most,
  );
  const sizes = slots.map((slot) => all[slot] ?? all[slots[0]!]!);
  const fit = (width: number) =>
    opened === null
      ? layOut(sizes, { ...space, width }, columns, together)
      : layOutAlone(sizes[0]!, { ...space, width });
  let layout = fit(space.width);
  if (heightOf(layout) > space.height + 1) layout = fit(space.width - SCROLL_BAR_PX);
  return { slots, sizes, layout, space };
}

/** Begin a line with each name, where there are so many columns. */
function inLines(
  { store: { manifest } }: Session,
  slots: readonly number[],
  most: number | null,
): { slots: number[]; columns: number | null } {
  if (!most) return { slots: [...slots], columns: most };
  const lines = new Map<string, number[]>();
  for (const slot of slots) {
    const [name] = nameOfEnv(manifest, manifest!.slots[slot]!.env);
    lines.set(name, [...(lines.get(name) ?? []), slot]);
  }
  const longest = Math.max(...[...lines.values()].map((line) => line.length));
  const columns = Math.min(most, longest);
  const found: number[] = [];
  for (const line of lines.values()) {
    while (found.length % columns) found.push(-1);
    found.push(...line);
  }
  return { slots: found, columns };
}
