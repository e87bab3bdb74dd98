/** A canvas of the timeline while it is drawn: its pixels, its rows, the page's colours. */

import { type Span, xOf } from "../../recording/downsample.ts";
import type { Palette } from "./palette.ts";

/** What all canvases of a drawing have in common. */
export interface Paper {
  /** In CSS pixels. */
  readonly width: number;
  /** Pixels of a canvas for each CSS pixel. */
  readonly density: number;
  readonly span: Span;
  readonly palette: Palette;
}

export interface Sheet extends Paper {
  readonly context: CanvasRenderingContext2D;
  /** In pixels of the canvas, as `height` is. */
  readonly width: number;
  readonly height: number;
  /** Pixel of a row: a fraction, and out of the canvas where the row is out of sight. */
  x(row: number): number;
}

/** Empty a canvas that is `height` CSS pixels high, on whole pixels of the screen. */
export function emptySheet(
  canvas: HTMLCanvasElement,
  height: number,
  paper: Paper,
): Sheet | null {
  const context = canvas.getContext("2d");
  if (!context) return null;
  const { density, span, palette } = paper;
  const wide = Math.max(1, Math.round(paper.width * density));
  const high = Math.max(1, Math.round(height * density));
  if (canvas.width !== wide || canvas.height !== high) {
    [canvas.width, canvas.height] = [wide, high];
    // As many CSS pixels as make each of its pixels one of the screen.
    canvas.style.width = `${wide / density}px`;
    canvas.style.height = `${high / density}px`;
  } else context.clearRect(0, 0, wide, high);
  const x = (row: number) => xOf(row, span, wide);
  return { context, width: wide, height: high, density, span, palette, x };
}

/** Use the font of small texts. */
export function useSmallFont({ context, density, palette }: Sheet): void {
  context.font = `${11 * density}px ${palette.font}`;
}
