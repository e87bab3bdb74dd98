/** Above the pictures, each tile as what it differs from the tile it is compared with. */

import { type Comparison, differ, referenceOf } from "../../recording/comparison.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import type { Grid } from "../grid/grid.ts";

export interface PixelDifference {
  /** Draw it; null: hide it. Returns by env the share of pixels that differ. */
  draw(comparison: Comparison | null): Map<number, number>;
  /** By how much the pictures are reduced. */
  reduction(): number;
}

/** Cells of the canvas that has the pictures, by the index of their tile. */
interface Cells {
  width: number;
  height: number;
  at(index: number): [x: number, y: number];
}

export function createPixelDifference(session: Session, grid: Grid): PixelDifference {
  const frames = grid.el.querySelector<HTMLCanvasElement>(".rv-frames")!;
  const canvas = make("canvas", {
    class: "rv-difference",
    "aria-hidden": "true",
    hidden: true,
  });
  frames.after(canvas);
  return {
    draw(comparison) {
      canvas.hidden = !comparison || grid.opened !== null;
      if (canvas.hidden || !comparison) return new Map();
      // Where a part of the grid is in sight, the pictures lie on that part.
      canvas.style.cssText = frames.style.cssText;
      return drawDifferences(frames, canvas, session, grid, comparison);
    },
    reduction: () => Number(frames.dataset.reduction ?? 1),
  };
}

function drawDifferences(
  frames: HTMLCanvasElement,
  canvas: HTMLCanvasElement,
  { store }: Session,
  { player }: Grid,
  comparison: Comparison,
): Map<number, number> {
  const shares = new Map<number, number>();
  const from = frames.getContext("2d");
  const to = canvas.getContext("2d");
  const { width, height } = frames;
  if (!from || !to || !width || !height) return shares;
  if (canvas.width !== width || canvas.height !== height)
    [canvas.width, canvas.height] = [width, height];
  to.clearRect(0, 0, width, height);
  const slots = store.manifest?.slots ?? [];
  const cells = cellsOf(frames);
  const pixels = (index: number) =>
    from.getImageData(...cells.at(index), cells.width, cells.height).data;
  for (const [index, slot] of player.slots.entries()) {
    const { env, camera } = slots[slot]!;
    const reference = referenceOf(comparison, env);
    if (reference === null) continue;
    const other = player.slots.findIndex(
      (one) => slots[one]!.env === reference && slots[one]!.camera === camera,
    );
    if (other < 0) continue;
    const out = new ImageData(cells.width, cells.height);
    shares.set(env, differ(pixels(other), pixels(index), out.data));
    to.putImageData(out, ...cells.at(index));
  }
  return shares;
}

function cellsOf({ dataset }: HTMLCanvasElement): Cells {
  const columns = Number(dataset.columns);
  const width = Number(dataset.cellWidth);
  const height = Number(dataset.cellHeight);
  return {
    width,
    height,
    at: (index) => [(index % columns) * width, Math.floor(index / columns) * height],
  };
}
