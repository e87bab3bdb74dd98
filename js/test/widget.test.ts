import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { ToKernel } from "../src/protocol/messages.ts";
import { openSession } from "../src/session/session.ts";
import { connect, type Model } from "../src/widget.ts";
import {
  bufferOf,
  chunkOf,
  filmOf,
  manifestOf,
  randomOf,
  stepBuffers,
} from "./film.ts";

class FakeModel implements Model {
  readonly sent: ToKernel[] = [];
  readonly saved: Record<string, unknown>[] = [];
  readonly traits: Record<string, unknown> = {
    playhead: 0,
    playing: false,
    speed: 1,
    loop: "off",
    selection: [],
    quality: "auto",
    bookmarks: [],
    _observed: [],
  };
  #changed: Record<string, unknown> = {};
  // biome-ignore lint/suspicious/noExplicitAny: as in Model
  readonly #listeners = new Map<string, Set<(...args: any[]) => void>>();

  get(name: string) {
    return this.traits[name];
  }
  set(name: string, value: unknown) {
    this.traits[name] = value;
    this.#changed[name] = value;
    this.emit(`change:${name}`);
  }
  save_changes() {
    this.saved.push(this.#changed);
    this.#changed = {};
  }
  on(event: string, callback: () => void) {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set()).add(callback));
  }
  off(event: string, callback: () => void) {
    this.#listeners.get(event)?.delete(callback);
  }
  send(content: ToKernel) {
    this.sent.push(content);
  }
  emit(event: string, ...args: unknown[]) {
    for (const listener of this.#listeners.get(event) ?? []) listener(...args);
  }
  /** What Python does when the user sets a trait. */
  setFromPython(name: string, value: unknown) {
    this.traits[name] = value;
    this.emit(`change:${name}`);
  }
  get numListeners() {
    return [...this.#listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }
  kinds(kind: ToKernel["kind"]) {
    return this.sent.filter((message) => message.kind === kind);
  }
}

const random = randomOf(11);
const SIZE = { width: 4, height: 4 };

const BEAT = { kind: "beat", session: "s", manifest: 0, about: 0, marks: 0 };

/** A page that knows `numRows` rows of one env, and has the first `numHere` of them. */
function pageOf(numRows: number, numHere = numRows, traits = {}) {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const model = new FakeModel();
  Object.assign(model.traits, traits);
  const ended = new AbortController();
  const session = connect(model, ended.signal);
  session.views.add(model);
  model.emit("msg:custom", manifestOf({ num_rows: numRows, is_live: true }), []);
  const film = filmOf(Math.min(32, numHere), 4, 4, random);
  const data = { kind: "data", seq: 0, num_rows: numRows, start: 0, count: numRows };
  const chunks = numHere ? bufferOf([[0, 0, chunkOf(film, { ...SIZE, random })]]) : [];
  model.emit("msg:custom", data, [
    ...stepBuffers(numRows, 1),
    numHere ? chunks : new ArrayBuffer(0),
  ]);
  return { model, session, ended };
}

test.afterEach(() => mock.timers.reset());

test("the page says hello and acknowledges data", () => {
  const { model, session } = pageOf(10);

  assert.equal(model.sent[0]?.kind, "hello");
  assert.deepEqual(model.kinds("ack"), [{ kind: "ack", seq: 0 }]);
  assert.deepEqual(session.errors, []);
  assert.equal(session.store.numRows, 10);
});

test("playing, scrubbing and stepping send nothing", () => {
  const { model, session } = pageOf(10);
  const before = model.sent.length;

  session.clock.play();
  session.clock.tick(performance.now() + 100);
  session.clock.seek(3);
  session.clock.step(1);
  mock.timers.tick(5000);

  assert.equal(model.sent.length, before);
  assert.deepEqual(model.saved, []);
});

test("the playhead is reported at most five times a second, and only while observed", () => {
  const { model, session } = pageOf(10);
  model.setFromPython("_observed", ["playhead"]);

  for (let ms = 0; ms < 1000; ms += 20) {
    session.clock.seek((ms / 20) % 10);
    mock.timers.tick(20);
  }
  session.clock.seek(7);
  mock.timers.tick(1000);

  assert.ok(model.saved.length <= 6, `${model.saved.length}`);
  assert.deepEqual(model.saved.at(-1), { playhead: 7 });
});

test("the selection is reported whenever it changes, and each bookmark alone", () => {
  const { model, session } = pageOf(10);
  model.setFromPython("bookmarks", [2]);

  session.marks.select([0]);
  session.bookmark(4);
  session.bookmark(2);
  session.unbookmark(4);
  session.unbookmark(5);
  mock.timers.tick(1000);

  assert.deepEqual(model.saved, [{ selection: [0] }]);
  assert.deepEqual(model.kinds("bookmark"), [{ kind: "bookmark", row: 4, note: null }]);
  assert.deepEqual(model.kinds("unbookmark"), [{ kind: "unbookmark", row: 4 }]);
  assert.deepEqual(session.marks.bookmarks, [2]);
});

test("two pages of one kernel keep each other's bookmarks and notes", () => {
  const pages = [pageOf(10), pageOf(10)] as const;
  const rows = new Map<number, string>();
  const [one, other] = pages;

  one.session.note(3, "slips");
  other.session.bookmark(7);
  other.session.bookmark(3);
  // What the kernel does with them, in this order, and says to every page.
  const sent = [one, other].flatMap(({ model }) => model.kinds("bookmark"));
  for (const { row, note } of sent as { row: number; note: string | null }[])
    rows.set(row, note ?? rows.get(row) ?? "");
  for (const { model } of pages) {
    model.setFromPython("bookmarks", [...rows.keys()]);
    const bookmarks = Object.fromEntries(rows);
    const data = { kind: "data", seq: 1, num_rows: 10, start: 10, count: 0, bookmarks };
    model.emit("msg:custom", data, stepBuffers(0, 1));
  }

  for (const { session } of pages) {
    assert.deepEqual(session.errors, []);
    assert.deepEqual(session.marks.bookmarks, [3, 7]);
    assert.equal(session.marks.notes.get(3), "slips");
  }
  other.session.unbookmark(7);
  assert.deepEqual(other.session.marks.bookmarks, [3]);
  assert.deepEqual(
    pages.map(({ model }) => model.saved),
    [[], []],
  );
});

test("what Python sets takes effect in the page, and is not reported back", () => {
  const { model, session } = pageOf(10);

  model.setFromPython("playhead", 5);
  model.setFromPython("speed", 4);
  model.setFromPython("loop", "all");
  model.setFromPython("selection", [0]);
  model.setFromPython("bookmarks", [3, 1]);
  model.setFromPython("playing", true);
  mock.timers.tick(1000);

  const { clock, marks } = session;
  assert.deepEqual([clock.row, clock.speed, clock.loop], [5, 4, "all"]);
  assert.deepEqual([marks.selection, clock.isPlaying], [[0], true]);
  assert.deepEqual(
    model.saved.filter((one) => "playhead" in one),
    [],
  );
});

test("goto moves the page back to where Python has it", () => {
  const { model, session } = pageOf(10);
  session.clock.seek(9);

  model.emit("msg:custom", { kind: "goto", row: 2 }, []);

  assert.equal(session.clock.row, 2);
});

test("chunks that stay missing are asked for, each once a second", () => {
  const now = mock.method(performance, "now", () => time);
  let time = 0;
  const { model, session } = pageOf(40, 0);
  session.visibleSlots.set({}, [0]);

  const asked = () => model.kinds("need").length;
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      time += 100;
      mock.timers.tick(100);
    }
  };
  pass(100);
  assert.equal(asked(), 0);
  pass(1000);
  const [need] = model.kinds("need") as { chunks: number[][] }[];
  assert.deepEqual(need?.chunks, [[0, 0, 0]]);
  const first = asked();
  pass(3000);
  assert.ok(asked() - first <= 2 * 4, `${asked()}`);
  now.mock.restore();
});

test("a session ends with its signal: no listener and no timer is left", () => {
  const { model, ended } = pageOf(10);
  const before = model.sent.length;

  ended.abort();
  mock.timers.tick(10_000);

  assert.equal(model.numListeners, 0);
  const after = model.sent.slice(before).map((message) => message.kind);
  assert.deepEqual(after, ["hidden"]);
});

test("a page without a view says so, and comes back without beginning anew", () => {
  const { model, session, ended } = pageOf(10);
  const kinds = (from: number) => model.sent.slice(from).map(({ kind }) => kind);
  let before = model.sent.length;
  mock.timers.tick(120_000);
  assert.deepEqual(kinds(before), []);

  session.views.clear();
  mock.timers.tick(120_000);
  assert.deepEqual(kinds(before), ["hidden"]);
  model.emit("msg:custom", { ...BEAT, num_rows: 12 }, []);
  mock.timers.tick(120_000);
  assert.deepEqual(kinds(before), ["hidden"]);

  before = model.sent.length;
  session.views.add(model);
  session.feed.show();
  session.feed.show();
  assert.deepEqual(kinds(before), ["hello"]);
  const hellos = model.kinds("hello") as { page: string; beginning: number }[];
  assert.deepEqual(hellos[0], hellos.at(-1));
  ended.abort();
});

test("a beat is answered with what is here, and what is lost is asked for", () => {
  let time = 0;
  const now = mock.method(performance, "now", () => time);
  const { model } = pageOf(10);
  const have = () => model.kinds("have").length;

  model.emit("msg:custom", { ...BEAT, num_rows: 10 }, []);
  assert.deepEqual(model.kinds("have").at(-1), {
    ...BEAT,
    kind: "have",
    page: (model.sent[0] as { page: string }).page,
    num_rows: 10,
  });
  const answered = have();
  for (; time < 60_000; time += 100) mock.timers.tick(100);
  assert.equal(have(), answered);

  model.emit("msg:custom", { ...BEAT, num_rows: 12 }, []);
  const before = have();
  for (; time < 120_000; time += 100) mock.timers.tick(100);
  assert.ok(have() - before >= 4 && have() - before <= 8, `${have() - before}`);
  now.mock.restore();
});

test("a dump is ordered and reported, and a download joined from its pieces", () => {
  const { model, session } = pageOf(10);
  const jobs = session.jobs!;
  const files: { name: string; parts: Uint8Array[] }[] = [];

  jobs.dump("mp4", { start: 0, stop: 10, envs: null });
  jobs.download("csv", { start: 2, stop: 5, envs: [1] }, (file) => files.push(file));
  const [dump] = model.kinds("dump") as { job: number }[];
  const [download] = model.kinds("download") as { job: number }[];
  const state = { kind: "job", progress: 1, message: "", paths: ["/a.mp4"] };
  model.emit("msg:custom", { ...state, job: dump!.job, state: "done" }, []);
  const piece = { kind: "file", job: download!.job, name: "a.csv", mime: "text/csv" };
  for (const [offset, text] of [
    [0, "ab"],
    [2, "c"],
  ] as const)
    model.emit("msg:custom", { ...piece, offset, total: 3 }, [Buffer.from(text)]);

  assert.deepEqual(jobs.list[0]?.paths, ["/a.mp4"]);
  assert.equal(Buffer.concat(files[0]!.parts).toString(), "abc");
});

test("a lost piece of a download fails it and says so", () => {
  const { model, session } = pageOf(10);
  const rows = { start: 0, stop: 10, envs: null };
  session.jobs!.download("csv", rows, () => assert.fail("no file"));
  const [download] = model.kinds("download") as { job: number }[];

  const piece = { kind: "file", job: download!.job, name: "a", mime: "b", total: 9 };
  model.emit("msg:custom", { ...piece, offset: 4 }, [Buffer.from("x")]);

  assert.equal(session.jobs!.list[0]?.state, "failed");
  assert.equal(model.kinds("cancel").length, 1);
});

test("jslink sees the playhead of a page that reports nothing to Python", () => {
  const { model, session } = pageOf(10);
  const seen: unknown[] = [];
  model.on("change:playhead", () => seen.push(model.get("playhead")));

  session.clock.seek(6);
  mock.timers.tick(1000);

  assert.deepEqual(seen, [6]);
  assert.deepEqual(model.saved, []);
});

class FakeStorage {
  readonly #items = new Map<string, string>();
  getItem(name: string) {
    return this.#items.get(name) ?? null;
  }
  setItem(name: string, value: string) {
    this.#items.set(name, value);
  }
}

test("a reloaded page is where it was, unless Python moved it since", (t) => {
  Object.assign(globalThis, { sessionStorage: new FakeStorage() });
  t.after(() => Reflect.deleteProperty(globalThis, "sessionStorage"));
  const before = pageOf(10, 10, { _key: "k" });
  before.session.clock.setSpeed(2);
  before.session.clock.setRange([3, 8]);
  before.session.clock.setLoop("range");
  before.session.clock.seek(7);
  before.ended.abort();

  const { clock } = pageOf(10, 10, { _key: "k" }).session;
  const moved = pageOf(10, 10, { _key: "k", playhead: 2, speed: 4 }).session.clock;
  const other = pageOf(10, 10, { _key: "other" }).session.clock;

  assert.deepEqual([clock.row, clock.speed, clock.loop], [7, 2, "range"]);
  assert.deepEqual(clock.range, [3, 8]);
  assert.deepEqual([moved.row, moved.speed], [2, 4]);
  assert.deepEqual([other.row, other.speed, other.range], [0, 1, null]);
});

test("a kernel that has ended is reported, and what is in the page still plays", () => {
  const { model, session } = pageOf(10);
  model.send = () => {
    throw new Error("Kernel is dead");
  };

  model.emit("comm_live_update");
  session.clock.seek(4);
  mock.timers.tick(60_000);

  assert.equal(session.isCut, true);
  assert.equal(session.clock.row, 4);
  assert.equal(session.store.hasRow(4, [0]), true);
  assert.deepEqual(session.errors, []);
  model.emit("msg:custom", { kind: "goto", row: 2 }, []);
  assert.equal(session.isCut, false);
});

test("a model without a view frees its pictures", () => {
  const { session } = pageOf(10);
  session.visibleSlots.set(session, [0]);
  mock.timers.tick(60_000);
  assert.ok(session.store.chunks.numBytes > 0);

  session.visibleSlots.clear();
  mock.timers.tick(60_000);

  assert.equal(session.store.chunks.numBytes, 0);
});

test("the page's counts are sent when they are asked for", () => {
  const { model } = pageOf(10);

  model.emit("msg:custom", { kind: "stats" }, []);

  const [stats] = model.kinds("stats") as { counts?: Record<string, number> }[];
  assert.equal(stats?.counts?.decodes, 0);
  assert.ok(stats.counts!.nbytes! > 0);
});

test("a page of another version than the kernel says to reload", () => {
  const session = openSession(() => {}, "2.0");

  session.take(manifestOf({ version: "1.0" }), []);

  assert.match(session.errors[0]!, /rollout_viewer 2.0, the kernel of 1.0.*reload/);
});

test("a selection made before the first rows does not report row 0 to Python", () => {
  mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const model = new FakeModel();
  model.traits.playhead = 7;
  const session = connect(model, new AbortController().signal);

  session.marks.select([1]);

  assert.deepEqual(model.saved, [{ selection: [1] }]);
  assert.equal(model.get("playhead"), 7);
});
