/** A wire that loses, doubles, cuts and reorders: in the end the page has every row. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { FromKernel, ToKernel, WireBuffer } from "../src/protocol/messages.ts";
import { allVisibleSlots, openSession, type Session } from "../src/session/session.ts";
import {
  bufferOf,
  chunkOf,
  filmOf,
  manifestOf,
  type Random,
  randomOf,
  stepBuffers,
} from "./film.ts";

const ROWS_AT_ONCE = 7;
const NUM_SEEDS = process.env.FAULTS === "long" ? 100 : 6;
const NUM_ROWS = 200;
const SIZE = { width: 4, height: 4 };

type Sent = [FromKernel, WireBuffer[]];

/** Sends like rollout_viewer/_viewer/stream.py, as far as this test goes. */
class Kernel {
  numRows = 0;
  isLive = true;
  numbers = { manifest: 0, num_rows: 0, about: 0, marks: 0 };
  notes: Record<string, string> = {};
  readonly chunks: Uint8Array[];
  #wanted: [number, number, number][] = [];
  #manifest = "";
  #isConfirmed = false;
  #seq = 0;

  constructor(random: Random) {
    this.chunks = Array.from({ length: Math.ceil(NUM_ROWS / 32) }, (_, block) =>
      chunkOf(filmOf(Math.min(32, NUM_ROWS - 32 * block), 4, 4, random), {
        ...SIZE,
        random,
      }),
    );
  }

  take(message: ToKernel): void {
    const { numbers } = this;
    if (message.kind === "need") this.#wanted.push(...message.chunks);
    if (message.kind === "hello") this.#manifest = "";
    if (message.kind !== "have") return;
    const have =
      message.session === "s" ? message : { ...message, num_rows: 0, about: 0 };
    this.#isConfirmed =
      have.session === "s" &&
      have.manifest >= numbers.manifest &&
      have.marks >= numbers.marks &&
      have.num_rows >= this.numRows &&
      have.about >= this.numRows;
    if (have.session !== "s" || have.manifest < numbers.manifest) this.#manifest = "";
    if (have.session !== "s" || have.marks < numbers.marks) this.#notesSent = "";
    numbers.num_rows = Math.min(numbers.num_rows, have.num_rows);
    numbers.about = Math.min(numbers.about, have.about);
  }

  #notesSent = "{}";

  send(): Sent | null {
    const { numbers, numRows, isLive } = this;
    if (this.#manifest !== `${isLive}`) {
      this.#manifest = `${isLive}`;
      this.#isConfirmed = false;
      numbers.manifest++;
      const number = numbers.manifest;
      const about = { session: "s", num_rows: numRows, is_live: isLive, number };
      return [manifestOf(about), []];
    }
    const start = numbers.num_rows;
    const count = Math.min(ROWS_AT_ONCE, numRows - start);
    const notes = JSON.stringify(this.notes);
    const wanted = this.#wanted.splice(0, 2).filter(([n]) => n < this.chunks.length);
    if (!count && notes === this.#notesSent && !wanted.length) {
      if (this.#isConfirmed) return null;
      return [{ kind: "beat", session: "s", ...numbers }, []];
    }
    this.#isConfirmed = false;
    const data: FromKernel = {
      kind: "data",
      seq: this.#seq++,
      session: "s",
      num_rows: numRows,
      start,
      count,
    };
    if (count) {
      // Each row says something of the episode that it is in.
      data.about = [numbers.about, start + count];
      data.infos = [{ segment: `${start + count}` }];
      data.episodes = [[0, 0, 0]];
      numbers.num_rows = numbers.about = start + count;
    }
    if (notes !== this.#notesSent) {
      this.#notesSent = notes;
      data.bookmarks = this.notes;
      data.marks = ++numbers.marks;
    }
    const chunks = bufferOf(wanted.map(([n, slot]) => [n, slot, this.chunks[n]!]));
    return [data, [...stepBuffers(count, 1), chunks]];
  }
}

function cut([message, buffers]: Sent, random: Random): Sent {
  const short = buffers.map((buffer) => {
    const bytes = new Uint8Array(buffer as ArrayBuffer);
    return bytes.slice(0, Math.floor(bytes.length * random()));
  });
  return [message, short];
}

/** Hand over what was sent, as a bad wire does. */
class Wire {
  readonly #random: Random;
  #late: (() => void)[] = [];
  isBad = true;

  constructor(random: Random) {
    this.#random = random;
  }

  carry(arrive: () => void, arriveCut?: () => void): void {
    const what = this.isBad ? this.#random() : 1;
    if (what < 0.15) return;
    if (what < 0.25) this.#late.push(arrive);
    else if (what < 0.3 && arriveCut) arriveCut();
    else arrive();
    if (what > 0.25 && what < 0.4) arrive();
    if (!this.isBad || this.#random() < 0.3)
      for (const late of this.#late.splice(0)) late();
  }
}

for (let seed = 1; seed <= NUM_SEEDS; seed++)
  test(`a page on a bad wire has every row in the end (seed ${seed})`, () => {
    let now = 0;
    const clock = mock.method(performance, "now", () => now);
    const random = randomOf(seed * 7919);
    const wire = new Wire(random);
    const kernel = new Kernel(random);
    const session: Session = openSession((message) =>
      wire.carry(() => kernel.take(structuredClone(message))),
    );
    session.visibleSlots.set({}, [0]);
    session.feed.hello();

    for (let round = 0; round < 4000; round++) {
      now += 50;
      if (round % 5 === 0) kernel.numRows = Math.min(NUM_ROWS, kernel.numRows + 3);
      if (round === 150) kernel.notes = { 4: "here" };
      if (round === 340) kernel.notes = {};
      if (round === 350) kernel.isLive = false;
      if (round % 10 === 0) session.clock.seek(Math.floor(random() * NUM_ROWS));
      const sent = kernel.send();
      if (sent)
        wire.carry(
          () => session.take(...sent),
          () => session.take(...cut(sent, random)),
        );
      session.feed.askForMissing(allVisibleSlots(session));
    }
    clock.mock.restore();

    assert.equal(session.store.numRows, NUM_ROWS);
    assert.equal(session.store.manifest?.is_live, false);
    assert.equal(session.marks.notes.size, 0);
    const { episodes } = session.store.recorded.steps;
    assert.equal(episodes.info(0, 0).segment, `${NUM_ROWS}`);
    assert.ok(session.store.hasRow(session.clock.row, [0]));
    assert.equal(kernel.send(), null, "the kernel knows that the page has it");
    assert.deepEqual(session.errors, []);
  });
