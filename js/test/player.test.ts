import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock } from "../src/playback/clock.ts";
import { layOut, originOf } from "../src/playback/layout.ts";
import { Player } from "../src/playback/player.ts";
import { FakeSurface, localPool } from "./fakes.ts";
import { filmOf, randomOf, sessionOf } from "./film.ts";

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
