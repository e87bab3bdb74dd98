import assert from "node:assert/strict";
import { test } from "node:test";
import type { EvaluationNumbers } from "../src/protocol/messages.ts";
import { arrangePairs, pairsOfSeeds } from "../src/recording/evaluated-pairs.ts";
import { Steps } from "../src/recording/steps.ts";
import { chance, interval, numberOf, shortly } from "../src/view/evaluation/numbers.ts";
import { filterPairs, inColumns } from "../src/view/evaluation/pair-list.ts";
import { barAt, shapeOf } from "../src/view/evaluation/strip-shape.ts";
import { scaleOf } from "../src/view/evaluation/whisker.ts";

/** Three policies; the pairs of the second are 0 to 3, that of the third is 4. */
const EVALUATION: EvaluationNumbers = {
  policies: [{ policy: "a" }, { policy: "b" }, { policy: "c" }],
  against: [],
  pairs: {
    line: [1, 1, 1, 1, 2],
    seed: ["0", "1", "2", "3", "1"],
    env: [0, 0, 0, null, 1],
    episode: [2, 3, 9, null, 0],
    env_against: [0, 0, 0, null, 0],
    episode_against: [0, 1, 0, null, 1],
    return: [2, 1, null, 4, 0],
    return_against: [1, 3, 1, 1, 3],
    difference: [1, -2, null, "Infinity", -3],
    flip: [1, -1, 0, 0, 0],
  },
};

/** Of two envs; episodes of env 0 have 2 rows each, env 1 has one of all rows. */
function recorded(numEpisodes = 4): Steps {
  const steps = new Steps(2);
  const count = 2 * numEpisodes;
  const rows = [...Array(count).keys()];
  steps.append({
    start: 0,
    count,
    kinds: Uint8Array.from(rows.flatMap((row) => [row % 2, row ? 1 : 0])),
    ends: Uint8Array.from(rows.flatMap((row) => [row % 2, 0])),
    rewards: Float64Array.from(rows.flatMap((row) => [row % 2 ? 1 : 0, 0])),
    envSteps: Uint32Array.from(rows.flatMap((row) => [row % 2, row])),
  });
  return steps;
}

test("pairs are arranged by their own episodes, a line for each policy", () => {
  const { episodes } = recorded();

  const all = arrangePairs(episodes, EVALUATION, [1, 0, 4], "some");

  assert.deepEqual(
    [all.lines, all.keys],
    [
      ["a", "b", "c"],
      ["seed 1", "seed 0"],
    ],
  );
  // An episode of the first policy that is in two pairs is shown once.
  assert.deepEqual(
    all.lanes.map(({ parts }) => parts.map(({ env, index }) => [env, index])),
    [[[0, 1]], [[0, 0]], [[0, 3]], [[0, 2]], [[1, 0]], []],
  );
  assert.equal(all.columns, 2);
});

test("a single pair has no line for others, and is as large as fits", () => {
  const alone = arrangePairs(recorded().episodes, EVALUATION, [0], "one");

  assert.deepEqual(alone.lines, ["a", "b"]);
  assert.equal(alone.columns, null);
  const missing = arrangePairs(recorded().episodes, EVALUATION, [3], "none");
  assert.equal(missing.numRows, 0);
});

test("pairs of seeds are in the order of the seeds", () => {
  assert.deepEqual(pairsOfSeeds(EVALUATION.pairs, ["1", "0", "7"]), [1, 4, 0]);
});

test("a filter lets flips of a policy through, sorted by difference", () => {
  const { pairs } = EVALUATION;

  assert.deepEqual(filterPairs(pairs, 1, "all"), [1, 2, 0, 3]);
  assert.deepEqual(filterPairs(pairs, 1, "flipped"), [1, 0]);
  assert.deepEqual(filterPairs(pairs, 1, "gained"), [0]);
  assert.deepEqual(filterPairs(pairs, 1, "lost"), [1]);
  assert.deepEqual(filterPairs(pairs, 2, "all"), [4]);
  assert.deepEqual(inColumns(pairs, [0, 1, 2], ["2", "0"]), [2, 0, 1]);
});

test("bars reach from zero, the largest as far as there is room, with their flips", () => {
  const bar = (difference: number, flip = 0, isHere = true) => ({
    ...{ difference, flip, isHere },
  });

  const shape = shapeOf([bar(-1, -1), bar(0), bar(2, 1), bar(2, 0, false)], 40, 58);

  assert.equal(shape.zero, 29);
  assert.equal(shape.worse, "M0 29v10h9v-10z"); // half of 20 pixels, downwards
  assert.equal(shape.better, "M20 29v-20h9v20z");
  assert.equal(shape.missing, "M30 29v-20h9v20z");
  assert.equal(shape.lost, "M0.5 51h8L4.5 57.5z");
  assert.equal(shape.gained, "M20.5 7h8L24.5 0.5z");
});

test("marks of narrow bars are a band at the edge", () => {
  const bars = [1, 1, -1].map((flip) => ({ difference: flip, flip, isHere: true }));

  const { gained, lost } = shapeOf(bars, 3, 58);

  assert.equal(gained, "M0 2h1v4h-1zM1 2h1v4h-1z");
  assert.equal(lost, "M2 52h1v4h-1z");
});

test("an infinite difference is as long as any, one that is not known has no bar", () => {
  const bars = [Number.POSITIVE_INFINITY, Number.NaN, 1e-9, 4].map((difference) => ({
    ...{ difference, flip: 0, isHere: true },
  }));

  const { better } = shapeOf(bars, 4, 58);

  assert.equal(better, "M0 29v-20h1v20zM2 29v-1h1v1zM3 29v-20h1v20z");
  assert.deepEqual(
    [-5, 0, 1.9, 3.99, 400].map((x) => barAt(x, 4, 4)),
    [0, 0, 1, 3, 3],
  );
});

test("numbers of Python are shown as they are, unknown ones with a dash", () => {
  assert.deepEqual([null, undefined, "Infinity", "-Infinity", 3].map(numberOf), [
    Number.NaN,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    3,
  ]);
  assert.deepEqual([12.34567, -0.5, Number.NaN].map(shortly), [
    "12.35",
    "\u22120.5",
    "\u2013",
  ]);
  assert.equal(interval(1, 2, shortly), "1 to 2");
  assert.equal(interval(Number.NaN, 2, shortly), "");
  assert.deepEqual([0, 0.0042, 0.05, Number.NaN].map(chance), [
    "p < 0.001",
    "p = 0.004",
    "p = 0.050",
    "\u2013",
  ]);
  assert.deepEqual(
    scaleOf(
      [
        { x: 1, y: 3 },
        { x: null, y: "Infinity" },
      ],
      ["x", "y"],
    ),
    [0.88, 3.12],
  );
});
