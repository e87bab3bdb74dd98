import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ANY,
  bestOf,
  csvOf,
  failuresOf,
  labelNames,
  query,
  successesOf,
} from "../src/recording/episode-query.ts";
import { Episodes, marksOf } from "../src/recording/episodes.ts";
import { wilson } from "../src/util/wilson.ts";
import { randomOf } from "./film.ts";

const nameOf = (env: number) => `env ${env}`;

/** Episodes of two envs: [env, length, total, ends] in the order they began. */
function episodesOf(
  all: readonly (readonly [env: number, length: number, total: number, ends: number])[],
  numEnvs = 2,
): Episodes {
  const episodes = new Episodes(numEnvs);
  for (const [row, [env, length, total, ends]] of all.entries()) {
    episodes.begin(env, 10 * row);
    episodes.grow(env, 10 * row + length, length, total);
    if (ends >= 0) episodes.end(env, ends);
  }
  return episodes;
}

const SOME = [
  [0, 5, 1, 1],
  [1, 7, -2, 2],
  [0, 3, 4, 0],
  [1, 9, 1, -1],
] as const;

function found(changes: Partial<typeof ANY>) {
  const episodes = episodesOf(SOME);
  episodes.describe(0, 0, { segment: "Eval", labels: { failure: true } });
  episodes.describe(1, 0, { seed: 7, labels: { grasps: 2 } });
  return [...query(episodes, { ...ANY, ...changes }, nameOf)];
}

test("episodes are sorted by a column, equal ones as they began", () => {
  assert.deepEqual(found({}), [0, 1, 2, 3]);
  assert.deepEqual(found({ column: "return" }), [1, 0, 3, 2]);
  assert.deepEqual(found({ column: "return", isDescending: true }), [2, 0, 3, 1]);
  assert.deepEqual(found({ column: "env", isDescending: true }), [1, 3, 0, 2]);
  assert.deepEqual(found({ column: "outcome" }), [2, 3, 0, 1]);
  assert.deepEqual(found({ column: "labels", isDescending: true }), [1, 0, 2, 3]);
});

test("a reset without a step is no episode, unless it is the running one", () => {
  const episodes = episodesOf([
    [0, 4, 1, 1],
    [0, 0, 0, 0],
    [0, 2, 1, 1],
    [0, 0, 0, -1],
    [1, 0, 0, -1],
  ]);

  assert.deepEqual([...query(episodes, ANY, nameOf)], [0, 2, 3, 4]);
  assert.equal(episodes.numListed, 4);
  episodes.isLive = false;
  assert.deepEqual([...query(episodes, ANY, nameOf)], [0, 2]);
  assert.equal(episodes.numListed, 2);
  assert.equal(episodes.at(2).index, 2);
});

test("episodes are filtered by words, outcome and label", () => {
  assert.deepEqual(found({ text: "ENV 1" }), [1, 3]);
  assert.deepEqual(found({ text: "eval" }), [0]);
  assert.deepEqual(found({ text: "seed 7 grasps=2" }), [1]);
  assert.deepEqual(found({ text: "nothing" }), []);
  assert.deepEqual(found({ outcome: "cut" }), [2]);
  assert.deepEqual(found({ outcome: "running" }), [3]);
  assert.deepEqual(found({ label: "failure" }), [0]);
  assert.deepEqual(found({ label: "failure", text: "env 1" }), []);
});

test("best and worst are those that have ended; failures those that are called so", () => {
  const episodes = episodesOf(SOME);
  const all = new Int32Array([0, 1, 2, 3]);

  assert.deepEqual(bestOf(episodes, all, 2, true), [2, 0]);
  assert.deepEqual(bestOf(episodes, all, 9, false), [1, 0, 2]);
  assert.deepEqual(failuresOf(episodes, all), [0]);
  episodes.describe(1, 0, { labels: { failure: true } });
  assert.deepEqual(failuresOf(episodes, all), [1]);
  assert.deepEqual(labelNames(episodes), ["failure"]);
});

test("success is a column, a filter, a word, and what failures and successes are", () => {
  const episodes = episodesOf(SOME);
  const all = new Int32Array([0, 1, 2, 3]);
  const found = (changes: Partial<typeof ANY>) => [
    ...query(episodes, { ...ANY, ...changes }, nameOf),
  ];
  episodes.describe(0, 0, { success: true });
  episodes.describe(1, 0, { success: false, labels: { steady: true } });
  episodes.describe(1, 1, { success: null });

  assert.deepEqual(found({ column: "success" }), [1, 0, 2, 3]);
  assert.deepEqual(found({ success: "success" }), [0]);
  assert.deepEqual(found({ success: "failure" }), [1]);
  assert.deepEqual(found({ success: "not known" }), [2, 3]);
  assert.deepEqual(found({ text: "failure" }), [1]);
  assert.deepEqual(failuresOf(episodes, all), [1]);
  assert.deepEqual(successesOf(episodes, all), [0]);
  assert.deepEqual([episodes.numSuccesses, episodes.numJudged], [1, 2]);
  // what is known of an episode may change
  episodes.describe(1, 0, { success: true });
  assert.deepEqual([episodes.numSuccesses, episodes.numJudged], [2, 2]);
  assert.deepEqual(failuresOf(episodes, all), []);
});

test("an episode's marks are its labels and its success, the same object", () => {
  const info = { success: false, labels: { steady: true } };

  assert.deepEqual(marksOf(info), { failure: true, steady: true });
  assert.equal(marksOf(info), marksOf(info));
  assert.equal(marksOf({}), undefined);
});

test("a success rate has the interval that scipy has", () => {
  // scipy.stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
  const cases = [
    [8, 10, 0.4901624715, 0.9433178485],
    [0, 20, 0, 0.1611251581],
    [29, 29, 0.8830302015, 1],
  ] as const;
  for (const [successes, count, low, high] of cases) {
    const found = wilson(successes, count);
    assert.ok(Math.abs(found[0] - low) < 1e-9, `${found[0]}`);
    assert.ok(Math.abs(found[1] - high) < 1e-9, `${found[1]}`);
  }
});

test("a saved list has a line an episode, its texts quoted", () => {
  const episodes = episodesOf(SOME);
  episodes.describe(0, 0, { segment: 'a, "b"', labels: { x: true, y: 2 } });
  episodes.describe(1, 1, { success: false });

  const lines = csvOf(episodes, [0, 3], nameOf).split("\n");

  assert.equal(lines[1], '0,env 0,0,0,6,5,1,terminated,,"a, ""b""",,x; y=2');
  assert.equal(lines[2], "1,env 1,1,30,40,9,1,running,False,,,");
});

test("a hundred thousand episodes are queried with few allocations a row", () => {
  const random = randomOf(3);
  const episodes = episodesOf(
    Array.from({ length: 100_000 }, (_, i) => [i % 16, 5, random(), 1] as const),
    16,
  );

  const wanted = { ...ANY, text: "env 3", column: "return" } as const;
  const numbers = query(episodes, wanted, nameOf);

  assert.equal(numbers.length, 6250);
  for (let i = 1; i < numbers.length; i++)
    assert.ok(episodes.total[numbers[i - 1]!]! <= episodes.total[numbers[i]!]!);
});
