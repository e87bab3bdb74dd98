import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { alignEpisodes } from "../src/recording/arrangement.ts";
import { formatHash, goToLink, parseHash } from "../src/session/link.ts";
import { openSession, type Session } from "../src/session/session.ts";
import { csvOfSteps } from "../src/view/dump/step-table.ts";
import { manifestOf, stepBuffers } from "./film.ts";

function openWith(numRows: number): Session {
  const session = openSession(null);
  session.take(manifestOf({ num_rows: numRows, slots: [] }), []);
  const data = { kind: "data", seq: 0, num_rows: numRows, start: 0, count: numRows };
  session.take(data as never, stepBuffers(numRows, 1));
  return session;
}

test("bookmarks, notes and labels are undone one after the other", () => {
  const session = openWith(10);
  const { marks, undo } = session;
  session.bookmark(3);
  session.note(3, "here");
  session.unbookmark(3);
  session.label(0, 0, "failure", true);
  session.label(0, 0, "failure", null);

  undo.undo();
  assert.deepEqual(session.store.steps.episodes.labels(0, 0), { failure: true });
  undo.undo();
  assert.deepEqual(session.store.steps.episodes.labels(0, 0), {});
  undo.undo();
  assert.equal(marks.notes.get(3), "here");
  undo.undo();
  assert.equal(marks.notes.get(3), "");
  assert.equal(undo.undo()?.text, "Bookmarked row 3");
  assert.deepEqual(marks.bookmarks, []);
  assert.equal(undo.undo(), null);
});

test("a dragged range is one step, and an arrangement brings its range back", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const session = openWith(10);
  const { clock, undo } = session;
  for (const stop of [4, 5, 6]) clock.setRange([2, stop]);
  mock.timers.tick(1000);
  clock.setRange([2, 9]);
  assert.equal(undo.last?.text, "Range of rows 2\u20138"); // before it came to rest

  undo.undo();
  assert.deepEqual(clock.range, [2, 6]);
  session.arrange(alignEpisodes(session.store.steps.episodes, [0]));
  assert.equal(clock.range, null);
  undo.undo();
  assert.equal(session.store.arrangement, null);
  assert.deepEqual(clock.range, [2, 6]);
  undo.undo();
  assert.equal(clock.range, null);
  mock.timers.tick(1000);
  assert.equal(undo.last, null);
  mock.timers.reset();
});

test("a place is read from an address as it was written there", () => {
  const place = { row: 866, env: 3, range: [10, 21] as [number, number] };

  assert.equal(formatHash(place), "#row=866&env=3&range=10-20");
  assert.deepEqual(parseHash("#row=866&env=3&range=10-20"), place);
  assert.deepEqual(parseHash("#row=5&range=9-"), { row: 5, env: null, range: null });
  assert.equal(parseHash("#section-2"), null);
  const session = openWith(10);
  goToLink(session, { row: 7, env: 99, range: [2, 5] });
  assert.deepEqual([session.clock.row, session.clock.range], [7, [2, 5]]);
});

test("the step table has a line for each row and env, with the columns of a dump", () => {
  const lines = csvOfSteps(openWith(3).store.steps, { start: 1, stop: 3, envs: null })
    .trimEnd()
    .split("\n");

  assert.match(lines[0]!, /^row,env,kind,episode,episode_step,reward,total_reward,/);
  assert.equal(lines.length, 3);
  assert.match(lines[1]!, /^1,0,1,0,\d+,[\d.]*,[\d.]*,False,False$/);
});
