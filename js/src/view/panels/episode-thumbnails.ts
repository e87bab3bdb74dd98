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
  const get = (row: number, slot: number) => {
    thumbnails ??= new Thumbnails(store, new WorkerPool(1, signal), {
      cacheSize: 400,
      reduction: ({ height }) => height / (THUMB_PX * devicePixelRatio),
    });
    return thumbnails.get(row, slot, onReady);
  };
  return {
    draw(canvas, { env, row, start }) {
      const slot = slotOf(store, env);
      canvas.hidden = slot < 0;
      if (slot < 0) return;
      let shown = row;
      let picture = get(shown, slot);
      // The terminal picture was not recorded: the one before it is the last.
      while (picture === null && shown > start && row - shown < MOST_MISSING)
        picture = get(--shown, slot);
      const key = picture ? `${slot}:${shown}` : "";
      if (canvas.dataset.key === key) return;
      canvas.dataset.key = key;
      show(canvas, picture);
    },
    clear: () => thumbnails?.clear(),
  };
}

/** The slot that shows an env; negative: none does. */
function slotOf({ recorded }: Store, env: number): number {
  const slots = recorded.manifest?.slots ?? [];
  return Math.max(
    slots.findIndex((one) => one.env === env),
    slots.findIndex((one) => one.shared),
  );
}

function show(canvas: HTMLCanvasElement, picture: Thumbnail | null | undefined): void {
  canvas.width = picture?.width ?? 1; // setting it clears
  if (!picture) return;
  canvas.height = picture.height;
  const image = new ImageData(picture.pixels, picture.width, picture.height);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
