import assert from "node:assert/strict";
import { test } from "node:test";
import { cellsIn } from "../src/playback/cells.ts";
import { Clock } from "../src/playback/clock.ts";
import { layOut, partIn } from "../src/playback/layout.ts";
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
  const space = { width: 200, height: 200, density: 1 };
  const layout = layOut(SIZES, space, 2);
  const part = partIn(layout, { x: 0, y: 0, ...space });
  const cells = cellsIn(layout, [0, 1, 2], SIZES, part, 1);
  session.clock.onChange.on(() => player.update());
  player.setCells(cells);
  const settle = async () => {
    for (let i = 0; i < 50 && player.drawnRow !== session.clock.row; i++)
      await new Promise((done) => setImmediate(done));
    assert.equal(player.drawnRow, session.clock.row);
  };
  const assertShows = (row: number) => {
    for (const [slot, { width, height }] of SIZES.entries()) {
      const expected = films[slot]![row];
      const shown = surface.frame(cells[slot]!, { x: 0, y: 0, width, height });
      assert.deepEqual(
        shown,
        expected ? [...expected] : null,
        `row ${row} slot ${slot}`,
      );
    }
  };
  return { ...session, random, player, pool, cells, settle, assertShows };
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

test("cells that stay are not drawn anew, and those that come are", async () => {
  const { clock, player, pool, cells, random, settle, assertShows } = await theatre(
    64,
    8,
  );
  for (let i = 0; i < 60; i++) {
    const isAll = i % 2 === 1;
    const some = isAll ? cells : cells.slice(0, 2);
    clock.seek(Math.floor(random() * 64));
    // What is on its way is drawn where its cell stays.
    if (random() < 0.5) await settle();
    player.setCells(some, new Set([0, 1]));
    await settle();
    for (let n = 0; n < 20; n++) await new Promise((done) => setImmediate(done));

    if (isAll) assertShows(clock.row);
    const before = pool.numDecodes;
    player.setCells(some, new Set(some.map(({ slot }) => slot)));
    await settle();
    assert.equal(pool.numDecodes, before);
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

test("late frames pass over no row for one whose pictures are to come", async () => {
  const { store, pool, cells } = await theatre(100, 8);
  let [now, numHere] = [0, 40];
  store.has = (row) => row < numHere;
  const clock = new Clock(() => now);
  clock.fps = 50;
  clock.setBounds(0, 100);
  const player = new Player(store, clock, pool, new FakeSurface());
  player.setCells(cells);
  clock.onChange.on(() => clock.isPlaying || player.update(now));
  const frames = async (count: number) => {
    for (let frame = 0; frame < count; frame++) {
      now += 568;
      clock.tick(now);
      player.update(now);
      for (let i = 0; i < 5; i++) await new Promise((done) => setImmediate(done));
    }
  };

  clock.play();
  await frames(60);

  assert.equal(player.drawnRow, 39);
  assert.equal(clock.row, 40);
  numHere = 100;
  await frames(20);
  assert.equal(player.drawnRow, 99);
});

test("a still clock asks for nothing", async () => {
  const clock = new Clock(() => 0);
  clock.setBounds(0, 10);

  assert.equal(clock.isPlaying, false);
  clock.tick(1e6);

  assert.equal(clock.row, 0);
});
