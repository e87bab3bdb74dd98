/** Above the pictures, each tile as what it differs from the tile it is compared with. */

import { type Comparison, differ, referenceOf } from "../../recording/comparison.ts";
import type { Session } from "../../session/session.ts";
import { Frames } from "../grid/frames.ts";
import type { Grid } from "../grid/grid.ts";

export interface PixelDifference {
  /** Draw it; null: hide it. Returns by env the share of pixels that differ. */
  draw(comparison: Comparison | null): Map<number, number>;
  /** By how much the pictures are reduced. */
  reduction(): number;
}

export function createPixelDifference(session: Session, grid: Grid): PixelDifference {
  const { frames } = grid;
  const above = new Frames("rv-difference");
  above.el.hidden = true;
  frames.el.after(above.el);
  return {
    draw(comparison) {
      above.el.hidden = !comparison || grid.opened !== null;
      if (above.el.hidden || !comparison || !frames.placed) return new Map();
      above.place(frames.placed);
      return drawDifferences(frames, above, session, comparison);
    },
    reduction: () => frames.placed?.layout.reduction ?? 1,
  };
}

function drawDifferences(
  frames: Frames,
  above: Frames,
  { store }: Session,
  comparison: Comparison,
): Map<number, number> {
  const shares = new Map<number, number>();
  const slots = store.manifest?.slots ?? [];
  const cells = frames.placed?.cells ?? [];
  for (const cell of cells) {
    above.clear(cell);
    const { env, camera } = slots[cell.slot]!;
    const reference = referenceOf(comparison, env);
    if (reference === null) continue;
    const other = cells.find(
      ({ slot }) => slots[slot]!.env === reference && slots[slot]!.camera === camera,
    );
    const [before, now] = [other && frames.read(other.slot), frames.read(cell.slot)];
    if (!before || !now || before.data.length !== now.data.length) continue;
    const out = new ImageData(now.width, now.height);
    shares.set(env, differ(before.data, now.data, out.data));
    above.put(cell, out.data, out.width, 0, 0);
  }
  return shares;
}
