/**
 * zstd frames to pixels: zstddec's wasm behind fixed buffers, else fzstd.
 *
 * Records come without their zstd frame header, which is the same for all frames of a
 * size (rollout_viewer/_frames/chunk.py). One destination and one source buffer, grown
 * to the largest frame seen, never freed: decoding allocates nothing. Sizes are checked
 * before and after. The wasm is deflated: a page carries half as much.
 */

import { decompress } from "fzstd";
import wasm from "zstddec-wasm";
import { DamageError } from "../protocol/damage.ts";
import { MAX_FRAME_BYTES } from "../protocol/parse.ts";

const HEADER_BYTES = 9;

export interface Zstd {
  /**
   * Return the `numBytes` of pixels in a record, as words: valid until the next call.
   * What a last word has beyond `numBytes` is zero.
   */
  decode(record: Uint8Array, numBytes: number): Uint32Array;
  /** Return raw bytes in the same way. */
  copy(record: Uint8Array, numBytes: number): Uint32Array;
}

interface Exports {
  memory: WebAssembly.Memory;
  malloc(size: number): number;
  free(at: number): void;
  ZSTD_decompress(out: number, outSize: number, at: number, size: number): number;
}

export async function openZstd(hasWasm = true): Promise<Zstd> {
  if (!hasWasm) return new PlainZstd();
  try {
    const imports = { env: { emscripten_notify_memory_growth: () => {} } };
    const { instance } = await WebAssembly.instantiate(await inflate(wasm), imports);
    return new WasmZstd(instance.exports as unknown as Exports);
  } catch {
    return new PlainZstd(); // a page may forbid wasm: slower, but it shows
  }
}

function inflate(bytes: Uint8Array): Promise<ArrayBuffer> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>])
    .stream()
    .pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).arrayBuffer();
}

class WasmZstd implements Zstd {
  readonly #wasm: Exports;
  #out = 0;
  #outSize = 0;
  #in = 0;
  #inSize = 0;
  #memory: ArrayBuffer | null = null;
  #bytes = new Uint8Array(0);

  constructor(wasm: Exports) {
    this.#wasm = wasm;
  }

  decode(record: Uint8Array, numBytes: number): Uint32Array {
    const size = HEADER_BYTES + record.length;
    this.#reserve(numBytes, size);
    this.#bytes.set(headerOf(numBytes), this.#in);
    this.#bytes.set(record, this.#in + HEADER_BYTES);
    let got = -1;
    try {
      got = this.#wasm.ZSTD_decompress(this.#out, numBytes, this.#in, size);
    } catch {
      // A trap: the record leads it out of its memory.
    }
    if (got !== numBytes) throw wrongSize(numBytes);
    return this.#words(numBytes);
  }

  copy(record: Uint8Array, numBytes: number): Uint32Array {
    if (record.length !== numBytes) throw wrongSize(numBytes);
    this.#reserve(numBytes, 0);
    this.#bytes.set(record, this.#out);
    return this.#words(numBytes);
  }

  #words(numBytes: number): Uint32Array {
    this.#view(); // decoding may have grown the memory, which moves it
    this.#bytes.fill(0, this.#out + numBytes, this.#out + roundUp(numBytes));
    return new Uint32Array(this.#bytes.buffer, this.#out, roundUp(numBytes) >> 2);
  }

  #reserve(outSize: number, inSize: number): void {
    checkSize(outSize);
    if (roundUp(outSize) > this.#outSize) {
      if (this.#out) this.#wasm.free(this.#out);
      this.#outSize = roundUp(outSize);
      this.#out = this.#allocate(this.#outSize);
    }
    if (inSize > this.#inSize) {
      if (this.#in) this.#wasm.free(this.#in);
      this.#inSize = 2 * inSize;
      this.#in = this.#allocate(this.#inSize);
    }
    this.#view();
  }

  #allocate(size: number): number {
    const at = this.#wasm.malloc(size);
    if (!at) throw new Error(`[rollout_viewer] no memory for a frame of ${size} bytes`);
    return at;
  }

  #view(): void {
    if (this.#memory !== this.#wasm.memory.buffer) {
      this.#memory = this.#wasm.memory.buffer;
      this.#bytes = new Uint8Array(this.#memory);
    }
  }
}

class PlainZstd implements Zstd {
  #out = new Uint8Array(0);

  decode(record: Uint8Array, numBytes: number): Uint32Array {
    const out = this.#reserve(numBytes);
    const source = new Uint8Array(HEADER_BYTES + record.length);
    source.set(headerOf(numBytes));
    source.set(record, HEADER_BYTES);
    let made: Uint8Array;
    try {
      made = decompress(source, out.subarray(0, numBytes));
    } catch {
      throw wrongSize(numBytes);
    }
    if (made.length !== numBytes) throw wrongSize(numBytes);
    if (made.buffer !== out.buffer) out.set(made);
    return this.#words(numBytes);
  }

  copy(record: Uint8Array, numBytes: number): Uint32Array {
    if (record.length !== numBytes) throw wrongSize(numBytes);
    this.#reserve(numBytes).set(record);
    return this.#words(numBytes);
  }

  #reserve(numBytes: number): Uint8Array {
    checkSize(numBytes);
    if (this.#out.length < roundUp(numBytes))
      this.#out = new Uint8Array(roundUp(numBytes));
    return this.#out;
  }

  #words(numBytes: number): Uint32Array {
    this.#out.fill(0, numBytes, roundUp(numBytes));
    return new Uint32Array(this.#out.buffer, 0, roundUp(numBytes) >> 2);
  }
}

/** Magic number, descriptor (single segment, 4-byte content size), content size. */
function headerOf(numBytes: number): number[] {
  const size = [0, 8, 16, 24].map((shift) => (numBytes >>> shift) & 0xff);
  return [0x28, 0xb5, 0x2f, 0xfd, 0xa0, ...size];
}

function roundUp(numBytes: number): number {
  return (numBytes + 3) & ~3;
}

function checkSize(numBytes: number): void {
  if (!(numBytes > 0 && numBytes <= MAX_FRAME_BYTES))
    throw new DamageError(
      `a frame of at most ${MAX_FRAME_BYTES} bytes`,
      `${numBytes} bytes`,
    );
}

function wrongSize(numBytes: number): DamageError {
  return new DamageError(`a record of ${numBytes} bytes of pixels`, "something else");
}
