import assert from "node:assert/strict";
import { test } from "node:test";
import { Clock } from "../src/playback/clock.ts";
import { type Here, parseAddress } from "../src/recording/address.ts";
import { Steps } from "../src/recording/steps.ts";

/** Two envs of 30 rows; env 1 begins an episode every ten rows. */
function steps(): Steps {
  const found = new Steps(2);
  const count = 30;
  const kinds = new Uint8Array(2 * count).fill(1);
  const envSteps = new Uint32Array(2 * count);
  for (let row = 0; row < count; row++) {
    envSteps[2 * row] = row;
    envSteps[2 * row + 1] = row % 10;
    if (row === 0) kinds[0] = 0;
    if (row % 10 === 0) kinds[2 * row + 1] = 0;
  }
  const [ends, rewards] = [new Uint8Array(2 * count), new Float64Array(2 * count)];
  found.append({ start: 0, count, kinds, ends, rewards, envSteps });
  return found;
}

const HERE: Here = { row: 15, env: 1, bounds: [0, 30] };

test("a row, an env, an episode and a step are found as they are typed", () => {
  for (const [text, row, env] of [
    ["7", 7, null],
    [" -1 ", 29, null],
    ["e1 ep2 s3", 23, 1],
    ["e1ep2s3", 23, 1],
    ["env 0, episode 0, step 12", 12, 0],
    ["EP2", 20, null],
    ["s4", 14, null],
    ["e0", 15, 0],
  ] as const)
    assert.deepEqual(parseAddress(text, steps(), HERE), { row, env }, text);
});

test("an address that does not exist is refused with what there is", () => {
  for (const [text, message] of [
    ["30", /rows 0 to 29/],
    ["-31", /rows 0 to 29/],
    ["e2", /envs 0 to 1/],
    ["e1 ep3", /no step 0 in episode 3/],
    ["e1 ep0 s10", /no step 10 in episode 0/],
    ["", /e3 ep12 s733/],
    ["x9", /e3 ep12 s733/],
    ["1 e2", /e3 ep12 s733/],
  ] as const)
    assert.throws(() => parseAddress(text, steps(), HERE), message, text);
});

test("the loop of an episode stays within the one at the playhead", () => {
  const found = steps();
  const clock = new Clock(() => 0);
  clock.setBounds(0, 30);
  clock.fps = 10;
  clock.episodeAt = (row) => found.episodeAt(row, 1);
  clock.seek(17);

  clock.setLoop("episode");
  clock.play();

  const rows = [0, 2, 3, 12, 13].map((k) => clock.rowOf(k));
  assert.deepEqual(rows, [17, 19, 10, 19, 10]);
  assert.deepEqual(found.episodeAt(17, 1), [10, 20]);
  assert.equal(found.episodeAt(99, 1), null);
});

test("every n-th row is played, as many pictures a second, to the last one", () => {
  let now = 0;
  const clock = new Clock(() => now);
  clock.fps = 10;
  clock.setBounds(0, 12);
  clock.setEvery(5);
  clock.setEvery(0);
  clock.setEvery(2.5);
  assert.equal(clock.every, 5);

  clock.play();
  const rows = [0, 100, 200, 300].map((time) => {
    now = time;
    clock.tick(now);
    return clock.row;
  });

  assert.deepEqual(rows, [0, 5, 10, 11]);
  assert.equal(clock.isPlaying, false);
  clock.setLoop("all");
  clock.seek(0);
  assert.deepEqual(
    [0, 1, 2, 3].map((k) => clock.rowOf(k)),
    [0, 5, 10, 3],
  );
});
