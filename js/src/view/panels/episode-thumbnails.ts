/** The last picture of each listed episode, small. */

import { type Thumbnail, Thumbnails } from "../../decode/thumbnails.ts";
import { WorkerPool } from "../../decode/worker-pool.ts";
import type { Store } from "../../recording/store.ts";

/** Where the picture of an episode is. */
export interface PictureRow {
  env: number;
  row: number;
  /** The first row of the episode. */
  start: number;
}

const THUMB_PX = 28;
/** The terminal picture may be missing: so many rows before it are tried. */
const MOST_MISSING = 3;

export class EpisodeThumbnails {
  readonly #store: Store;
  readonly #onReady: () => void;
  readonly #signal: AbortSignal;
  /** Has a worker of its own, from the first picture on. */
  #thumbnails: Thumbnails | null = null;

  constructor(store: Store, onReady: () => void, signal: AbortSignal) {
    this.#store = store;
    this.#onReady = onReady;
    this.#signal = signal;
  }

  /** Draw a picture; one that is not decoded yet leaves the canvas empty till then. */
  draw(canvas: HTMLCanvasElement, { env, row, start }: PictureRow): void {
    const slots = this.#store.recorded.manifest?.slots ?? [];
    const slot = Math.max(
      slots.findIndex((one) => one.env === env),
      slots.findIndex((one) => one.shared),
    );
    canvas.hidden = slot < 0;
    if (slot < 0) return;
    let shown = row;
    let picture = this.#get(shown, slot);
    // The terminal picture was not recorded: the one before it is the last.
    while (picture === null && shown > start && shown > row - MOST_MISSING) {
      shown--;
      picture = this.#get(shown, slot);
    }
    const key = picture ? `${slot}:${shown}` : "";
    if (canvas.dataset.key === key) return;
    canvas.dataset.key = key;
    show(canvas, picture);
  }

  clear(): void {
    this.#thumbnails?.clear();
  }

  #get(row: number, slot: number): Thumbnail | null | undefined {
    this.#thumbnails ??= new Thumbnails(this.#store, new WorkerPool(1, this.#signal), {
      cacheSize: 400,
      reduction: ({ height }) => height / (THUMB_PX * devicePixelRatio),
    });
    return this.#thumbnails.get(row, slot, this.#onReady);
  }
}

function show(canvas: HTMLCanvasElement, picture: Thumbnail | null | undefined): void {
  canvas.width = picture?.width ?? 1; // setting it clears
  if (!picture) return;
  canvas.height = picture.height;
  const image = new ImageData(picture.pixels, picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
