import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToKernel } from "../src/protocol/messages.ts";
import { ANY, query } from "../src/recording/episode-query.ts";
import { textOfLabel } from "../src/recording/episodes.ts";
import { Steps } from "../src/recording/steps.ts";
import { countChanges, labelsFileOf } from "../src/session/labels-file.ts";
import { openSession, type Session } from "../src/session/session.ts";
import { formatReturn } from "../src/view/format.ts";
import { manifestOf, stepBuffers } from "./film.ts";

/** A session of `numRows` rows of one env, and what it sent but acknowledgements. */
function openWith(
  numRows: number,
  fields = {},
  hasKernel = true,
): [Session, ToKernel[]] {
  const sent: ToKernel[] = [];
  const send = (message: ToKernel) => {
    if (message.kind !== "ack") sent.push(message);
  };
  const session = openSession(hasKernel ? send : null);
  session.take(manifestOf({ num_rows: numRows, slots: [] }), []);
  const data = { kind: "data", seq: 0, num_rows: numRows, start: 0, count: numRows };
  session.take({ ...data, ...fields } as never, stepBuffers(numRows, 1));
  return [session, sent];
}

test("notes and labels come with the data, and are written back", () => {
  const [session, sent] = openWith(10, {
    bookmarks: { 4: "here" },
    episodes: [[0, 0, 0]],
    infos: [{ segment: "eval", labels: { train_step: 100 } }],
  });

  session.note(7, "there");
  session.label(0, 0, "failure", true);
  session.label(0, 0, "train_step", null);

  assert.deepEqual(
    [...session.marks.notes],
    [
      [4, "here"],
      [7, "there"],
    ],
  );
  assert.deepEqual(session.store.steps.episodes.info(0, 0), {
    segment: "eval",
    labels: { failure: true },
  });
  assert.deepEqual(sent, [
    { kind: "bookmark", row: 7, note: "there" },
    { kind: "label", env: 0, episode: 0, labels: { failure: true } },
    { kind: "label", env: 0, episode: 0, labels: { train_step: null } },
  ]);
});

test("a file of labels holds what was changed here, and nothing that was undone", () => {
  const recorded = {
    bookmarks: { 4: "here", 6: "" },
    episodes: [[0, 0, 0]],
    infos: [{ success: true, labels: { train_step: 100, late: true } }],
  };
  const [session] = openWith(10, recorded, false);

  session.note(7, "there");
  session.unbookmark(4);
  session.bookmark(8);
  session.unbookmark(8);
  session.label(0, 0, "failure", true);
  session.label(0, 0, "late", null);
  session.label(0, 0, "own", true);
  session.label(0, 0, "own", null);

  const file = labelsFileOf(session);
  assert.deepEqual(file.bookmarks, { 4: null, 7: "there" });
  assert.deepEqual(file.episodes, [
    { env: 0, episode: 0, labels: { late: null, failure: true } },
  ]);
  assert.equal(countChanges(file), 4);
});

test("a page without a kernel has the bookmarks that its file brought", () => {
  const session = openSession(null);

  session.take(manifestOf({ num_rows: 3, slots: [] }), []);
  session.take(
    {
      kind: "data",
      seq: 0,
      num_rows: 3,
      start: 0,
      count: 3,
      bookmarks: { 2: "", 1: "x" },
    },
    stepBuffers(3, 1),
  );

  assert.deepEqual(session.marks.bookmarks, [1, 2]);
});

test("without a kernel, bookmarks are added and removed in the page alone", () => {
  const session = openSession(null);
  session.take(manifestOf({ num_rows: 3, slots: [] }), []);

  session.note(2, "here");
  session.bookmark(1);
  session.unbookmark(2);
  session.bookmark(2);

  assert.deepEqual(session.marks.bookmarks, [1, 2]);
  assert.equal(session.marks.notes.get(2), undefined);
});

test("labels are shown as they are written", () => {
  const labels = { failure: true, grasps: 2, by: "me", box: [1, 2] };

  const texts = Object.entries(labels).map(textOfLabel);

  assert.deepEqual(texts, ["failure", "grasps=2", "by=me", "box=[1,2]"]);
});

test("episodes are those of the rows: ended, cut by a reset, and running", () => {
  const steps = new Steps(2);
  const [R, S, I] = [0, 1, 2];
  // Rows of two envs: the first ends at row 2, the second is reset at row 3.
  const kinds = [R, R, S, S, S, S, I, R, R, S, S, I];
  const ends = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
  const envSteps = [0, 0, 1, 1, 2, 2, 2, 0, 0, 1, 1, 1];
  const rewards = kinds.map((kind) => (kind === S ? 0.5 : Number.NaN));
  for (const [start, count] of [
    [0, 4],
    [4, 2],
  ] as const) {
    const part = <T>(all: T[]) => all.slice(2 * start, 2 * (start + count));
    steps.append({
      start,
      count,
      kinds: new Uint8Array(part(kinds)),
      ends: new Uint8Array(part(ends)),
      rewards: new Float64Array(part(rewards)),
      envSteps: new Uint32Array(part(envSteps)),
    });
  }

  const { episodes } = steps;
  const found = Array.from({ length: episodes.count }, (_, i) => episodes.at(i));

  const plain = { ends: 0, isRunning: false, numNan: 0, idle: undefined };
  assert.deepEqual(found, [
    {
      ...plain,
      env: 0,
      index: 0,
      start: 0,
      stop: 3,
      length: 2,
      total: 1,
      ends: 1,
    },
    { ...plain, env: 1, index: 0, start: 0, stop: 3, length: 2, total: 1 },
    {
      ...plain,
      env: 1,
      index: 1,
      start: 3,
      stop: 6,
      length: 1,
      total: 0.5,
      isRunning: true,
      idle: [5],
    },
    {
      ...plain,
      env: 0,
      index: 1,
      start: 4,
      stop: 6,
      length: 1,
      total: 0.5,
      isRunning: true,
    },
  ]);
  assert.deepEqual(steps.episodeAt(5, 0), [4, 6]);
  assert.equal(steps.episodeAt(3, 0), null);
  assert.deepEqual([steps.find(1, 1, 1), steps.find(1, 1, 2)], [4, null]);
});

test("a reward that is NaN is counted beside the return, and one that is missing is not", () => {
  const steps = new Steps(1);
  const rewards = [Number.NaN, 0, 1, Number.NaN, 1, Number.NaN];
  steps.append({
    start: 0,
    count: 6,
    kinds: new Uint8Array([0, 1, 1, 1, 1, 2]),
    ends: new Uint8Array([0, 0, 0, 8, 1, 0]),
    rewards: new Float64Array(rewards),
    envSteps: new Uint32Array([0, 1, 2, 3, 4, 4]),
  });

  const moments = rewards.map((_, row) => steps.at(row, 0));
  assert.deepEqual(
    moments.map(({ numNan }) => numNan),
    [0, 0, 0, 1, 1, 0],
  );
  assert.deepEqual(
    moments.map(({ isNan, ends }) => [isNan, ends]),
    [0, 0, 0, 8, 1, 0].map((flags) => [flags === 8, flags & 3]),
  );
  const { total, numNan, ends } = steps.episodes.at(0);
  assert.deepEqual([total, numNan, ends], [2, 1, 1]);
  const found = query(steps.episodes, { ...ANY, text: "nan" }, String);
  assert.deepEqual([...found], [0]);
  assert.equal(formatReturn(total, numNan), "2 (1 NaN)");
});
