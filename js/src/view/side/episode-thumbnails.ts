/** The last picture of each listed episode, small. */

import { type Thumbnail, Thumbnails } from "../../decode/thumbnails.ts";
import { WorkerPool } from "../../decode/worker-pool.ts";
import type { Store } from "../../recording/store.ts";

export interface EpisodeThumbnails {
  /** Draw a picture; one that is not decoded yet leaves the canvas empty till then. */
  draw(canvas: HTMLCanvasElement, picture: PictureRow): void;
  clear(): void;
}

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

export function createEpisodeThumbnails(
  store: Store,
  onReady: () => void,
  signal: AbortSignal,
): EpisodeThumbnails {
  // Has a worker of its own, from the first picture on.
  let thumbnails: Thumbnails | null = null;
  const get = (row: number, env: number) => {
    const slot = store.recordedSlotOf(row, env);
    if (slot < 0) return null;
    thumbnails ??= new Thumbnails(store, new WorkerPool(1, signal), {
      cacheSize: 400,
      reduction: ({ height }) => height / (THUMB_PX * devicePixelRatio),
    });
    return thumbnails.get(row, slot, onReady);
  };
  return {
    draw(canvas, { env, row, start }) {
      canvas.hidden = store.recordedSlotOf(row, env) < 0;
      if (canvas.hidden) return;
      let shown = row;
      let picture = get(shown, env);
      // The terminal picture was not recorded: the one before it is the last.
      while (picture === null && shown > start && row - shown < MOST_MISSING)
        picture = get(--shown, env);
      const key = picture ? `${env}:${shown}` : "";
      if (canvas.dataset.key === key) return;
      canvas.dataset.key = key;
      show(canvas, picture);
    },
    clear: () => thumbnails?.clear(),
  };
}

function show(canvas: HTMLCanvasElement, picture: Thumbnail | null | undefined): void {
  canvas.width = picture?.width ?? 1; // setting it clears
  if (!picture) return;
  canvas.height = picture.height;
  const image = new ImageData(picture.pixels, picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
