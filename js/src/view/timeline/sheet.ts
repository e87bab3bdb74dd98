/** The timeline's canvas while it is drawn: its pixels, its rows, the page's colours. */

import { columnOf, minMaxPerPixel, type Trace } from "../../recording/downsample.ts";

export interface Sheet {
  readonly context: CanvasRenderingContext2D;
  /** In pixels of the canvas. */
  readonly width: number;
  readonly height: number;
  /** Pixels of the canvas for each CSS pixel. */
  readonly density: number;
  readonly first: number;
  readonly stop: number;
  /** Pixel column of a row. */
  at(row: number): number;
  /** Value range of the rows in each pixel column. */
  trace(value: (row: number) => number): Trace;
  /** The colour that a custom property of widget.css has now. */
  colour(property: string): string;
}

export interface SheetParts {
  /** Gives the canvas its size. */
  plot: HTMLElement;
  canvas: HTMLCanvasElement;
  /** A hidden element that resolves colours. */
  probe: HTMLElement;
}

/** Empty the canvas for rows first..stop; null: there is nothing to draw, or no room. */
export function emptySheet(
  { plot, canvas, probe }: SheetParts,
  [first, stop]: readonly [number, number],
): Sheet | null {
  const context = canvas.getContext("2d");
  if (!plot.clientWidth || !context) return null;
  const density = devicePixelRatio || 1;
  const width = Math.round(plot.clientWidth * density);
  const height = Math.round(plot.clientHeight * density);
  if (canvas.width !== width || canvas.height !== height)
    [canvas.width, canvas.height] = [width, height];
  context.clearRect(0, 0, width, height);
  if (stop <= first) return null;
  return {
    context,
    width,
    height,
    density,
    first,
    stop,
    at: (row) => columnOf(row, first, stop, width),
    trace: (value) => minMaxPerPixel(value, first, stop, width),
    colour(property) {
      // A custom property is text; as a colour, light-dark() in it is resolved.
      probe.style.color = `var(${property})`;
      return getComputedStyle(probe).color;
    },
  };
}
