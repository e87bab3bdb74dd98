/**
 * Rows as a film, drawn one after the other: the tiles of a row in a grid, as in the
 * files that Python writes.
 */

import type { Thumbnail } from "../../decode/thumbnails.ts";
import type { ExportedRows } from "../../protocol/messages.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";

export interface Film {
  canvas: HTMLCanvasElement;
  /** Draw a row, complete when it resolves. */
  draw(row: number): Promise<void>;
}

/** The picture of a recorded row, every pixel of it; null: there is none. */
export type ReadPicture = (row: number, slot: number) => Promise<Thumbnail | null>;

/** As in Python: larger grids are reduced, by whole numbers. */
const [MAX_WIDTH, MAX_HEIGHT] = [4096, 2304];
const [BLANK, HATCH] = ["#3c3c3c", "#6e6e6e"];
const HATCH_PX = 16;

/** Return what draws the pictures of some envs; null: none of them has any. */
export function createFilm(
  { store }: Session,
  { envs }: Pick<ExportedRows, "envs">,
  readPicture: ReadPicture,
): Film | null {
  const all = store.recorded.manifest?.slots ?? [];
  const camera = all[0]?.camera;
  const slots = [...all.keys()].filter((slot) => {
    const { env, shared } = all[slot]!;
    return all[slot]!.camera === camera && (!envs || shared || envs.includes(env));
  });
  if (!slots.length) return null;
  const columns = Math.ceil(Math.sqrt(slots.length));
  const width = Math.max(...slots.map((slot) => all[slot]!.width));
  const height = Math.max(...slots.map((slot) => all[slot]!.height));
  const wide = columns * width;
  const high = Math.ceil(slots.length / columns) * height;
  const reduction = Math.max(
    1,
    Math.ceil(wide / MAX_WIDTH),
    Math.ceil(high / MAX_HEIGHT),
  );
  const size = [Math.ceil(wide / reduction), Math.ceil(high / reduction)] as const;
  // Encoders take even sizes: the last line is there twice.
  const even = (side: number) => side + (side % 2);
  const canvas = make("canvas", { width: even(size[0]), height: even(size[1]) });
  const context = canvas.getContext("2d", { alpha: false })!;
  const drawTile = (place: number, picture: Thumbnail | null) => {
    const x = (place % columns) * width;
    const y = Math.floor(place / columns) * height;
    if (!picture) return hatch(context, { x, y, width, height });
    const tile = make("canvas", { width: picture.width, height: picture.height });
    const image = new ImageData(picture.pixels, picture.width);
    tile.getContext("2d")!.putImageData(image, 0, 0);
    const [left, top] = [width - picture.width, height - picture.height];
    context.drawImage(tile, x + Math.floor(left / 2), y + Math.floor(top / 2));
  };
  return {
    canvas,
    async draw(row) {
      const pictures: (Thumbnail | null)[] = [];
      for (const slot of slots) pictures.push(await readPicture(row, slot));
      context.setTransform(1 / reduction, 0, 0, 1 / reduction, 0, 0);
      context.fillRect(0, 0, wide, high);
      for (const [place, picture] of pictures.entries()) drawTile(place, picture);
      context.resetTransform();
      repeatEdges(context, ...size);
    },
  };
}

/** Draw the last column and the last row again where the canvas is larger. */
function repeatEdges(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
): void {
  const { canvas } = context;
  if (canvas.width > width)
    context.drawImage(canvas, width - 1, 0, 1, height, width, 0, 1, height);
  if (canvas.height > height) {
    const wide = canvas.width;
    context.drawImage(canvas, 0, height - 1, wide, 1, 0, height, wide, 1);
  }
}

/** A picture that is missing. */
function hatch(
  context: CanvasRenderingContext2D,
  { x, y, width, height }: { x: number; y: number; width: number; height: number },
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = BLANK;
  context.fillRect(x, y, width, height);
  context.strokeStyle = HATCH;
  context.beginPath();
  for (let at = 0; at < width + height; at += HATCH_PX) {
    context.moveTo(x + at, y);
    context.lineTo(x + at - height, y + height);
  }
  context.stroke();
  context.restore();
}
