/** Pictures whose size changes: slots of one env and camera are one tile. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { cellsIn, insetIn } from "../src/playback/cells.ts";
import { layOut, partIn } from "../src/playback/layout.ts";
import { Player } from "../src/playback/player.ts";
import { CHUNK_ROWS, TERMINAL_MISSING } from "../src/protocol/messages.ts";
import { alignEpisodes } from "../src/recording/arrangement.ts";
import { openSession } from "../src/session/session.ts";
import { FakeSurface, localPool } from "./fakes.ts";
import { bufferOf, chunkOf, manifestOf, randomOf, stepBuffers } from "./film.ts";

const SIZES = [
  { width: 8, height: 6 },
  { width: 5, height: 9 },
  { width: 4, height: 4 },
];
const CELL = { width: 8, height: 9 };
const NUM_ROWS = 100;

type Film = (Uint8Array | null)[];

/** Films of one env, in three sizes: in each row at most one of them shows anything. */
function filmsOf(random: () => number): { films: Film[]; shown: number[] } {
  const films: Film[] = SIZES.map(() => []);
  const shown: number[] = [];
  for (let row = 0; row < NUM_ROWS; row++) {
    const now = row % 13 === 12 ? -1 : Math.floor(row / 9) % SIZES.length;
    shown.push(now);
    for (const [index, { width, height }] of SIZES.entries()) {
      const frame = new Uint8Array(width * height * 3).map(() => random() * 256);
      films[index]!.push(index === now ? frame : null);
    }
  }
  return { films, shown };
}

/** A session of these films; `isSent` chooses the chunks that come. */
function sessionOf(
  films: readonly Film[],
  random: () => number,
  isSent: (block: number, slot: number) => boolean = () => true,
) {
  const session = openSession(null);
  const slots = SIZES.map((size) => ({
    ...size,
    env: 0,
    camera: "pixels",
    shared: false,
  }));
  session.take(manifestOf({ num_rows: NUM_ROWS, slots, session: "sizes" }), []);
  const chunks: [number, number, Uint8Array][] = [];
  for (let block = 0; block * CHUNK_ROWS < NUM_ROWS; block++)
    for (const [slot, film] of films.entries()) {
      const frames = film.slice(block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS);
      if (isSent(block, slot))
        chunks.push([block, slot, chunkOf(frames, { ...SIZES[slot]!, random })]);
    }
  const steps = stepBuffers(NUM_ROWS, 1);
  for (let row = 12; row < NUM_ROWS; row += 13) steps[0]![row] = TERMINAL_MISSING;
  session.take(
    { kind: "data", seq: 0, num_rows: NUM_ROWS, start: 0, count: NUM_ROWS },
    [...steps, bufferOf(chunks)],
  );
  return session;
}

test("sizes of one env and camera are one tile, as large as the largest", () => {
  const { films } = filmsOf(randomOf(1));
  const { store } = sessionOf(films, randomOf(2));

  assert.equal(store.manifest!.slots.length, 1);
  assert.deepEqual(store.manifest!.slots[0], {
    ...CELL,
    env: 0,
    camera: "pixels",
    shared: false,
  });
  assert.equal(store.recorded.manifest!.slots.length, 3);
  assert.deepEqual(store.missingFrom(0, [0], 9), []);
  assert.deepEqual(store.buffered([0]), [[0, NUM_ROWS]]);
});

for (const arranged of [false, true])
  test(`any walk shows each row in its size${arranged ? ", arranged" : ""}`, async () => {
    const random = randomOf(3);
    const { films, shown } = filmsOf(random);
    const session = sessionOf(films, random);
    const { store, clock } = session;
    if (arranged) store.arrange(alignEpisodes(store.recorded.steps.episodes, [0]));
    const surface = new FakeSurface();
    const player = new Player(store, clock, await localPool(), surface);
    player.onError = (error) => assert.fail(error);
    const space = { width: 200, height: 200, density: 1 };
    const layout = layOut([CELL], space, 1);
    const part = partIn(layout, { x: 0, y: 0, ...space });
    const cells = cellsIn(layout, [0], [CELL], part, 1);
    const cell = cells[0]!;
    clock.onChange.on(() => player.update());
    player.setCells(cells);
    const numRows = store.numRows;

    for (let i = 0; i < 150; i++) {
      const isStep = random() < 0.6;
      clock.seek(isStep ? clock.row + 1 : Math.floor(random() * numRows));
      for (let n = 0; n < 50 && player.drawnRow !== clock.row; n++)
        await new Promise((done) => setImmediate(done));

      const row = store.recordedAt(clock.row, 0)!.row;
      const slot = shown[row]!;
      const whole = surface.frame(cell, { x: 0, y: 0, ...CELL });
      if (slot < 0) {
        assert.equal(whole, null, `row ${row}`);
        continue;
      }
      const { width, height } = SIZES[slot]!;
      const inset = insetIn(cell, SIZES[slot]!);
      assert.deepEqual(
        surface.frame(cell, { ...inset, width, height }),
        [...films[slot]![row]!],
        `row ${row}`,
      );
      const lit = whole!.reduce((sum, byte) => sum + byte, 0);
      const own = films[slot]![row]!.reduce((sum, byte) => sum + byte, 0);
      assert.equal(lit, own, `row ${row}: nothing is left of another size`);
    }
  });

test("only what could show something is missed", () => {
  const { films } = filmsOf(randomOf(4));
  // Of the first block the size of rows 18..26 does not come.
  const { store } = sessionOf(films, randomOf(5), (_, slot) => slot !== 2);

  assert.equal(store.has(17, 0), true);
  assert.equal(store.has(18, 0), false);
  assert.equal(store.has(27, 0), true);
  assert.equal(store.has(12, 0), true); // no terminal picture: nothing to wait for
  assert.deepEqual(store.missingFrom(0, [0], 0), [[0, 2, 0]]);
  assert.deepEqual(store.buffered([0])[0], [0, 18]);
});

test("sizes that a block does not show need not come", () => {
  const films: Film[] = SIZES.map((size, slot) =>
    Array.from({ length: NUM_ROWS }, (_, row) =>
      Math.floor(row / CHUNK_ROWS) % 3 === slot && row % 13 !== 12
        ? new Uint8Array(size.width * size.height * 3).fill(row)
        : null,
    ),
  );
  const { store } = sessionOf(films, randomOf(6), (block, slot) => block % 3 === slot);

  assert.deepEqual(store.missingFrom(0, [0], 9), []);
  assert.deepEqual(store.buffered([0]), [[0, NUM_ROWS]]);
});
