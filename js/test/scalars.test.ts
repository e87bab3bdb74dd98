import assert from "node:assert/strict";
import { test } from "node:test";
import { Decoder } from "../src/decode/decoder.ts";
import { Thumbnails } from "../src/decode/thumbnails.ts";
import { type Decoding, pack } from "../src/decode/worker-pool.ts";
import type { ColumnMessage, ToKernel } from "../src/protocol/messages.ts";
import { parseScalar, Scalars, scalarKey } from "../src/recording/scalars.ts";
import { Spread } from "../src/recording/spread.ts";
import { StepDetails } from "../src/recording/step-details.ts";

import { filmOf, randomOf, sessionOf } from "./film.ts";

const SIZE = { width: 4, height: 4 };
const OBS = { name: "obs", index: 2 };

/** Columns over `numRows` rows of two envs, and what they asked. */
function asking(numRows: number) {
  const random = randomOf(5);
  const films = [filmOf(numRows, 4, 4, random), filmOf(numRows, 4, 4, random)];
  const { store } = sessionOf(films, [SIZE, SIZE], random);
  const sent: ToKernel[] = [];
  const clock = { now: 0 };
  const send = (message: ToKernel) => sent.push(message);
  const scalars = new Scalars(store, new StepDetails(null), send, () => clock.now);
  const answer = (start: number, numbers: number[]) =>
    scalars.take(
      {
        ...OBS,
        kind: "column",
        start,
        count: numbers.length / 2,
        fault: "",
      } as ColumnMessage,
      [new Uint8Array(new Float32Array(numbers).buffer)],
    );
  return { store, scalars, sent, clock, answer };
}

test("a chosen number is asked for, piece by piece, until all of it is here", () => {
  const { scalars, sent, answer } = asking(4);

  scalars.want(OBS);
  scalars.want(OBS);
  assert.deepEqual(sent, [{ kind: "column", name: "obs", index: 2, start: 0 }]);
  answer(0, [1, 10, 2, 20, 3, 30, 4, 40]);
  scalars.want(OBS);

  assert.equal(sent.length, 1);
  const read = scalars.read(OBS);
  assert.deepEqual([read(0, 0), read(3, 1)], [1, 40]);
  assert.ok(Number.isNaN(read(4, 0)));
  assert.deepEqual([...scalars.spread(OBS).mean.slice(0, 4)], [5.5, 11, 16.5, 22]);
});

test("rows that came since are asked for with the one before, once a second", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { scalars, sent, clock, answer } = asking(4);
  scalars.want(OBS);
  answer(0, [1, 10, 2, 20, 3, 30]);
  let numTold = 0;
  scalars.onChange.on(() => numTold++);

  scalars.want(OBS);
  assert.equal(sent.length, 1);
  t.mock.timers.tick(1000);
  assert.equal(numTold, 1);
  clock.now = 1000;
  scalars.want(OBS);
  answer(2, [5, 50, 4, 40]);

  assert.deepEqual(sent[1], { kind: "column", name: "obs", index: 2, start: 2 });
  assert.deepEqual([...scalars.spread(OBS).mean.slice(2, 4)], [27.5, 22]);
});

test("reward and return are never asked for", () => {
  const { scalars, sent, store } = asking(4);
  const reward = { name: "reward", index: -1 };

  scalars.want(reward);
  const { mean } = scalars.spread({ name: "return", index: -1 });

  assert.equal(sent.length, 0);
  assert.equal(scalars.read(reward)(2, 1), store.steps.reward(1)(2));
  assert.deepEqual([...mean.slice(0, 4)], [1, 2, 3, 4]);
});

test("spread passes over envs without a number", () => {
  const spread = new Spread();

  spread.extend((row, env) => (env === row ? Number.NaN : 10 * env), 3, 4);

  assert.deepEqual([...spread.mean.slice(0, 4)], [15, 10, 5, 10]);
  assert.deepEqual([...spread.low.slice(0, 4)], [10, 0, 0, 0]);
  assert.deepEqual([...spread.high.slice(0, 4)], [20, 20, 10, 20]);
  assert.deepEqual([...spread.deviation.slice(0, 3)], [5, 10, 5]);
});

test("a key names its scalar, and a scalar its key", () => {
  for (const key of ["reward", "return", "obs[0]", "a[b][12]"])
    assert.equal(scalarKey(parseScalar(key)), key);
  assert.deepEqual(parseScalar("a[b][12]"), { name: "a[b]", index: 12 });
});

test("a group of envs has its own mean, and numbers that came since change it", () => {
  const { scalars, answer } = asking(4);
  scalars.want(OBS);
  answer(0, [1, 10, 2, 20]);

  const second = () => {
    const spread = scalars.spread(OBS, [1]);
    return scalars.series(OBS, "mean 1", (row) => spread.mean[row]!);
  };
  assert.deepEqual([second().at(1), second().at(2)], [20, Number.NaN]);
  answer(1, [2, 21, 3, 30]);

  assert.deepEqual([second().at(1), second().at(2)], [21, 30]);
});

test("of several tracks none waits for another that grows", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { scalars, sent, clock, answer } = asking(4);
  const other = { name: "obs", index: 3 };
  scalars.want(OBS);
  answer(0, [1, 10, 2, 20, 3, 30]);

  scalars.want(OBS);
  scalars.want(other);

  assert.deepEqual(sent.at(-1), { kind: "column", ...other, start: 0 });
  assert.equal(clock.now, 0);
});

test("thumbnails have the pixels of any row, and only the newest request waits", async () => {
  const random = randomOf(8);
  const film = filmOf(40, 4, 4, random);
  const { store } = sessionOf([film], [SIZE], random);
  const decoder = await Decoder.open();
  const pool: Decoding = {
    numDecodes: 0,
    run: async (plans) => [decoder.run(pack(0, plans, null))],
    recycle() {},
  };
  const thumbnails = new Thumbnails(store, pool, {
    cacheSize: 0,
    reduction: ({ width }) => width / 4,
  });
  const shown: [number, number[] | null][] = [];
  const show = (row: number) =>
    new Promise<void>((done) => {
      thumbnails.request(row, 0, (picture) => {
        const rgb = picture && [...picture.pixels].filter((_, i) => i % 4 !== 3);
        shown.push([row, rgb]);
        done();
      });
    });

  for (let row = 0; row < 40; row++) {
    await show(row);
    assert.deepEqual(shown.at(-1), [row, film[row] ? [...film[row]!] : null]);
  }

  shown.length = 0;
  show(3);
  show(4);
  await show(5);
  assert.deepEqual(
    shown.map(([row]) => row),
    [5],
  );
});
