import assert from "node:assert/strict";
import { test } from "node:test";
import {
  comparisonOf,
  differ,
  referenceOf,
  returnsOf,
} from "../src/recording/comparison.ts";
import { Steps } from "../src/recording/steps.ts";
import { manifestOf } from "./film.ts";

const GROUPS = [
  ["before", 0, 2],
  ["after", 2, 1],
] as [string, number, number][];

test("compared recordings are paired by env; one without a partner has none", () => {
  const comparison = comparisonOf(manifestOf({ groups: GROUPS }), null)!;

  assert.deepEqual(comparison, {
    lines: ["before", "after"],
    keys: ["env 0", "env 1"],
    envs: [
      [0, 1],
      [2, null],
    ],
  });
  assert.deepEqual(
    [0, 1, 2].map((env) => referenceOf(comparison, env)),
    [null, null, 0],
  );
  assert.equal(comparisonOf(manifestOf({ groups: [] }), null), null);
});

test("returns are compared at a row, an episode that is over keeping its own", () => {
  const steps = new Steps(3);
  // Env 0 ends at row 1 with 5; env 1 continues; env 2 has 2 and then 9.
  steps.append({
    start: 0,
    count: 3,
    kinds: new Uint8Array([0, 0, 0, 1, 1, 1, 2, 1, 1]),
    ends: new Uint8Array([0, 0, 0, 1, 0, 0, 0, 0, 0]),
    rewards: new Float64Array([0, 0, 0, 5, 1, 2, Number.NaN, 1, 7]),
    envSteps: new Uint32Array([0, 0, 0, 1, 1, 1, 1, 2, 2]),
  });
  const comparison = comparisonOf(manifestOf({ groups: GROUPS }), null)!;

  const [before, after] = returnsOf(comparison, steps, 2);

  assert.deepEqual([before!.returns, before!.mean, before!.count], [[5, 2], 3.5, 2]);
  assert.deepEqual([after!.returns, after!.mean], [[9, Number.NaN], 4]);
  assert.deepEqual([after!.differences, after!.count], [[4, Number.NaN], 1]);
});

test("a pixel that differs by one level is seen, an equal one is black", () => {
  const from = new Uint8ClampedArray([1, 2, 3, 255, 9, 9, 9, 255, 0, 0, 0, 0]);
  const to = new Uint8ClampedArray([1, 2, 3, 255, 9, 10, 9, 255, 5, 5, 5, 255]);
  const out = new Uint8ClampedArray(12);

  const share = differ(from, to, out);

  assert.equal(share, 0.5);
  assert.deepEqual([...out.slice(0, 4)], [0, 0, 0, 255]);
  assert.ok(out[4]! >= 96);
  assert.equal(out[11], 0); // where one shows nothing, nothing is compared
  const none = new Uint8ClampedArray(12);
  assert.ok(Number.isNaN(differ(none, to, out)));
});
