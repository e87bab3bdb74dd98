/** How large the tiles are at no zoom: as the room on the page allows. */

import {
  heightOf,
  type Layout,
  layOut,
  layOutAlone,
  type Size,
  type Space,
} from "../../playback/layout.ts";
import type { Session } from "../../session/session.ts";
import { slotsInSight } from "./camera-picker.ts";

const SCROLL_BAR_PX = 14;

export interface FittedGrid {
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
  const { slots: all, columns } = session.store.manifest!;
  const { together, slots: inSight } = slotsInSight(session);
  const slots = opened === null ? inSight : [opened];
  const sizes = slots.map((slot) => all[slot]!);
  const fit = (width: number) =>
    opened === null
      ? layOut(sizes, { ...space, width }, columns, together)
      : layOutAlone(sizes[0]!, { ...space, width });
  let layout = fit(space.width);
  if (heightOf(layout) > space.height + 1) layout = fit(space.width - SCROLL_BAR_PX);
  return { slots, sizes, layout, space };
}
