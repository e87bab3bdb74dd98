/** Pictures out of one video: rows one after the other cost one decode each. */

import type { Video } from "./videos.ts";

type Decoded = Promise<ImageBitmap | null>;

const JPEG = "image/jpeg";
/** All that the kernel may choose from, as WebCodecs names them. */
const CODECS = ["avc1.640033", "vp09.00.51.08", "vp8"];
/** A decoder that keeps a picture back for so long is made to give it. */
const HELD_MS = 1000;
/** Pictures that are kept: those that are asked for while one waits to be drawn. */
const NUM_RECENT = 8;
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
  readonly #recent = new Map<number, Decoded>();
  readonly #waiting = new Map<number, ((picture: Decoded | null) => void)[]>();

  constructor(video: Video) {
    this.video = video;
  }

  /**
   * The picture of a row; null: it does not decode (`hasFailed`), or is passed.
   *
   * It is closed when some more were read.
   */
  read(index: number): Decoded {
    const { codec, packets } = this.video;
    const packet = packets[index];
    if (!packet) return Promise.resolve(null);
    const recent = this.#recent.get(index);
    if (recent) return recent;
    if (codec === JPEG) return this.#keep(index, new Blob([packet], { type: JPEG }));
    return new Promise((resolve) => {
      try {
        this.#decodeTo(index);
        const others = this.#waiting.get(index) ?? [];
        this.#waiting.set(index, [...others, resolve]);
        setTimeout(() => this.#waiting.has(index) && this.#flush(), HELD_MS);
      } catch {
        this.#fail();
        resolve(null);
      }
    });
  }

  close(): void {
    if (this.#decoder?.state !== "closed") this.#decoder?.close();
    this.#decoder = null;
    this.#next = 0;
    const waiting = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const resolve of waiting) resolve(null);
  }

  /** A decoder gives no more; one that is not used may be taken away without harm. */
  #end(): void {
    if (this.#waiting.size) this.#fail();
    else this.close();
  }

  #fail(): void {
    this.hasFailed = true;
    this.close();
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
    this.close();
    const decoder = new VideoDecoder({
      output: (frame) => this.#take(frame),
      error: () => this.#decoder === decoder && this.#end(),
    });
    decoder.configure(configOf(this.video.codec));
    this.#decoder = decoder;
  }

  #take(frame: VideoFrame): void {
    const index = frame.timestamp;
    const waiting = this.#waiting.get(index);
    this.#waiting.delete(index);
    if (waiting) {
      // Once for all tiles: each drawImage of a VideoFrame would convert all of it.
      const picture = this.#keep(index, frame);
      void picture.finally(() => frame.close());
      for (const resolve of waiting) resolve(picture);
    } else {
      frame.close();
    }
  }

  #keep(index: number, source: ImageBitmapSource): Decoded {
    const picture = createImageBitmap(source).catch(() => {
      this.hasFailed = true;
      return null;
    });
    this.#recent.set(index, picture);
    for (const [old, one] of this.#recent) {
      if (this.#recent.size <= NUM_RECENT) break;
      this.#recent.delete(old);
      void one.then((image) => image?.close());
    }
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
