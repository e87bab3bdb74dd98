import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../src/decode/decoder.ts";
import { type Decoding, pack } from "../src/decode/worker-pool.ts";
import { Clock } from "../src/playback/clock.ts";
import { layOut, originOf } from "../src/playback/layout.ts";
import { Player, type Surface } from "../src/playback/player.ts";
import { filmOf, randomOf, sessionOf } from "./film.ts";

/** Decodes at once, but answers later, as a worker does. */
async function localPool(): Promise<Decoding> {
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

class FakeSurface implements Surface {
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

/** Sizes of which some end rows within a word, others not. */
const SIZES = [
  { width: 8, height: 6 },
  { width: 7, height: 5 },
  { width: 8, height: 6 },
];

async function theatre(numRows: number, seed: number) {
  const random = randomOf(seed);
  const films = SIZES.map(({ width, height }) =>
    filmOf(numRows, width, height, random),
  );
  const session = sessionOf(films, SIZES, random);
  const surface = new FakeSurface();
  const pool = await localPool();
  const player = new Player(session.store, session.clock, pool, surface);
  player.onError = (error) => assert.fail(error);
  const space = { width: 20, height: 20, density: 1 };
  const layout = layOut(SIZES, space, 2);
  session.clock.onChange.on(() => player.update());
  player.setLayout([0, 1, 2], layout);
  const settle = async () => {
    for (let i = 0; i < 50 && player.drawnRow !== session.clock.row; i++)
      await new Promise((done) => setImmediate(done));
    assert.equal(player.drawnRow, session.clock.row);
  };
  const assertShows = (row: number) => {
    for (const [slot, { width, height }] of SIZES.entries()) {
      const { x, y } = originOf(layout, slot, SIZES[slot]!);
      const expected = films[slot]![row];
      const shown = surface.frame(x, y, width, height);
      assert.deepEqual(
        shown,
        expected ? [...expected] : null,
        `row ${row} slot ${slot}`,
      );
    }
  };
  return { ...session, random, player, pool, settle, assertShows };
}

test("any walk through the rows shows the pixels of each", async () => {
  for (const seed of [1, 2, 3]) {
    const { clock, random, settle, assertShows } = await theatre(100, seed);

    for (let i = 0; i < 120; i++) {
      const isStep = random() < 0.6;
      clock.seek(isStep ? clock.row + 1 : Math.floor(random() * 100));
      await settle();

      assertShows(clock.row);
    }
  }
});

test("a hasty drag ends on the row where it stopped", async () => {
  const { clock, settle, assertShows } = await theatre(90, 4);

  for (let row = 0; row < 90; row += 3) clock.seek(row);
  await settle();

  assertShows(87);
});

test("rows one after the other cost at most one decode for each slot", async () => {
  const { clock, pool, settle } = await theatre(64, 5);

  for (let row = 0; row < 64; row++) {
    const before = pool.numDecodes;
    clock.seek(row);
    await settle();

    // A chunk's first frame may have to be decoded once more, for deltas from it.
    assert.ok(pool.numDecodes - before <= 2 * SIZES.length);
  }
  assert.ok(pool.numDecodes <= 64 * SIZES.length);
});

test("a seek costs at most the codec's eight decodes and the first frame", async () => {
  const { clock, pool, random, settle } = await theatre(96, 6);

  for (let i = 0; i < 40; i++) {
    const before = pool.numDecodes;
    clock.seek(Math.floor(random() * 96));
    await settle();

    assert.ok(pool.numDecodes - before <= 10 * SIZES.length);
  }
});

test("playing shows every row when it is due, and stops at the last one", async () => {
  const { clock, player, store, random } = await theatre(40, 7);
  assert.ok(store && random);
  const rows = new Set<number>();
  player.onDraw.on(() => rows.add(player.drawnRow));
  const start = performance.now();

  clock.seek(0);
  clock.play();
  for (let ms = 0; ms < 2000; ms += 8) {
    clock.tick(start + ms);
    player.update(start + ms);
    await new Promise((done) => setImmediate(done));
  }

  assert.equal(clock.isPlaying, false);
  assert.equal(player.drawnRow, 39);
  assert.equal(rows.size, 40);
});

test("a still clock asks for nothing", async () => {
  const clock = new Clock(() => 0);
  clock.setBounds(0, 10);

  assert.equal(clock.isPlaying, false);
  clock.tick(1e6);

  assert.equal(clock.row, 0);
});
