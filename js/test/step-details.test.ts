import assert from "node:assert/strict";
import { test } from "node:test";
import type { DetailsMessage, ToKernel } from "../src/protocol/messages.ts";
import { StepDetails } from "../src/recording/step-details.ts";
import { ViewOptions } from "../src/session/view-options.ts";

/** A page's details, the time that it sees, and what it asked. */
function asking() {
  const sent: ToKernel[] = [];
  const clock = { now: 0 };
  const details = new StepDetails(
    (message) => sent.push(message),
    () => clock.now,
  );
  return { sent, clock, details };
}

function answerOf(fields: Partial<DetailsMessage> = {}): DetailsMessage {
  return {
    kind: "details",
    env: 0,
    start: 0,
    count: 4,
    num_rows: 4,
    fields: [],
    fault: "",
    ...fields,
  };
}

const field = (name: string, shape: number[], rows: number[] | null = null) =>
  ({ name, dtype: "float32", shape, is_summary: false, format: "f4", rows }) as const;

const floats = (...numbers: number[]) =>
  new Uint8Array(new Float32Array(numbers).buffer);

test("each row has the numbers that were recorded in it", () => {
  const { details } = asking();

  details.take(answerOf({ fields: [field("obs", [2]), field("action", [], [1, 3])] }), [
    floats(0, 10, 1, 11, 2, 12, 3, -13),
    floats(5, 7),
  ]);

  const read = (row: number) =>
    details.at(row, 0)?.map((one) => [one.name, ...Array.from(one.numbers)]);
  assert.deepEqual(read(0), [["obs", 0, 10]]);
  assert.deepEqual(read(3), [
    ["action", 7],
    ["obs", 3, -13],
  ]);
  assert.deepEqual([...Array.from(details.at(0, 0)![0]!.scales)], [3, 13]);
  assert.equal(details.at(4, 0), null);
  assert.equal(details.at(0, 1), null);
});

test("numbers of texts have these beside them", () => {
  const { details } = asking();
  const room = { ...field("info.room", [], [1, 2]), dtype: "str", texts: ["b", "a"] };

  details.take(answerOf({ fields: [room] }), [floats(1, 0)]);

  const [value] = details.at(1, 0)!;
  assert.equal(value!.texts![value!.numbers[0]!], "a");
  assert.deepEqual(details.at(0, 0), []);
});

test("numbers that do not fit their form are refused", () => {
  const { details } = asking();

  assert.throws(
    () => details.take(answerOf({ fields: [field("obs", [2])] }), [floats(1)]),
    /expected 8 numbers of format f4/,
  );
});

test("what is here is not asked for, and one question is open at a time", () => {
  const { details, sent } = asking();

  details.want(40, 3, 100, "rests");
  details.want(70, 3, 100, "rests");
  assert.deepEqual(sent, [{ kind: "inspect", env: 3, start: 32 }]);

  details.take(answerOf({ env: 3, start: 32, count: 68, num_rows: 100 }), []);
  for (let row = 32; row < 100; row++) details.want(row, 3, 100, "rests");
  assert.equal(sent.length, 1);

  details.want(20, 3, 100, "rests");
  assert.equal(sent.length, 2);
});

test("while it moves at most one question a second is asked", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { details, sent, clock } = asking();

  // Answers of one row each: every row that is shown is missing.
  for (let row = 0; row < 180; row++) {
    clock.now = (row * 1000) / 60;
    details.want(row, 0, 1000, "moves");
    details.take(answerOf({ start: row, count: 1, num_rows: 1000 }), []);
  }

  assert.equal(sent.length, 3);
});

test("a playhead that rests too soon to ask again is notified when it may", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { details, sent, clock } = asking();
  details.want(0, 0, 1000, "follows");
  details.take(answerOf({ start: 0, count: 1, num_rows: 1 }), []);
  let numNotified = 0;
  details.onChange.on(() => {
    numNotified++;
    details.want(5, 0, 1000, "follows");
  });

  clock.now = 100;
  details.want(5, 0, 1000, "follows");
  assert.equal(sent.length, 1);
  clock.now = 300;
  t.mock.timers.tick(200);

  assert.equal(numNotified, 1);
  assert.equal(sent.length, 2);
});

test("the newest row is asked for again when a later one has come", () => {
  const { details, sent } = asking();
  details.take(answerOf({ start: 0, count: 4, num_rows: 4 }), []);

  details.want(3, 0, 4, "rests");
  assert.equal(sent.length, 0);
  details.want(3, 0, 5, "rests");

  assert.deepEqual(sent, [{ kind: "inspect", env: 0, start: 0 }]);
});

test("a question whose answer was lost is asked again", () => {
  const { details, sent, clock } = asking();
  details.want(0, 0, 4, "rests");

  clock.now = 20_000;
  details.want(0, 0, 4, "rests");

  assert.equal(sent.length, 2);
});

test("without a kernel nothing is asked", () => {
  const details = new StepDetails(null);

  details.want(0, 0, 4, "rests");

  assert.equal(details.canAsk, false);
  assert.equal(details.numAsked, 0);
});

test("old runs make room for new ones", () => {
  const { details } = asking();
  const wide = { ...field("x", [1024 * 1024]), format: "u1" as const, rows: [0] };
  const bytes = new Uint8Array(1024 * 1024);

  for (let env = 0; env < 40; env++)
    details.take(answerOf({ env, fields: [wide] }), [bytes]);

  assert.ok(details.numBytes <= 32 * 1024 * 1024);
  assert.equal(details.at(0, 0), null);
  assert.ok(details.at(0, 39));
});

test("overlays are on or off, and a saved state says which", () => {
  const viewOptions = new ViewOptions();
  assert.ok(viewOptions.shows("env") && !viewOptions.shows("action"));

  viewOptions.setOverlay("env", false);
  viewOptions.setOverlay("action", true);
  const reloaded = new ViewOptions();
  reloaded.restore(JSON.parse(JSON.stringify(viewOptions.now)));

  assert.equal(reloaded.now.hidden, "env reward");
  assert.ok(reloaded.shows("action") && !reloaded.shows("env"));
});

test("a state that another version saved changes nothing", () => {
  const viewOptions = new ViewOptions();

  viewOptions.restore({ panel: 3, unknown: 1 });
  viewOptions.restore(null);
  assert.equal(viewOptions.now.panel, "");

  viewOptions.restore({ panel: "inspector" });
  assert.deepEqual(viewOptions.now, { ...viewOptions.now, panel: "inspector" });
  assert.ok(!("unknown" in viewOptions.now));
});
