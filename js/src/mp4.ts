/**
 * What writes mp4 files in a browser: a part of its own, which is loaded when it is used.
 *
 * Muxer and encoder are Mediabunny's, which leads WebCodecs. view/dump/mp4-part.ts loads
 * it.
 */

import {
  BufferTarget,
  CanvasSource,
  getFirstEncodableVideoCodec,
  Mp4OutputFormat,
  Output,
  QUALITY_VERY_HIGH,
} from "mediabunny";
import type { Mp4File, Mp4Part } from "./view/dump/mp4-part.ts";

/** H.264 first: every player has it. */
const CODECS = ["avc", "vp9", "av1"] as const;
/** As in the files that Python writes: seeking decodes no more. */
const KEY_FRAME_S = 1;

export const openMp4: Mp4Part["openMp4"] = async (canvas, fps) => {
  const { width, height } = canvas;
  const quality = QUALITY_VERY_HIGH;
  const codec = await getFirstEncodableVideoCodec([...CODECS], {
    ...{ width, height, quality },
  });
  if (!codec) return null;
  const target = new BufferTarget();
  const format = new Mp4OutputFormat({ fastStart: "in-memory" });
  const output = new Output({ format, target });
  const config = { codec, quality, keyFrameInterval: KEY_FRAME_S };
  const source = new CanvasSource(canvas, config);
  output.addVideoTrack(source, { frameRate: fps });
  await output.start();
  let count = 0;
  return {
    add: () => source.add(count++ / fps, 1 / fps),
    async finish() {
      await output.finalize();
      return new Uint8Array(target.buffer!);
    },
    cancel: () => output.cancel(),
  } satisfies Mp4File;
};
