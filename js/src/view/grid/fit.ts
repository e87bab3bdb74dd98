/** How large the tiles are at no zoom: as the room on the page allows. */

import { type Layout, layOut, layOutAlone, type Size } from "../../playback/layout.ts";
import type { Session } from "../../session/session.ts";
import { slotsInSight } from "./camera-picker.ts";

const MIN_HEIGHT_PX = 220;
/** Share of the window's height: the controls below stay in sight. */
const HEIGHT_SHARE = 0.56;
const FULL_HEIGHT_SHARE = 0.76;
/** A grid may be higher than its window by so much before it scrolls within one. */
const MAX_WINDOWS = 2;
const SCROLL_BAR_PX = 14;

export interface FittedGrid {
  slots: number[];
  sizes: Size[];
  layout: Layout;
  /** CSS pixels of the grid's window. */
  height: number;
  /** The grid is so much higher than its window that it scrolls. */
  isHigh: boolean;
}

/** Fit all slots in sight into a width, or one that is open alone. */
export function fitGrid(
  session: Session,
  opened: number | null,
  fullWidth: number,
): FittedGrid {
  const { slots: all, columns } = session.store.manifest!;
  const { together, slots: inSight } = slotsInSight(session);
  const slots = opened === null ? inSight : [opened];
  const sizes = slots.map((slot) => all[slot]!);
  const share = document.fullscreenElement ? FULL_HEIGHT_SHARE : HEIGHT_SHARE;
  const height = Math.max(MIN_HEIGHT_PX, Math.round(innerHeight * share));
  const density = devicePixelRatio || 1;
  const fit = (width: number) =>
    opened === null
      ? layOut(sizes, { width, height, density }, columns, together)
      : layOutAlone(sizes[0]!, { width, height, density });
  let layout = fit(fullWidth);
  // A grid that is higher than two windows scrolls within one, beside its scroll bar.
  const isHigh = opened === null && heightOf(layout) > MAX_WINDOWS * height;
  if (isHigh) layout = fit(fullWidth - SCROLL_BAR_PX);
  const shown = isHigh ? Math.max(height, layout.tileHeight) : heightOf(layout);
  return { slots, sizes, layout, height: shown, isHigh };
}

function heightOf({ rows, tileHeight }: Layout): number {
  return rows * tileHeight;
}
