/** A decoding pool and a canvas for tests, without workers and pages. */

import { Decoder } from "../src/decode/decoder.ts";
import { type Decoding, pack } from "../src/decode/worker-pool.ts";
import type { Cell } from "../src/playback/cells.ts";
import type { StandIn } from "../src/playback/previews.ts";
import type { Surface } from "../src/playback/surface.ts";

/** Decodes at once, but answers later, as a worker does. */
export async function localPool(): Promise<Decoding> {
  const decoder = await Decoder.open();
  const pool = {
    numDecodes: 0,
    async run(plans: Parameters<Decoding["run"]>[0]) {
      const result = decoder.run(pack(0, plans, null));
      pool.numDecodes += result.numDecodes;
      await Promise.resolve();
      return [result];
    },
    recycle() {},
  };
  return pool;
}

/** A canvas for each cell, of which tests read pixels. */
export class FakeSurface implements Surface {
  readonly canvases = new Map<number, { width: number; pixels: Uint8Array }>();
  #canvasOf({ slot, width, height }: Cell) {
    const canvas = this.canvases.get(slot) ?? {
      width,
      pixels: new Uint8Array(width * height * 4),
    };
    this.canvases.set(slot, canvas);
    return canvas;
  }
  put(cell: Cell, pixels: Uint8ClampedArray, width: number, x: number, y: number) {
    const canvas = this.#canvasOf(cell);
    for (let at = 0; at * width * 4 < pixels.length; at++)
      canvas.pixels.set(
        pixels.subarray(at * width * 4, (at + 1) * width * 4),
        ((y + at) * canvas.width + x) * 4,
      );
  }
  /** What stands in fills it with one color. */
  draw(cell: Cell, standIn: StandIn) {
    const context = this.#canvasOf(cell).pixels as unknown;
    standIn.draw(context as CanvasRenderingContext2D, 0, 0, cell.width, cell.height);
  }
  clear(cell: Cell) {
    this.#canvasOf(cell).pixels.fill(0);
  }
  /** RGB of a part of a cell; null where it is transparent. */
  frame(
    cell: Cell,
    { x, y, width, height }: { x: number; y: number; width: number; height: number },
  ): number[] | null {
    const canvas = this.#canvasOf(cell);
    const rgb: number[] = [];
    let isSeen = false;
    for (let row = y; row < y + height; row++)
      for (
        let i = (row * canvas.width + x) * 4;
        i < (row * canvas.width + x + width) * 4;
        i++
      )
        if (i % 4 !== 3) rgb.push(canvas.pixels[i]!);
        else isSeen ||= canvas.pixels[i] === 255;
    return isSeen ? rgb : null;
  }
}

/** A picture that a fake decoder gave, or a part of it. */
export class FakeBitmap {
  static numOpen = 0;
  readonly area: readonly number[];
  isClosed = false;
  constructor(area: readonly number[]) {
    this.area = area;
    FakeBitmap.numOpen++;
  }
  close() {
    if (!this.isClosed) FakeBitmap.numOpen--;
    this.isClosed = true;
  }
}

/**
 * WebCodecs for node, which has none: decoders that say they take any codec, and fail
 * where they do not. Returns what takes them away.
 */
export function fakeDecoders(decodes: (codec: string) => boolean): () => void {
  FakeBitmap.numOpen = fakeDecoders.numOpen = 0;
  class FakeDecoder {
    static isConfigSupported = async () => ({ supported: true });
    state = "unconfigured";
    decodeQueueSize = 0;
    #codec = "";
    readonly #init: VideoDecoderInit;
    constructor(init: VideoDecoderInit) {
      this.#init = init;
    }
    configure({ codec }: VideoDecoderConfig) {
      [this.state, this.#codec] = ["configured", codec];
      fakeDecoders.numOpen++;
    }
    async decode({ timestamp }: { timestamp: number }) {
      await Promise.resolve();
      if (this.state === "closed") return;
      if (decodes(this.#codec))
        this.#init.output({ timestamp, close() {} } as VideoFrame);
      else {
        this.close();
        this.#init.error(new DOMException("fake", "EncodingError"));
      }
    }
    async flush() {}
    close() {
      this.state = "closed";
      fakeDecoders.numOpen--;
    }
  }
  const fakes = {
    VideoDecoder: FakeDecoder,
    EncodedVideoChunk: class {
      constructor(init: object) {
        Object.assign(this, init);
      }
    },
    createImageBitmap: async (_: unknown, ...area: number[]) => new FakeBitmap(area),
  };
  Object.assign(globalThis, fakes);
  return () => {
    for (const name of Object.keys(fakes)) Reflect.deleteProperty(globalThis, name);
  };
}
fakeDecoders.numOpen = 0;
