/**
 * Mutated chunks and messages: the decoder gives pictures of the right size or throws a
 * DamageError; it neither hangs nor takes memory.
 *
 * FUZZ_SECONDS: how long, else half a second a decoder. FUZZ_SEED: another sequence.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { NOTHING, plan } from "../src/decode/decode-plan.ts";
import { Decoder } from "../src/decode/decoder.ts";
import { pack } from "../src/decode/worker-pool.ts";
import { DamageError } from "../src/protocol/damage.ts";
import { CHUNK_ROWS } from "../src/protocol/messages.ts";
import {
  parseChunk,
  parseChunks,
  parseNumbers,
  parseSteps,
} from "../src/protocol/parse.ts";
import { ChunkCache } from "../src/recording/chunk-cache.ts";
import {
  bufferOf,
  chunkOf,
  filmOf,
  type Random,
  randomOf,
  stepBuffers,
} from "./film.ts";

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 0.5);
const SEED = Number(process.env.FUZZ_SEED ?? 20);
/** Of one case. Far more than it takes: the machine may be busy. */
const MAX_MS = 5000;

/** Processor time of this process: a busy machine makes no case slow. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
/** Beyond what the first cases took. */
const MAX_BYTES = 300e6;
/** No slot of the fuzzed recording is larger: what a manifest says is checked before. */
const MAX_PIXELS = 1e6;

interface Seed {
  bytes: Uint8Array;
  height: number;
  width: number;
}

function corpus(random: Random): Seed[] {
  const folder = "../tests/faults/corpus";
  const kept = readdirSync(folder)
    .filter((name) => name.endsWith(".chunk"))
    .map((name) => new Uint8Array(readFileSync(`${folder}/${name}`)));
  const made = [
    [3, 5],
    [8, 4],
  ].map(([width, height]) => {
    const size = { width: width!, height: height!, random };
    return new Uint8Array(chunkOf(filmOf(CHUNK_ROWS, width!, height!, random), size));
  });
  return [...kept, ...made].map((bytes) => {
    const { height, width } = parseChunk(0, 0, bytes);
    return { bytes, height, width };
  });
}

/** Bytes changed in one to four places: flips, lengths, cuts, parts of others. */
function mutated(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const upTo = (n: number) => Math.floor(random() * n);
  let now: Uint8Array = bytes.slice();
  for (let times = 1 + upTo(4); times > 0; times--) {
    const at = upTo(now.length);
    switch (upTo(7)) {
      case 0:
        if (now.length) now[at]! ^= 1 << upTo(8);
        break;
      case 1:
        now = now.slice(0, at);
        break;
      case 2: {
        const part = other.subarray(upTo(other.length), upTo(other.length) + 1);
        now = Uint8Array.from([...now.slice(0, at), ...part, ...now.slice(at)]);
        break;
      }
      case 3: // a length or kind in the table
        if (now.length > 140) now[12 + upTo(128)] = upTo(256);
        break;
      case 4: // the head: first, count, size, mark
        if (now.length > 12) now[2 + upTo(10)] = [0, 1, 31, 32, 255][upTo(5)]!;
        break;
      case 5: {
        // a length moved from one record to the next: the table still adds up
        const index = upTo(12);
        const view = new DataView(now.buffer, now.byteOffset, now.byteLength);
        if (now.length < 12 + 4 * (index + 2)) break;
        const by = upTo(20) << 3;
        const [a, b] = [12 + 4 * index, 16 + 4 * index];
        view.setUint32(a, view.getUint32(a, true) + by, true);
        view.setUint32(b, view.getUint32(b, true) - by, true);
        break;
      }
      default:
        for (let i = at; i < Math.min(at + 8, now.length); i++) now[i] = upTo(256);
    }
  }
  return now;
}

/** Decode all of a chunk in some order; returns how many pictures it gave. */
function decodeAll(decoder: Decoder, seed: Seed, bytes: Uint8Array, random: Random) {
  const cache = new ChunkCache(1e6);
  const chunk = parseChunk(0, 0, bytes);
  cache.add(chunk);
  const cached = cache.use(0, 0);
  if (!cached) return 0; // a later piece without the first
  const { height, width } = seed;
  let state = NOTHING;
  let count = 0;
  for (let i = 0; i < CHUNK_ROWS; i++) {
    const index = Math.floor(random() * cached.kinds.length);
    if (!cache.hasPicture(index, 0)) continue;
    cache.isRepeated(index, 0);
    const found = plan(cached, index, state);
    const slot = { slot: 0, width, height, reduction: 1, isFull: true, ops: found.ops };
    const result = decoder.run(pack(i, [slot], null));
    assert.equal(result.pixels.byteLength, width * height * 4);
    assert.ok(result.patches.every((patch) => patch.width <= width));
    state = found.state;
    count++;
  }
  return count;
}

async function fuzz(hasWasm: boolean): Promise<void> {
  const random = randomOf(SEED);
  const seeds = corpus(random);
  const decoder = await Decoder.open(hasWasm);
  for (const seed of seeds)
    assert.ok(decodeAll(decoder, seed, seed.bytes, random) > 0, "the corpus decodes");
  const memory = () => process.memoryUsage().rss;
  const before = memory();
  const stop = performance.now() + SECONDS * 1000;
  let [cases, refused] = [0, 0];
  while (performance.now() < stop) {
    const seed = seeds[Math.floor(random() * seeds.length)]!;
    const other = seeds[Math.floor(random() * seeds.length)]!;
    const bytes = mutated(seed.bytes, other.bytes, random);
    const where = () =>
      `FUZZ_SEED=${SEED}, case ${cases}: ${Buffer.from(bytes).toString("base64")}`;
    const start = usedMs();
    try {
      const { height, width } = parseChunk(0, 0, bytes);
      // The kernel sends no chunk of another size than its slot's.
      if (height * width <= MAX_PIXELS)
        decodeAll(decoder, { ...seed, height, width }, bytes, random);
      decodeAll(decoder, seed, bytes, random);
    } catch (error) {
      if (!(error instanceof DamageError))
        throw new Error(`${where()}: ${error}`, { cause: error });
      refused++;
    }
    assert.ok(usedMs() - start < MAX_MS, `too slow: ${where()}`);
    cases++;
  }
  assert.ok(cases > 20 && refused > 5 && refused < cases, `${refused} of ${cases}`);
  assert.ok(memory() - before < MAX_BYTES, `${memory() - before} bytes`);
  // It still decodes what is right.
  for (const seed of seeds) assert.ok(decodeAll(decoder, seed, seed.bytes, random) > 0);
}

test("mutated chunks give pictures or a DamageError, by wasm", () => fuzz(true));

test("mutated chunks give pictures or a DamageError, without wasm", () => fuzz(false));

test("mutated messages give rows and chunks or a DamageError", () => {
  const random = randomOf(SEED);
  const seeds = corpus(random).map(({ bytes }) => bytes);
  const buffer = bufferOf(seeds.map((bytes, index) => [index, 0, bytes]));
  const stop = performance.now() + SECONDS * 1000;
  for (let cases = 0; performance.now() < stop; cases++) {
    const bytes = mutated(buffer, seeds[0]!, random);
    const count = Math.floor(random() * 40);
    const steps = stepBuffers(count, 2).map((one) =>
      random() < 0.8 ? one : mutated(one, buffer, random),
    );
    const start = usedMs();
    for (const read of [
      () => parseChunks(bytes),
      () => parseNumbers("f8", count, bytes),
      () => {
        const head = {
          kind: "data",
          seq: 0,
          num_rows: count,
          start: 0,
          count,
        } as const;
        const rows = parseSteps(head, 2, steps);
        assert.equal(rows.rewards.length, 2 * count);
      },
    ])
      try {
        read();
      } catch (error) {
        if (!(error instanceof DamageError))
          throw new Error(`FUZZ_SEED=${SEED}, case ${cases}: ${error}`, {
            cause: error,
          });
      }
    assert.ok(usedMs() - start < MAX_MS);
  }
});
