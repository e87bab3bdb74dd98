import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBase85 } from "../src/decode/base85.ts";
import { NOTHING, plan } from "../src/decode/decode-plan.ts";
import { Decoder } from "../src/decode/decoder.ts";
import { pack } from "../src/decode/worker-pool.ts";
import { cellsIn } from "../src/playback/cells.ts";
import { Clock } from "../src/playback/clock.ts";
import { layOut, partIn } from "../src/playback/layout.ts";
import { Player } from "../src/playback/player.ts";
import type { Previews } from "../src/playback/previews.ts";
import {
  ABSENT,
  CHUNK_ROWS,
  type Chunk,
  EQUAL,
  INTRA,
  type PreviewPiece,
  type ToKernel,
} from "../src/protocol/messages.ts";
import { parseChunk } from "../src/protocol/parse.ts";
import { ChunkCache } from "../src/recording/chunk-cache.ts";
import { createPreviews } from "../src/session/previews/source.ts";
import { Videos } from "../src/session/previews/videos.ts";
import { openSession } from "../src/session/session.ts";
import { toBase85 } from "../to-base85.mjs";
import { FakeBitmap, FakeSurface, fakeDecoders, localPool } from "./fakes.ts";
import {
  chunkOf,
  filmOf,
  manifestOf,
  randomOf,
  sessionOf,
  stepBuffers,
} from "./film.ts";

const SIZE = { width: 8, height: 6 };
const SIZES = [SIZE, SIZE];

function piece(change: Partial<PreviewPiece>): PreviewPiece {
  return {
    ...{ block: 2, slots: [0, 1], codec: "vp8", width: 8, height: 6, columns: 2 },
    ...{ number: 1, first: 0, sizes: [2, 3], shown: [3, 3] },
    ...change,
  };
}

type Watch = Extract<ToKernel, { kind: "watch" }>;

/** A session of four blocks, with a part for previews: what it sends, what it takes. */
async function watching(sizes = SIZES) {
  const sent: Watch[] = [];
  const note = (message: ToKernel) => message.kind === "watch" && sent.push(message);
  const session = openSession(note, "");
  const numRows = 4 * CHUNK_ROWS;
  const slots = sizes.map((size, env) => ({ env, camera: "", shared: false, ...size }));
  const num_envs = sizes.length;
  session.take(manifestOf({ session: "a", num_rows: numRows, num_envs, slots }), []);
  const data = { kind: "data", num_rows: numRows } as const;
  session.take(
    { ...data, seq: 0, start: 0, count: numRows, session: "a" },
    stepBuffers(numRows, num_envs),
  );
  session.previews = createPreviews(session);
  await new Promise((done) => setImmediate(done));
  let seq = 1;
  const take = (one: PreviewPiece, of = "a") =>
    session.take(
      { ...data, seq: seq++, start: numRows, count: 0, previews: [one], session: of },
      [
        ...stepBuffers(0, num_envs),
        new Uint8Array(0),
        new Uint8Array(one.sizes.reduce((sum, size) => sum + size, 0)),
      ],
    );
  return { session, sent, take };
}

test("bytes of any length come back from base 85", () => {
  const random = randomOf(1);
  for (let size = 0; size < 70; size++) {
    const bytes = new Uint8Array(size).map(() => random() * 256);
    const text = toBase85(bytes);

    assert.deepEqual([...fromBase85(text, size)], [...bytes]);
    assert.equal(text.length, Math.ceil(size / 4) * 5);
    assert.doesNotMatch(text, /[<\\"]/);
  }
});

test("rows of a video are taken in order, and passed over after a gap", () => {
  const videos = new Videos();
  const bytes = Uint8Array.from([1, 2, 3, 4, 5]);
  const rows = () => videos.get(2, 1)?.packets.map((packet) => [...packet]);

  videos.take([piece({ first: 2 })], bytes);
  assert.equal(rows(), undefined);
  videos.take([piece({})], bytes);
  videos.take([piece({})], bytes); // twice
  videos.take([piece({ first: 4 })], bytes); // one was lost
  assert.deepEqual(rows(), [
    [1, 2],
    [3, 4, 5],
  ]);
  videos.take([piece({ first: 2, sizes: [1], shown: [7, 3] })], bytes);
  assert.equal(rows()?.length, 3);
  assert.deepEqual(videos.get(2, 0)?.shown, [7, 3]);

  // Another video of the same takes its place.
  videos.take([piece({ number: 2, sizes: [5] })], bytes);
  assert.equal(rows()?.length, 1);
  assert.equal(videos.get(3, 1), undefined);
});

test("a codec that this browser does not decode is given up, and its videos", async () => {
  const remove = fakeDecoders((codec) => codec !== "vp8");
  try {
    const { session, sent, take } = await watching();
    const previews = session.previews!;
    take(piece({ block: 0, number: 1, sizes: [2, 3] }));
    take(piece({ block: 1, number: 2, codec: "vp09.00.51.08", sizes: [2, 3] }));
    session.clock.seek(0);
    previews.watch([0, 1]);
    assert.deepEqual(sent.at(-1)?.codecs, ["avc1.640033", "vp09.00.51.08", "vp8"]);

    assert.deepEqual(await previews.read(0, [0, 1]), []);
    assert.ok(!previews.has(0, 0));
    assert.ok(previews.has(32, 0));
    assert.equal((await previews.read(32, [0, 1])).length, 2);
    previews.watch([0, 1]);
    assert.deepEqual(sent.at(-1)?.codecs, ["avc1.640033", "vp09.00.51.08"]);
  } finally {
    remove();
  }
});

test("a picture that is damaged is asked for no more: its block is, exact", async () => {
  const remove = fakeDecoders(() => true);
  try {
    globalThis.createImageBitmap = () => Promise.reject(new Error("damaged"));
    const { session, sent, take } = await watching();
    const previews = session.previews!;
    const rows = { first: 0, sizes: Array(CHUNK_ROWS).fill(1), codec: "image/jpeg" };
    take(piece({ ...rows, block: 0, number: 7, shown: [-1, -1] }));
    session.clock.seek(0);
    assert.ok(previews.has(0, 0));

    assert.deepEqual(await previews.read(0, [0, 1]), []);

    assert.ok(!previews.has(0, 0));
    session.clock.play();
    previews.watch([0, 1]);
    // The kernel is told that all of it is here, and not to send it again.
    assert.deepEqual(sent.at(-1)?.blocks[0], [0, 7, CHUNK_ROWS, 0, 1]);
  } finally {
    remove();
  }
});

test("pictures and decoders of rows that were drawn long ago are closed", async () => {
  const remove = fakeDecoders(() => true);
  try {
    const sizes = Array(4).fill(SIZE);
    const { session, take } = await watching(sizes);
    const previews = session.previews!;
    const rows = { sizes: Array(CHUNK_ROWS).fill(1), shown: [-1, -1, -1, -1] };
    for (let block = 0; block < 4; block++)
      take(piece({ ...rows, block, number: block + 1, slots: [0, 1, 2, 3] }));
    const images: FakeBitmap[] = [];
    const from: number[][] = [];
    const context = {
      drawImage: (image: FakeBitmap, ...area: number[]) => {
        images.push(image);
        from.push(area.slice(0, 4));
      },
    } as unknown as CanvasRenderingContext2D;
    const show = async (row: number, slots: number[]) => {
      for (const standIn of await previews.read(row, slots))
        standIn.draw(context, 0, 0, 8, 6);
    };

    // Of a picture of 16 x 12, what is in sight: the two tiles on the right.
    await show(0, [1, 3]);
    assert.deepEqual(images[0]!.area, [8, 0, 8, 12]);
    assert.deepEqual(from, [
      [0, 0, 8, 6],
      [0, 6, 8, 6],
    ]);
    await show(0, [1, 3]);
    assert.equal(FakeBitmap.numOpen, 1);

    for (let row = 0; row < 4 * CHUNK_ROWS; row++) {
      await show(row, [0, 1, 2, 3]);
      // Those that may wait to be drawn are open.
      assert.ok(images.slice(-5 * 4).every((image) => !image.isClosed));
    }
    assert.equal(FakeBitmap.numOpen, 8);
    assert.equal(fakeDecoders.numOpen, 1);

    session.take(manifestOf({ session: "b" }), []);
    await new Promise((done) => setImmediate(done));
    assert.equal(FakeBitmap.numOpen, 0);
    assert.equal(fakeDecoders.numOpen, 0);
  } finally {
    remove();
  }
});

test("videos are kept within a budget, the newest always", () => {
  const videos = new Videos(12);
  const bytes = new Uint8Array(5);

  for (let block = 0; block < 5; block++)
    videos.take([piece({ block, number: block + 1 })], bytes);

  const here = [0, 1, 2, 3, 4].filter((block) => videos.get(block, 0));
  assert.deepEqual(here, [3, 4]);
  assert.equal(videos.numBytes, 10);
});

test("a picture that came alone stays till as much of its chunk is here", () => {
  const chunks = new ChunkCache(1e6);
  const frame = new Uint8Array(1);
  const chunk = (kinds: number[], first = 0): Chunk => ({
    ...{ block: 0, slot: 0, height: 1, width: 1, first, kinds, repeatedRow: -1 },
    ...{ records: kinds.map(() => frame), numBytes: kinds.length },
  });

  chunks.add(chunk([ABSENT, ABSENT, ABSENT, INTRA]), true);
  assert.equal(chunks.hasPicture(3, 0), true);
  assert.equal(chunks.hasPicture(1, 0), undefined);
  chunks.add(chunk([INTRA, EQUAL]));
  assert.equal(chunks.hasPicture(3, 0), true);
  chunks.add(chunk([INTRA, EQUAL, EQUAL, EQUAL, EQUAL]));
  assert.deepEqual(
    [0, 1, 4, 5].map((row) => chunks.hasPicture(row, 0)),
    [true, true, true, undefined],
  );
});

/** Bytes of the chunk of 32 rows, in order, as pieces of it from and to records. */
function piecesOf(bytes: Uint8Array, ...cuts: [number, number][]) {
  const chunk = parseChunk(0, 0, bytes);
  return cuts.map(([first, stop]) => ({
    ...chunk,
    first,
    kinds: chunk.kinds.slice(first, stop),
    records: chunk.records.slice(first, stop),
  }));
}

test("a piece of a chunk is never appended to a picture that came alone", async () => {
  const random = randomOf(5);
  const shape = { ...SIZE, random };
  const film = filmOf(CHUNK_ROWS, SIZE.width, SIZE.height, random);
  const index = 20;
  const alone = [...Array(index).fill(null), film[index] ?? film[index - 1]!];
  const [still] = piecesOf(chunkOf(alone, shape), [0, index + 1]);
  const [start, rest, late] = piecesOf(
    chunkOf(film, shape),
    [0, 14],
    [14, CHUNK_ROWS],
    [15, CHUNK_ROWS],
  );
  const decoder = await Decoder.open();
  const shows = (chunks: ChunkCache, row: number) => {
    if (!chunks.hasPicture(row, 0)) return chunks.hasPicture(row, 0);
    const { ops } = plan(chunks.use(row, 0)!, row, NOTHING);
    const slot = { slot: 0, ...SIZE, reduction: 1, isFull: true, ops };
    const { pixels } = decoder.run(pack(0, [slot], null));
    return [...new Uint8Array(pixels)].filter((_, i) => i % 4 !== 3);
  };
  const expected = film.map((frame) => (frame ? [...frame] : false));
  const shown = (chunks: ChunkCache) => film.map((_, row) => shows(chunks, row));

  const chunks = new ChunkCache(1e6);
  chunks.add(start!);
  chunks.add(still!, true);
  assert.deepEqual(shown(chunks).slice(0, 14), expected.slice(0, 14));
  assert.deepEqual(shows(chunks, index), [...alone[index]!]);
  assert.equal(shows(chunks, 15), undefined);
  assert.deepEqual(chunks.missing([0], [0], 32), [[0, 0, 14]]);
  assert.equal(chunks.add(late!), false);
  assert.equal(chunks.add(rest!), true);
  assert.deepEqual(shown(chunks), expected);
  assert.equal(chunks.numBytes, start!.numBytes + rest!.numBytes);

  const others = new ChunkCache(1e6);
  others.add(still!, true);
  assert.equal(others.add(rest!), false);
  assert.equal(shows(others, 5), undefined);
  assert.deepEqual(others.missing([0], [0], 32), [[0, 0, 0]]);
  others.add(start!);
  assert.deepEqual(shows(others, index), [...alone[index]!]);
  others.add(rest!);
  assert.deepEqual(shown(others), expected);
});

/** A player of a recording of which only the first rows are here. */
async function theatre(numHere: number, numPreviewed: number) {
  const random = randomOf(3);
  const films = SIZES.map(({ width, height }) => filmOf(64, width, height, random));
  const { store } = sessionOf(films, SIZES, random);
  // Ahead of the time at which the player is told that something was decoded.
  const now = performance.now() + 1e6;
  const state = { numHere, numPreviewed, now, decodes: (_row: number) => true };
  const { has } = store;
  store.has = (row, slot) => row < state.numHere && has.call(store, row, slot);
  const { chunks } = store;
  const hasPicture = chunks.hasPicture.bind(chunks);
  chunks.hasPicture = (row, slot) =>
    row < state.numHere ? hasPicture(row, slot) : undefined;
  const clock = new Clock(() => state.now);
  clock.fps = 50;
  clock.setBounds(0, 64);
  const surface = new FakeSurface();
  const player = new Player(store, clock, await localPool(), surface);
  player.previews = {
    has: (row) => row < state.numPreviewed,
    read: async (row, slots) =>
      slots
        .filter(() => state.decodes(row))
        .map((slot) => ({ slot, draw: (to) => to.fill((row + 1) as never) })),
  } satisfies Previews;
  player.onError = (error) => assert.fail(error);
  const space = { width: 200, height: 200, density: 1 };
  const layout = layOut(SIZES, space, 2);
  const part = partIn(layout, { x: 0, y: 0, ...space });
  const cells = cellsIn(layout, [0, 1], SIZES, part, 1);
  clock.onChange.on(() => clock.isPlaying || player.update(state.now));
  player.setCells(cells);
  const rest = async () => {
    for (let i = 0; i < 10; i++) await new Promise((done) => setImmediate(done));
  };
  const shown = () =>
    cells.map((cell) => surface.frame(cell, { x: 0, y: 0, ...SIZE })?.[0]);
  return { state, store, clock, player, films, surface, cells, rest, shown };
}

test("previews stand in for what is not here, and exact pictures replace them", async () => {
  const { state, clock, player, films, surface, cells, rest } = await theatre(10, 40);

  clock.seek(20);
  await rest();
  assert.equal(player.drawnRow, 20);
  assert.deepEqual(player.previewed, [0, 1]);
  assert.deepEqual(player.missing, []);
  assert.equal(surface.canvases.get(0)!.pixels[0], 21);

  state.numHere = 64;
  player.update();
  await rest();
  assert.deepEqual(player.previewed, []);
  for (const [slot, cell] of cells.entries()) {
    const expected = films[slot]![20];
    const frame = surface.frame(cell, { x: 0, y: 0, ...SIZE });
    assert.deepEqual(frame, expected ? [...expected] : null);
  }
});

test("a preview that comes later is shown without being asked for", async () => {
  const { state, clock, player, rest } = await theatre(10, 10);

  clock.seek(20);
  await rest();
  assert.deepEqual(player.missing, [0, 1]);
  state.numPreviewed = 40;
  player.update();
  await rest();

  assert.equal(player.drawnRow, 20);
  assert.deepEqual([player.missing, player.previewed], [[], [0, 1]]);
});

test("playing goes on with previews, row after row, and waits after the last", async () => {
  const { state, clock, player, rest } = await theatre(10, 40);
  const rows: number[] = [];
  player.onDraw.on(() => rows.at(-1) === player.drawnRow || rows.push(player.drawnRow));

  clock.play();
  for (let i = 0; i < 400; i++) {
    state.now += 5;
    clock.tick(state.now);
    player.update(state.now);
    await rest();
  }

  assert.deepEqual(rows, [...Array(40).keys()]);
  assert.equal(clock.row, 40);
});

test("playing waits for previews that do not decode, and passes over none", async () => {
  const { state, clock, player, rest } = await theatre(10, 40);
  const rows: number[] = [];
  player.onDraw.on(() => rows.at(-1) === player.drawnRow || rows.push(player.drawnRow));
  // Their codec is given up then, and they are not here any more.
  state.decodes = (row) => {
    if (row >= 20) state.numPreviewed = 20;
    return row < 20;
  };
  const play = async (times: number) => {
    for (let i = 0; i < times; i++) {
      state.now += 5;
      clock.tick(state.now);
      player.update(state.now);
      await rest();
    }
  };

  clock.play();
  await play(300);
  assert.deepEqual(rows, [...Array(20).keys()]);
  assert.equal(clock.row, 20);
  assert.deepEqual(player.missing, [0, 1]);

  state.decodes = () => true;
  state.numPreviewed = 30;
  await play(300);
  assert.deepEqual(rows, [...Array(30).keys()]);
});

test("a preview that does not decode is missing where the playhead rests", async () => {
  const { state, clock, player, rest } = await theatre(10, 40);
  state.decodes = () => {
    state.numPreviewed = 10;
    return false;
  };

  clock.seek(20);
  await rest();
  assert.deepEqual([player.missing, player.previewed], [[0, 1], []]);

  state.decodes = () => true;
  state.numPreviewed = 40;
  player.update();
  await rest();
  assert.deepEqual([player.missing, player.previewed], [[], [0, 1]]);
});

test("the kernel is told what is looked at: blocks that play, rows that rest", async () => {
  const { session, sent, take } = await watching();
  const previews = session.previews!;
  const watched = () => {
    sent.length = 0;
    previews.watch([0, 1]);
    return sent[0];
  };

  session.clock.seek(40);
  const scrubbing = watched();
  assert.equal(scrubbing?.is_resting, false);
  assert.deepEqual(scrubbing?.codecs, []); // node has no WebCodecs
  assert.deepEqual(scrubbing?.blocks, [
    [1, 0, 0, 0, 1],
    [2, 0, 0, 0, 1],
    [3, 0, 0, 0, 1],
  ]);
  assert.equal(watched(), undefined);

  const whole = Array(CHUNK_ROWS).fill(1);
  const came = piece({ block: 1, number: 7, sizes: whole });
  take(came);
  assert.ok(previews.has(40, 1));
  assert.ok(!previews.has(80, 1));
  assert.deepEqual(
    watched()?.blocks.map(([block]) => block),
    [2, 3],
  );

  take(piece({ number: 8 }), "b");
  assert.ok(!previews.has(64, 0));

  session.viewOptions.setQuality("exact");
  assert.ok(!previews.has(40, 1));
  session.viewOptions.setQuality("auto");
  session.clock.follow();
  const resting = watched();
  assert.equal(resting?.is_resting, true);
  assert.deepEqual(resting?.blocks, []);
  assert.deepEqual(resting?.rows, [
    [3, 0, 31],
    [3, 1, 31],
  ]);
});

test("of more pictures in sight than the kernel takes, the first are watched", async () => {
  const all = [...Array(1100).keys()];
  const { session, sent } = await watching(all.map(() => SIZE));

  session.clock.seek(0);
  session.previews!.watch(all);
  assert.deepEqual(sent.at(-1)!.blocks[0], [0, 0, 0, ...all.slice(0, 1024)]);
  session.clock.follow();
  session.previews!.watch(all);
  assert.equal(sent.at(-1)!.rows.length, 1024);
});
