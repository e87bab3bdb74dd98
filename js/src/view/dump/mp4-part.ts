/**
 * The part that writes mp4 files (src/mp4.ts): stored in the page as text, packed, and
 * made a module when it is used.
 */

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

/** Written by rollout_viewer/_export/html.py: raw deflate in base64. */
const PART = "script.rollout-viewer-mp4";

/** Of which one is enough; a size that every encoder has. */
const CODECS = ["avc1.42001f", "vp09.00.30.08", "av01.0.04M.08"];
const SIZE = { width: 640, height: 360 };

/** Why no mp4 can be written in this page; "": one can. */
export async function whyNoMp4(): Promise<string> {
  if (!document.querySelector(PART)) return "needs a kernel";
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
  const text = document.querySelector(PART)?.textContent?.trim() ?? "";
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const unpacking = new DecompressionStream("deflate-raw");
  const script = new Blob([packed]).stream().pipeThrough(unpacking);
  const bytes = await new Response(script).arrayBuffer();
  const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  try {
    return (await import(url)) as Mp4Part;
  } finally {
    URL.revokeObjectURL(url);
  }
}
