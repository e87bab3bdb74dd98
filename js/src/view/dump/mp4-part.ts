/** The part that writes mp4 files (src/mp4.ts), which only exported pages have. */

import { importPart, storedPart } from "../load-part.ts";

export interface Mp4Part {
  /** Begin a file of a canvas; null: this browser encodes no video of its size. */
  openMp4(canvas: HTMLCanvasElement, fps: number): Promise<Mp4File | null>;
}

export interface Mp4File {
  /** Add the canvas as it is now as the next frame. */
  add(): Promise<void>;
  finish(): Promise<Uint8Array<ArrayBuffer>>;
  cancel(): Promise<void>;
}

/** Of which one is enough; a size that every encoder has. */
const CODECS = ["avc1.42001f", "vp09.00.30.08", "av01.0.04M.08"];
const SIZE = { width: 640, height: 360 };

/** Why no mp4 can be written in this page; "": one can. */
export async function whyNoMp4(): Promise<string> {
  if (!storedPart("mp4")) return "needs a kernel";
  const isPossible = await Promise.all(CODECS.map(canEncode));
  return isPossible.includes(true) ? "" : "no encoder in this browser";
}

async function canEncode(codec: string): Promise<boolean> {
  try {
    const found = await VideoEncoder.isConfigSupported({ codec, ...SIZE });
    return found.supported === true;
  } catch {
    return false; // not even the question
  }
}

export async function loadMp4Part(): Promise<Mp4Part> {
  return await importPart<Mp4Part>(storedPart("mp4")!);
}
