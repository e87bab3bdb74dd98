/** The parts of the side panel that need no page. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decimalsOf,
  formatAligned,
  formatFixed,
  placesIn,
} from "../src/view/side/aligned.ts";
import { pickOfClick, pickOfKey, placeAfter } from "../src/view/side/row-picks.ts";
import { linePath, samplesOf } from "../src/view/side/spark-line.ts";

test("numbers of a column have as many decimals as the column needs", () => {
  assert.equal(decimalsOf([1, 200, Number.NaN]), 0);
  assert.equal(decimalsOf([1.5, -81.93]), 2);
  assert.equal(decimalsOf([0.25]), 3);
  assert.equal(decimalsOf([12_345.6]), 1);
  assert.equal(decimalsOf([1e9]), -1);
  assert.equal(decimalsOf([]), 0);
  assert.equal(formatFixed(-81.9349, 2), "\u221281.93");
  assert.equal(formatFixed(-0.0001, 2), "0.00");
  assert.equal(formatFixed(Number.NaN, 2), "\u2013");
});

test("an array's numbers are aligned by their scale and dtype", () => {
  assert.equal(formatAligned(0.5, 2, "float32"), "0.500");
  assert.equal(formatAligned(3, 12, "int64"), "3");
  assert.equal(formatAligned(1, 1, "bool"), "true");
  assert.equal(formatAligned(0.0001, 0.0002, "float32"), "1.00e-4");
  assert.deepEqual(placesIn([3, 4], 5), [1, 1]);
  assert.deepEqual(placesIn([8], 5), [5]);
});

test("clicks and keys pick, extend, choose and open rows", () => {
  const none = { shiftKey: false, ctrlKey: false, metaKey: false, altKey: false };
  assert.equal(pickOfClick({ ...none, type: "click" }), "only");
  assert.equal(pickOfClick({ ...none, type: "click", metaKey: true }), "toggle");
  assert.equal(pickOfClick({ ...none, type: "dblclick" }), "open");
  assert.equal(pickOfKey({ ...none, key: "ArrowUp", shiftKey: true }, false), "extend");
  assert.equal(pickOfKey({ ...none, key: "Enter" }, false), "open");
  assert.equal(pickOfKey({ ...none, key: " " }, false), "toggle");
  assert.equal(pickOfKey({ ...none, key: " " }, true), null);
  assert.equal(pickOfKey({ ...none, key: "s", ctrlKey: true }, false), null);
  assert.equal(placeAfter("PageDown", 3), 11);
  assert.equal(placeAfter("Enter", 3), 3);
});

test("a small line has the first and the last row, and passes over what is not known", () => {
  const samples = samplesOf((row) => row, 100, 200);
  assert.equal(samples.length, 32);
  assert.deepEqual([samples[0], samples.at(-1)], [100, 199]);
  assert.deepEqual(
    samplesOf((row) => row, 5, 6),
    [5],
  );
  assert.equal(linePath([0, Number.NaN, 1]), "M0.0 18.0L100.0 2.0");
  assert.equal(linePath([2, 2]), "M0.0 10.0L100.0 10.0");
  assert.equal(linePath([]), "");
});
