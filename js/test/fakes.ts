/** A decoding pool and a canvas for tests, without workers and pages. */

import { Decoder } from "../src/decode/decoder.ts";
import { type Decoding, pack } from "../src/decode/worker-pool.ts";
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

/** A canvas of which tests read pixels. */
export class FakeSurface implements Surface {
  pixels = new Uint8Array(0);
  width = 0;
  resize(width: number, height: number) {
    this.width = width;
    this.pixels = new Uint8Array(width * height * 4);
  }
  put(pixels: Uint8ClampedArray, width: number, x: number, y: number) {
    for (let at = 0; at * width * 4 < pixels.length; at++)
      this.pixels.set(
        pixels.subarray(at * width * 4, (at + 1) * width * 4),
        ((y + at) * this.width + x) * 4,
      );
  }
  clear(x: number, y: number, width: number, height: number) {
    for (let row = y; row < y + height; row++)
      this.pixels.fill(
        0,
        (row * this.width + x) * 4,
        (row * this.width + x + width) * 4,
      );
  }
  /** RGB of a frame; null where it is transparent. */
  frame(x: number, y: number, width: number, height: number): number[] | null {
    const rgb: number[] = [];
    let isSeen = false;
    for (let row = y; row < y + height; row++)
      for (
        let i = (row * this.width + x) * 4;
        i < (row * this.width + x + width) * 4;
        i++
      )
        if (i % 4 !== 3) rgb.push(this.pixels[i]!);
        else isSeen ||= this.pixels[i] === 255;
    return isSeen ? rgb : null;
  }
}
