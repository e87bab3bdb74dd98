import assert from "node:assert/strict";
import { test } from "node:test";
import {
  marksOf,
  roundStep,
  rowAtX,
  scaleFor,
  traceOf,
  xOf,
} from "../src/recording/downsample.ts";
import { Series } from "../src/recording/series.ts";
import {
  addTrack,
  hasTrack,
  moveTrack,
  removeTrack,
  setOver,
} from "../src/session/tracks.ts";
import { ViewOptions } from "../src/session/view-options.ts";
import { ticksOf } from "../src/view/timeline/draw-marks.ts";
import { RowWindow } from "../src/view/timeline/row-window.ts";
import { randomOf } from "./film.ts";

function seriesOf(value: (row: number) => number, numRows: number): Series {
  const series = new Series();
  series.extend(value, numRows);
  return series;
}

test("a series knows the extremes of any run of rows, as it grows and is read anew", () => {
  const random = randomOf(3);
  const numbers: number[] = [];
  const series = new Series();
  for (let round = 0; round < 60; round++) {
    const kept = Math.max(
      0,
      numbers.length - (round % 3 ? 0 : Math.floor(random() * 40)),
    );
    numbers.length = kept;
    series.forget(kept);
    const count = Math.floor(random() * 300);
    for (let i = 0; i < count; i++)
      numbers.push(random() < 0.2 ? Number.NaN : Math.round(random() * 1000));
    series.extend((row) => numbers[row]!, numbers.length);
    const first = Math.floor(random() * numbers.length);
    const stop = first + Math.floor(random() * (numbers.length - first + 5));

    series.look(first, stop);

    const run = numbers.slice(first, stop).filter(Number.isFinite);
    const [low, high] = run.length
      ? [Math.min(...run), Math.max(...run)]
      : [Number.NaN, Number.NaN];
    assert.deepEqual([series.low, series.high], [low, high]);
  }
});

test("a spike of one row survives a thousand rows a pixel, and few reads find it", () => {
  let numReads = 0;
  const value = (row: number) => {
    numReads++;
    return row === 54_321 ? 9 : 0;
  };
  const series = seriesOf(value, 100_000);
  numReads = 0;

  const trace = traceOf(series, { from: 0, to: 99_999 }, 100);

  assert.deepEqual([trace.min, trace.max], [0, 9]);
  const at = [...trace.x].filter((_, i) => trace.high[i] === 9);
  assert.deepEqual(at, [Math.round(xOf(54_321, { from: 0, to: 99_999 }, 100))]);
  assert.ok(numReads < 5000, `${numReads}`);
});

test("with fewer rows than pixels a trace leads out of sight at both edges", () => {
  const series = seriesOf((row) => row, 100);

  const { x, low, length } = traceOf(series, { from: 10.5, to: 12.5 }, 201);

  assert.deepEqual([...low.slice(0, length)], [10, 11, 12, 13]);
  assert.deepEqual([...x.slice(0, length)], [-50, 50, 150, 250]);
});

test("marks lie in the column of their row, those out of sight in none", () => {
  const marks = marksOf(
    (row) => (row === 30 ? 2 : 1),
    [5, 10, 30, 50, 51],
    { from: 10, to: 50 },
    41,
  );

  assert.deepEqual(
    [...marks.entries()].filter(([, bits]) => bits),
    [
      [0, 1],
      [20, 2],
      [40, 1],
    ],
  );
});

test("a row is where its pixel is, and the other way round", () => {
  const span = { from: 12.25, to: 99 };
  for (const row of [12.25, 40, 99])
    assert.ok(Math.abs(rowAtX(xOf(row, span, 640), span, 640) - row) < 1e-9);
});

test("a constant is drawn at its height between zero and itself", () => {
  assert.deepEqual(scaleFor({ min: 1, max: 1 }), { min: 0, max: 1 });
  assert.deepEqual(scaleFor({ min: -3, max: -3 }), { min: -3, max: 0 });
  assert.deepEqual(scaleFor({ min: 0, max: 0 }), { min: 0, max: 1 });
  assert.deepEqual(scaleFor({ min: 990, max: 1000 }), { min: 990, max: 1000 });
  assert.deepEqual(scaleFor({ min: 990, max: 1000 }, true), { min: 0, max: 1000 });
  assert.deepEqual(scaleFor({ min: 2, max: 10 }), { min: 0, max: 10 });
});

test("the ruler has round numbers that are never too close", () => {
  assert.deepEqual([1, 3, 7, 20, 21, 999].map(roundStep), [1, 5, 10, 20, 50, 1000]);
  for (let length = 2; length < 1e6; length *= 1.7)
    for (const width of [200, 400, 1280]) {
      const { labels, ticks } = ticksOf({ from: 17.3, to: 17.3 + length }, width);
      const step =
        labels.length > 1 ? labels[1]! - labels[0]! : Number.POSITIVE_INFINITY;
      assert.ok((step / length) * width >= 88 - 1e-6);
      assert.ok([...labels, ...ticks].every(Number.isInteger));
    }
});

test("a window zooms at a row, stays among the rows, and is whole again", () => {
  const rows = new RowWindow();
  rows.setBounds(0, 1001);
  assert.deepEqual([rows.from, rows.to, rows.isWhole], [0, 1000, true]);

  rows.zoom(0.5, 250);
  assert.deepEqual([rows.from, rows.to, rows.isWhole], [125, 625, false]);
  rows.pan(-1000);
  assert.deepEqual([rows.from, rows.to], [0, 500]);
  rows.zoom(0.0001, 100);
  assert.equal(rows.to - rows.from, 16);
  rows.setEdge("from", 90);
  rows.setEdge("to", 1);
  assert.equal(rows.to - rows.from, 16);
  rows.zoom(1000, 100);

  assert.deepEqual([rows.from, rows.to, rows.isWhole], [0, 1000, true]);
  rows.setBounds(0, 2001);
  assert.equal(rows.to, 2000);
});

test("a window that is not whole stays where it is while rows come", () => {
  const rows = new RowWindow();
  rows.setBounds(0, 101);
  rows.set(20, 60);

  rows.setBounds(0, 201);
  assert.deepEqual([rows.from, rows.to], [20, 60]);
  rows.turnToEnd();
  assert.deepEqual([rows.from, rows.to], [160, 200]);
  rows.turnTo(100);

  assert.ok(rows.has(100) && !rows.has(97));
});

test("a window turns its page with the playhead, unless the user moved it away", () => {
  const rows = new RowWindow();
  rows.setBounds(0, 1000);
  rows.set(0, 100);
  const at = (row: number, state: "rests" | "plays" | "follows") => {
    const [isPlaying, isFollowing] = [state === "plays", state === "follows"];
    rows.follow({ row, isPlaying, isFollowing });
    return [rows.from, rows.to];
  };

  assert.deepEqual(at(100, "plays"), [0, 100]);
  assert.deepEqual(at(101, "plays"), [96, 196]);
  rows.set(500, 600);
  assert.deepEqual(at(102, "plays"), [500, 600]);
  assert.deepEqual(at(300, "rests"), [250, 350]);
  assert.deepEqual(at(999, "follows"), [899, 999]);
  rows.setBounds(0, 1100);
  assert.deepEqual(at(1099, "follows"), [999, 1099]);
  rows.set(0, 100);
  rows.setBounds(0, 1200);
  assert.deepEqual(at(1199, "follows"), [0, 100]);
});

test("tracks are added once, moved, and removed", () => {
  const session = { viewOptions: new ViewOptions() };
  const obs = { name: "obs", index: 3 };
  const names = () => session.viewOptions.now.tracks.map(({ scalar }) => scalar.name);

  addTrack(session, obs);
  addTrack(session, { ...obs });
  moveTrack(session, obs, -1);
  moveTrack(session, { name: "reward", index: -1 }, -1);
  setOver(session, obs, "range");

  assert.deepEqual(names(), ["reward", "obs", "return"]);
  assert.equal(session.viewOptions.now.tracks[1]?.over, "range");
  assert.ok(hasTrack(session, obs));
  removeTrack(session, obs);
  assert.deepEqual(names(), ["reward", "return"]);
});

test("what an earlier version saved of a trace becomes tracks", () => {
  const restored = (saved: unknown) => {
    const options = new ViewOptions();
    options.restore(saved);
    return options.now.tracks.map(({ scalar, over }) => [
      scalar.name,
      scalar.index,
      over,
    ]);
  };
  const both = [
    ["reward", -1, "tile"],
    ["return", -1, "tile"],
  ];

  assert.deepEqual(restored({ trace: "obs[3]", over: "range" }), [["obs", 3, "range"]]);
  assert.deepEqual(restored({ trace: "reward+return", over: "tile" }), both);
  assert.deepEqual(restored({ camera: "top" }), both);
  assert.deepEqual(restored({ tracks: [null, { scalar: {} }, 3] }), []);
  const own = [{ scalar: { name: "obs", index: 0 }, over: "lines" }];
  assert.deepEqual(restored({ tracks: own }), [["obs", 0, "lines"]]);
});
