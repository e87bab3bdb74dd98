/** Pictures out of one video: rows one after the other cost one decode each. */

import type { Video } from "./videos.ts";

type Decoded = Promise<ImageBitmap | null>;
/** A part of a picture: x, y, width, height. */
export type Area = readonly [number, number, number, number];

/** What is asked for: a part of a row's picture, in the n-th read of all. */
interface Request {
  index: number;
  area: Area;
  at: number;
}

interface Kept {
  picture: Decoded;
  /** The last read in which it was asked for. */
  at: number;
}

export const JPEG = "image/jpeg";
/** All that the kernel may choose from, as WebCodecs names them. */
const CODECS = ["avc1.640033", "vp09.00.51.08", "vp8"];
/** A decoder that keeps a picture back for so long is made to give it. */
const HELD_MS = 1000;
/** As the kernel encodes: BT.601, of colors that are shown as they are. */
const COLORS: VideoColorSpaceInit = {
  primaries: "bt709",
  transfer: "iec61966-2-1",
  matrix: "smpte170m",
  fullRange: false,
};

function configOf(codec: string): VideoDecoderConfig {
  return { codec, optimizeForLatency: true, colorSpace: COLORS };
}

/** Those that this browser says it decodes; [] without WebCodecs. */
export async function supportedCodecs(): Promise<string[]> {
  if (typeof VideoDecoder === "undefined") return [];
  const found = await Promise.all(
    CODECS.map((codec) =>
      VideoDecoder.isConfigSupported(configOf(codec)).catch(() => null),
    ),
  );
  return CODECS.filter((_, index) => found[index]?.supported);
}

export class VideoReader {
  readonly video: Video;
  /** Something that was asked for does not decode. */
  hasFailed = false;
  #decoder: VideoDecoder | null = null;
  /** The next packet that the decoder takes. */
  #next = 0;
  readonly #kept = new Map<string, Kept>();
  readonly #waiting = new Map<
    number,
    { request: Request; resolve: (picture: Decoded | null) => void }[]
  >();
  #lastRead = 0;

  constructor(video: Video) {
    this.video = video;
  }

  /**
   * A part of a row's picture; null: it does not decode (`hasFailed`), or is passed.
   *
   * It is closed by `closeBefore` a later read.
   */
  read(request: Request): Decoded {
    const { index, area, at } = request;
    const { codec, packets } = this.video;
    const packet = packets[index];
    this.#lastRead = at;
    if (!packet) return Promise.resolve(null);
    const kept = this.#kept.get(keyOf(index, area));
    if (kept) {
      kept.at = at;
      return kept.picture;
    }
    if (codec === JPEG) return this.#keep(request, new Blob([packet], { type: JPEG }));
    return new Promise((resolve) => {
      try {
        this.#decodeTo(index);
        const others = this.#waiting.get(index) ?? [];
        this.#waiting.set(index, [...others, { request, resolve }]);
        setTimeout(() => this.#waiting.has(index) && this.#flush(), HELD_MS);
      } catch {
        this.#fail();
        resolve(null);
      }
    });
  }

  /** Close pictures that no read asked for from this one on; returns whether none did. */
  closeBefore(read: number): boolean {
    for (const [key, { picture, at }] of this.#kept) {
      if (at >= read) continue;
      this.#kept.delete(key);
      void picture.then((image) => image?.close());
    }
    if (this.#lastRead >= read) return false;
    this.#stop();
    return true;
  }

  /** Close the decoder, unless something waits for it; pictures stay. */
  rest(): void {
    if (!this.#waiting.size) this.#stop();
  }

  close(): void {
    this.closeBefore(Number.POSITIVE_INFINITY);
  }

  #stop(): void {
    if (this.#decoder?.state !== "closed") this.#decoder?.close();
    this.#decoder = null;
    this.#next = 0;
    const waiting = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const { resolve } of waiting) resolve(null);
  }

  /** A decoder gives no more; one that is not used may be taken away without harm. */
  #end(): void {
    if (this.#waiting.size) this.#fail();
    else this.#stop();
  }

  #fail(): void {
    this.hasFailed = true;
    this.#stop();
  }

  #decodeTo(index: number): void {
    // Already fed, and on its way out.
    if (this.#waiting.has(index)) return;
    if (!this.#decoder || index < this.#next) this.#begin();
    for (; this.#next <= index; this.#next++) {
      this.#decoder!.decode(
        new EncodedVideoChunk({
          type: this.#next ? "delta" : "key",
          timestamp: this.#next,
          data: this.video.packets[this.#next]!,
        }),
      );
    }
  }

  #begin(): void {
    this.#stop();
    const decoder = new VideoDecoder({
      output: (frame) => this.#take(frame),
      error: () => this.#decoder === decoder && this.#end(),
    });
    decoder.configure(configOf(this.video.codec));
    this.#decoder = decoder;
  }

  #take(frame: VideoFrame): void {
    const index = frame.timestamp;
    const waiting = this.#waiting.get(index) ?? [];
    this.#waiting.delete(index);
    // Once for all tiles: each drawImage of a VideoFrame would convert all of it.
    const pictures = waiting.map(({ request, resolve }) => {
      const picture = this.#keep(request, frame);
      resolve(picture);
      return picture;
    });
    void Promise.all(pictures).finally(() => frame.close());
  }

  #keep({ index, area, at }: Request, source: ImageBitmapSource): Decoded {
    const key = keyOf(index, area);
    const kept = this.#kept.get(key);
    if (kept) {
      kept.at = Math.max(kept.at, at);
      return kept.picture;
    }
    const picture = createImageBitmap(source, ...area).catch(() => {
      this.hasFailed = true;
      return null;
    });
    this.#kept.set(key, { picture, at });
    return picture;
  }

  /** Get what the decoder keeps back; it begins anew then. */
  #flush(): void {
    const decoder = this.#decoder;
    if (decoder?.state !== "configured" || decoder.decodeQueueSize) return;
    void decoder.flush().then(
      () => this.#decoder === decoder && this.#end(),
      () => {},
    );
  }
}

function keyOf(index: number, area: Area): string {
  return [index, ...area].join();
}
