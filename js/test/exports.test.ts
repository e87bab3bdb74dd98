import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { exportsOf } from "../src/exports.ts";
import { openSession } from "../src/session/session.ts";
import { choicesOf } from "../src/view/dump/chosen-rows.ts";
import { createWidget, type Model } from "../src/widget.ts";
import { manifestOf, stepBuffers } from "./film.ts";

/** A session of 10 rows of 2 envs, and what it offers; frames are drawn by `draw()`. */
function opened() {
  const frames: (() => void)[] = [];
  globalThis.requestAnimationFrame = (callback) => frames.push(callback as () => void);
  const session = openSession(null);
  session.take(manifestOf({ num_rows: 10, num_envs: 2, slots: [] }), []);
  const data = { kind: "data", seq: 0, num_rows: 10, start: 0, count: 10 };
  const infos = {
    episodes: [[1, 0, 0]],
    infos: [{ success: false, labels: { late: true } }],
  };
  const [kinds, ends, rewards] = stepBuffers(10, 2);
  kinds!.fill(0, 0, 2); // the first row of both is a reset
  const envSteps = Uint32Array.from({ length: 20 }, (_, at) => at >> 1);
  const steps = [kinds!, ends!, rewards!, new Uint8Array(envSteps.buffer)];
  session.take({ ...data, ...infos } as never, steps);
  const ended = new AbortController();
  const draw = () => {
    for (const frame of frames.splice(0)) frame();
  };
  return { session, ended, draw, viewer: exportsOf(session, ended.signal) };
}

test("selected tiles are written over the range", () => {
  const { viewer, session } = opened();
  const choices = () => choicesOf(session).map(({ text, rows }) => [text, rows]);
  viewer.goTo({ env: 1, episode: 0, step: 3 }); // selects it

  const tiles = { start: 0, stop: 10, envs: [1] };
  assert.deepEqual(choices().at(-1), ["Selected: env 1", tiles]);

  session.clock.setRange([2, 6]);
  const over = { start: 2, stop: 6, envs: [1] };
  assert.deepEqual(choices().at(-1), ["Selected: env 1, rows 2\u20135", over]);
  assert.deepEqual(choices()[1], ["Range 2\u20135", { ...over, envs: null }]);
});

test("another widget goes to rows and steps, and selects envs", () => {
  const { viewer, session } = opened();

  viewer.goTo(4);
  assert.deepEqual([viewer.state().row, viewer.state().env], [4, null]);
  viewer.goTo({ env: 1, episode: 0, step: 3 });
  assert.deepEqual(viewer.state(), {
    row: 3,
    env: 1,
    selection: [1],
    isPlaying: false,
    speed: 1,
    numRows: 10,
    numEnvs: 2,
    episode: 0,
    step: 3,
  });
  viewer.select([0, 1, 1]);
  assert.deepEqual(viewer.state().selection, [0, 1]);
  viewer.play();
  assert.equal(session.clock.isPlaying, true);
  viewer.pause();
  assert.equal(viewer.state().isPlaying, false);
});

test("the episodes are there with their labels", () => {
  const { viewer } = opened();

  const episodes = viewer.episodes();

  assert.equal(episodes.length, 2);
  const { labels, start, length, terminated, ...rest } = episodes[1]!;
  assert.deepEqual([rest.env, rest.index, start, length], [1, 0, 0, 9]);
  assert.deepEqual(labels, { late: true });
  assert.equal(terminated, false);
  assert.deepEqual([episodes[0]!.success, rest.success], [null, false]);
});

test("what is not there is refused, and moves nothing", () => {
  const { viewer } = opened();
  viewer.goTo(2);

  for (const [target, text] of [
    [10, /goTo: a row of 0 to 9 was expected, got 10/],
    [-1, /got -1/],
    [{ row: 1.5 }, /got 1.5/],
    [{ row: 3, env: 2 }, /an env of 0 to 1/],
    [{ env: 0, episode: 4 }, /no step 0 in episode 4/],
    [{ env: 0 }, /expected a row, or an episode/],
    [null, /expected a row, or an episode/],
  ] as const)
    assert.throws(() => viewer.goTo(target as never), text);
  assert.throws(() => viewer.select([7]), /select: an env of 0 to 1/);

  assert.equal(viewer.state().row, 2);
  assert.deepEqual(viewer.state().selection, []);
});

test("a follower is called once a frame, until it ends or the viewer does", () => {
  const { viewer, draw, ended } = opened();
  const [one, two] = [[] as number[], [] as number[]];
  const end = viewer.follow(({ row }) => one.push(row));
  viewer.follow(({ row }) => two.push(row));
  draw();

  viewer.goTo(3);
  viewer.goTo(5);
  draw();
  draw();
  end();
  viewer.goTo(6);
  draw();
  ended.abort();
  viewer.goTo(7);
  draw();

  assert.deepEqual(one, [0, 5]);
  assert.deepEqual(two, [0, 5, 6]);
});

test("a follower that ended leaves no listener with the page", () => {
  const { viewer, ended } = opened();
  const { signal } = ended;
  const left = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  signal.addEventListener = (type: string, listener: never, options?: never) => {
    left.add(listener);
    const until = (options as AddEventListenerOptions | undefined)?.signal;
    until?.addEventListener("abort", () => left.delete(listener));
    add(type, listener, options);
  };

  const before = left.size;
  for (let i = 0; i < 10; i += 1) viewer.follow(() => {})();

  assert.equal(left.size, before);
});

test("a follower that raises is reported, and the viewer goes on", () => {
  const { viewer, draw } = opened();
  const reported = mock.method(console, "error", () => {});
  const rows: number[] = [];
  viewer.follow(() => {
    throw new Error("mine");
  });
  viewer.follow(({ row }) => rows.push(row));

  viewer.goTo(1);
  draw();

  assert.equal(reported.mock.callCount(), 1);
  assert.deepEqual(rows, [1]);
  reported.mock.restore();
});

test("it is offered where anywidget passes a signal, else a function that ends", () => {
  mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const model: Model = {
    get: (name) => ({ selection: [], bookmarks: [], _observed: [], speed: 1 })[name],
    set() {},
    save_changes() {},
    on() {},
    off() {},
    send() {},
  };
  const ended = new AbortController();

  const offered = createWidget().initialize({ model, signal: ended.signal });
  const end = createWidget().initialize({ model });

  assert.deepEqual(Object.keys(offered).sort(), [
    "episodes",
    "follow",
    "goTo",
    "pause",
    "play",
    "select",
    "state",
  ]);
  assert.equal(typeof end, "function");
  ended.abort();
  (end as () => void)();
  mock.timers.reset();
});
