/** The canvas of frame pixels: the cells of the tiles in sight, and no others. */

import type { GridPart, Layout } from "../../playback/layout.ts";
import type { Surface } from "../../playback/player.ts";
import { make } from "../dom.ts";

export class FramesCanvas implements Surface {
  readonly el = make("canvas", { class: "rv-frames", width: 1, height: 1 });
  readonly #context: CanvasRenderingContext2D;

  constructor() {
    // Patches come from memory and tests read pixels back: no trip to the GPU.
    const context = this.el.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("[rollout_viewer] this browser draws no 2d canvas");
    this.#context = context;
  }

  resize(width: number, height: number): void {
    this.el.width = width;
    this.el.height = height;
  }

  put(pixels: Uint8ClampedArray<ArrayBuffer>, width: number, x: number, y: number) {
    this.#context.putImageData(new ImageData(pixels, width), x, y);
  }

  clear(x: number, y: number, width: number, height: number): void {
    this.#context.clearRect(x, y, width, height);
  }

  /** Put it where the tiles of a part are; tests read from it where a tile is. */
  place(own: Layout, { columns, rows }: GridPart): void {
    const { style, dataset } = this.el;
    style.left = `${columns[0] * own.tileWidth}px`;
    style.top = `${rows[0] * own.tileHeight}px`;
    style.width = `${own.columns * own.tileWidth}px`;
    style.height = `${own.rows * own.tileHeight}px`;
    dataset.columns = String(own.columns);
    dataset.reduction = String(own.reduction);
    dataset.cellWidth = String(own.cellWidth);
    dataset.cellHeight = String(own.cellHeight);
  }

  copy(): OffscreenCanvas {
    const copy = new OffscreenCanvas(this.el.width, this.el.height);
    copy.getContext("2d")?.drawImage(this.el, 0, 0);
    return copy;
  }

  /** Draw a copy of another part of the same tiles where they are now. */
  drawCopy(copy: OffscreenCanvas, was: GridPart, own: Layout, part: GridPart): void {
    this.#context.imageSmoothingEnabled = false;
    this.#context.drawImage(
      copy,
      (was.columns[0] - part.columns[0]) * own.cellWidth,
      (was.rows[0] - part.rows[0]) * own.cellHeight,
      (was.columns[1] - was.columns[0]) * own.cellWidth,
      (was.rows[1] - was.rows[0]) * own.cellHeight,
    );
  }
}
