import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock } from "../src/playback/clock.ts";
import { createTicker } from "../src/view/redraw.ts";

test("one animation frame at a time is asked for, however many rows are played", (t) => {
  const asked: ((now: number) => void)[] = [];
  const requestAnimationFrame = (callback: (now: number) => void) =>
    asked.push(callback);
  const cancelAnimationFrame = () => {};
  Object.assign(globalThis, { requestAnimationFrame, cancelAnimationFrame });
  t.after(() => {
    Reflect.deleteProperty(globalThis, "requestAnimationFrame");
    Reflect.deleteProperty(globalThis, "cancelAnimationFrame");
  });
  let [time, numUpdates] = [0, 0];
  const clock = new Clock(() => time);
  clock.setBounds(0, 1000);
  const player = { update: () => numUpdates++ };
  const tick = createTicker(clock, player, new AbortController().signal);
  clock.onChange.on(() => clock.isPlaying && tick());

  clock.play();
  for (let n = 0; n < 60; n++) {
    time += 34; // a row is due every 33.3 ms
    for (const callback of asked.splice(0)) callback(time);
  }

  assert.equal(clock.row, 61);
  assert.deepEqual([numUpdates, asked.length], [60, 1]);

  clock.pause();
  for (const callback of asked.splice(0)) callback(time);
  assert.equal(asked.length, 0);
});
