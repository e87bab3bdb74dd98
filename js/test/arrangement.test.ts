import assert from "node:assert/strict";
import { test } from "node:test";
import { arrangedSteps } from "../src/recording/arranged-store.ts";
import {
  alignEpisodes,
  compare,
  locate,
  recordedAt,
  showChosen,
} from "../src/recording/arrangement.ts";
import { Steps } from "../src/recording/steps.ts";
import { openSession } from "../src/session/session.ts";
import { arrangementOf, takeBeginning } from "../src/view/head/arrangement-choices.ts";
import { manifestOf } from "./film.ts";

const [R, S, I] = [0, 1, 2];

/** Steps of envs given as texts: r reset, s step, t terminated, c truncated, - idle. */
function rowsOf(...envs: string[]) {
  const count = envs[0]!.length;
  const cells = Array.from({ length: count }, (_, row) => envs.map((one) => one[row]!));
  const flat = cells.flat();
  let step = envs.map(() => 0);
  const envSteps = cells.flatMap((line) => {
    step = line.map((c, env) =>
      c === "r" ? 0 : c === "-" ? step[env]! : step[env]! + 1,
    );
    return step;
  });
  return {
    start: 0,
    count,
    kinds: new Uint8Array(flat.map((c) => (c === "r" ? R : c === "-" ? I : S))),
    ends: new Uint8Array(flat.map((c) => (c === "t" ? 1 : c === "c" ? 2 : 0))),
    rewards: new Float64Array(
      flat.map((c, i) => (c === "r" || c === "-" ? Number.NaN : 1 + (i % envs.length))),
    ),
    envSteps: new Uint32Array(envSteps),
  };
}

function stepsFrom(...envs: string[]): Steps {
  const steps = new Steps(envs.length);
  steps.append(rowsOf(...envs));
  return steps;
}

const TWO = ["rstrsst-", "rsssstrs"];

test("aligned by episode start, every tile starts its k-th episode together", () => {
  const steps = stepsFrom(...TWO);

  const arrangement = alignEpisodes(steps.episodes, [0, 1]);
  const rows = Array.from({ length: arrangement.numRows }, (_, row) =>
    [0, 1].map((lane) => recordedAt(arrangement, row, lane)?.row),
  );

  assert.deepEqual(rows, [
    [0, 0],
    [1, 1],
    [2, 2],
    [2, 3], // the shorter one waits at its end
    [2, 4],
    [2, 5],
    [3, 6],
    [4, 7],
    [5, 7],
    [6, 7],
  ]);
  const arranged = arrangedSteps(arrangement, steps);
  assert.deepEqual([arranged.at(5, 0).episode, arranged.at(5, 1).episode], [-1, 0]);
  assert.deepEqual([arranged.at(6, 0).episode, arranged.at(6, 1).episode], [1, 1]);
  assert.equal(arranged.at(9, 0).total, 3);
  assert.deepEqual(locate(arrangement, 4, 0), { row: 7, lane: 0 });
  assert.equal(locate(arrangement, 7, 0), null); // idle: in no episode
});

test("rows in which an episode's env was idle are not shown", () => {
  const steps = stepsFrom("rs--s-strs", "rsssssstr-");

  const arrangement = alignEpisodes(steps.episodes, [0, 1]);
  const rows = [0, 1].map((lane) =>
    Array.from(
      { length: arrangement.numRows },
      (_, row) => recordedAt(arrangement, row, lane)?.row,
    ),
  );

  assert.deepEqual(rows, [
    [0, 1, 4, 6, 7, 7, 7, 7, 8, 9],
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 8],
  ]);
  const arranged = arrangedSteps(arrangement, steps);
  assert.deepEqual(
    rows[0]!.map((_, row) => arranged.at(row, 0).envStep).slice(0, 5),
    [0, 1, 2, 3, 4],
  );
  assert.equal(arranged.episodes.numOf(0), 2);
  assert.equal(arranged.episodes.at(arranged.episodes.numberOf(0, 0)!).length, 4);
  assert.deepEqual(locate(arrangement, 6, 0), { row: 3, lane: 0 });
  assert.equal(locate(arrangement, 3, 0), null);
});

test("chosen episodes keep their numbers and start at their first rows", () => {
  const steps = stepsFrom(...TWO);
  const numbers = [steps.episodes.numberOf(1, 1)!, steps.episodes.numberOf(0, 1)!];

  const arrangement = showChosen(steps.episodes, numbers, "two", (env) => ["env", env]);
  const arranged = arrangedSteps(arrangement, steps);

  assert.deepEqual(
    [recordedAt(arrangement, 0, 0), recordedAt(arrangement, 0, 1)],
    [
      { row: 6, env: 1 },
      { row: 3, env: 0 },
    ],
  );
  assert.deepEqual([arranged.at(1, 0).episode, arranged.at(1, 1).episode], [1, 1]);
  assert.deepEqual(arranged.find(0, 1, 1), 1);
  assert.equal(arrangement.numRows, 4);
});

test("lines are compared by key: only what several lines have", () => {
  const steps = stepsFrom("rtrtrt", "rtrtrt");
  const seeds = [7, 8, 9, 8, 7, 5];
  for (let number = 0; number < 6; number++) {
    const { env, index } = steps.episodes.at(number);
    const segment = index < 1 ? "a" : index < 2 ? "b" : "c";
    steps.episodes.describe(env, index, { segment, seed: seeds[number]! });
  }
  const infoOf = ({ env, index }: { env: number; index: number }) =>
    steps.episodes.info(env, index);
  const lines = ["a", "b"].map((name) => ({
    name,
    has: (one: { env: number; index: number }) => infoOf(one).segment === name,
  }));

  const by = compare(steps.episodes, lines, (one) => String(infoOf(one).seed), "seed");

  assert.deepEqual([by.lines, by.keys, by.columns], [["a", "b"], ["seed 8"], 1]);
  assert.deepEqual(
    [recordedAt(by, 0, 0), recordedAt(by, 0, 1)],
    [
      { row: 0, env: 1 },
      { row: 2, env: 1 },
    ],
  );
  assert.deepEqual(by.lanes[1]!.name, ["b", "seed 8"]);
});

test("a session keeps its place when it is arranged, and when that is undone", () => {
  const sent: unknown[] = [];
  const session = openSession((message) => sent.push(message));
  session.take(manifestOf({ num_rows: 8, num_envs: 2, slots: [] }), []);
  const { kinds, ends, rewards, envSteps } = rowsOf(...TWO);
  session.take({ kind: "data", seq: 0, num_rows: 8, start: 0, count: 8 }, [
    kinds,
    ends,
    rewards,
    envSteps,
  ]);
  const { clock, store, marks } = session;
  marks.select([0]);
  clock.seek(4);
  const before = sent.length;

  session.arrange(alignEpisodes(store.recorded.steps.episodes, [0, 1]));
  assert.deepEqual([clock.row, clock.bounds], [7, [0, 10]]);
  assert.deepEqual(session.place(), { row: 4, env: 0 });
  assert.deepEqual(session.shownRows([5]), [8, 5]);
  session.goTo(2, 1);
  assert.deepEqual([clock.row, marks.selection], [2, [1]]);
  session.goTo(7, 0); // shown nowhere in it
  assert.deepEqual([store.arrangement, clock.row, clock.bounds], [null, 7, [0, 8]]);
  assert.equal(sent.length, before);
});

test("a comparison begins with the keys that are asked for, in their order", () => {
  const steps = stepsFrom("rtrtrtrt");
  for (const [number, seed] of [1, 2, 3, 10].entries())
    steps.episodes.describe(0, number, { segment: "a", seed });
  const lines = [{ name: "a", has: () => true }];
  const keyOf = ({ env, index }: { env: number; index: number }) =>
    String(steps.episodes.info(env, index).seed);
  const keysOf = (first: string[], most?: number) =>
    compare(steps.episodes, lines, keyOf, "seed", first, most).keys;

  assert.deepEqual(keysOf([]), ["seed 1", "seed 2", "seed 3", "seed 10"]);
  assert.deepEqual(keysOf(["10", "7", "2"], 3), ["seed 10", "seed 2", "seed 1"]);
});

test("a page begins with the comparison that the kernel asks for, once", () => {
  const session = openSession(null);
  const compare = { lines: ["b", "a"], seeds: ["8", "7"] };
  session.take(manifestOf({ num_rows: 8, num_envs: 1, slots: [], compare }), []);
  assert.equal(takeBeginning(session), null); // its rows are on their way

  const { kinds, ends, rewards, envSteps } = rowsOf("rtrtrtrt");
  const infos = ["a", "b"].flatMap((segment) =>
    [7, 8].map((seed) => ({ segment, seed })),
  );
  const episodes = infos.map((_, index): [number, number, number] => [0, index, index]);
  session.take(
    { kind: "data", seq: 0, num_rows: 8, start: 0, count: 8, infos, episodes },
    [kinds, ends, rewards, envSteps],
  );
  const value = takeBeginning(session)!;
  const arrangement = arrangementOf(session, value)!;
  session.arrange(arrangement, true);

  assert.equal(value, "segment:seed");
  assert.deepEqual(arrangement.lines, ["b", "a"]);
  assert.deepEqual(arrangement.keys, ["seed 8", "seed 7"]);
  assert.equal(recordedAt(arrangement, 0, 0)?.row, 6); // b, seed 8
  assert.equal(session.undo.last, null);
  session.arrange(null);
  assert.equal(takeBeginning(session), null);
});
