import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { NOTHING, plan } from "../src/decode/decode-plan.ts";
import { Decoder } from "../src/decode/decoder.ts";
import { pack } from "../src/decode/worker-pool.ts";
import type {
  ColumnMessage,
  DataMessage,
  FromKernel,
} from "../src/protocol/messages.ts";
import {
  parseChunk,
  parseChunks,
  parseNumbers,
  parseSteps,
} from "../src/protocol/parse.ts";
import { openSession } from "../src/session/session.ts";

const GOLDEN = "../tests/golden";

function golden(name: string): { message: FromKernel; buffers: Buffer[] } {
  const { message, buffers } = JSON.parse(readFileSync(`${GOLDEN}/${name}`, "utf8"));
  return {
    message,
    buffers: buffers.map((text: string) => Buffer.from(text, "base64")),
  };
}

test("every golden message is understood", () => {
  const session = openSession(null);
  const first = golden("manifest.json");
  session.take(first.message, first.buffers);

  for (const name of readdirSync(GOLDEN).filter((one) => one.endsWith(".json"))) {
    const { message, buffers } = golden(name);
    session.take(message, buffers);
  }

  assert.deepEqual(session.errors, []);
  assert.equal(session.store.numRows, 4);
});

test("golden numbers of an env and of a column are those that Python wrote", () => {
  const session = openSession(null);
  const names = ["manifest.json", "data.json", "details.json", "column.json"];
  for (const { message, buffers } of names.map(golden)) session.take(message, buffers);

  const read = (row: number) =>
    session.details.at(row, 1)?.map((one) => [one.name, ...Array.from(one.numbers)]);

  assert.deepEqual(read(2), [
    ["action", -3],
    ["obs", 2, 0.25],
  ]);
  assert.deepEqual(read(3), [["obs", 3, 0.25]]);
  const { message, buffers } = golden("column.json");
  const numbers = parseNumbers("f4", 2 * (message as ColumnMessage).count, buffers[0]);
  assert.deepEqual([...numbers], [1, -1, 2, -2, 3, -3, Number.NaN, Number.NaN]);
});

test("golden step data has the kinds, ends, rewards and steps that Python wrote", () => {
  const { message, buffers } = golden("data.json");

  const steps = parseSteps(message as DataMessage, 2, buffers);

  assert.deepEqual([...steps.kinds], [0, 0, 1, 1, 1, 0, 3, 1]);
  assert.deepEqual([...steps.ends], [0, 0, 0, 1, 2, 0, 1, 0]);
  assert.deepEqual(
    [...steps.rewards],
    [Number.NaN, Number.NaN, 1, -0.5, 0.25, Number.NaN, 2, 3],
  );
  assert.deepEqual([...steps.envSteps], [0, 0, 1, 1, 2, 0, 1, 1]);
});

test("golden chunks decode to the pixels that Python recorded", async () => {
  const { buffers } = golden("data.json");
  const decoder = await Decoder.open();
  const [first, second] = parseChunks(buffers[4]!);

  const show = (chunk: typeof first, index: number) => {
    const held = { ...chunk!, shown: 0, isPending: false, version: 0 };
    const { ops } = plan(held, index, NOTHING);
    const slot = { slot: chunk!.slot, width: 6, height: 4, reduction: 1, isFull: true };
    const { pixels } = decoder.run(pack(0, [{ ...slot, ops }], null));
    return [...new Uint8Array(pixels)].filter((_, i) => i % 4 !== 3);
  };

  const frame = new Array(72).fill(0);
  frame.splice((6 + 2) * 3, 3, 10, 20, 30);
  assert.deepEqual(show(first, 0), frame);
  frame.splice(69, 3, 255, 255, 255);
  assert.deepEqual(show(first, 1), frame);
  assert.deepEqual(show(second, 0), new Array(72).fill(0));
  assert.deepEqual(show(second, 2), [...new Array(72).keys()]);
});

test("buffers at any offset are read where they begin", () => {
  const { message, buffers } = golden("data.json");
  const shifted = buffers.map((buffer) => {
    const wide = new Uint8Array(buffer.length + 3);
    wide.set(buffer, 3);
    return new DataView(wide.buffer, 3);
  });

  assert.deepEqual(
    parseSteps(message as DataMessage, 2, shifted),
    parseSteps(message as DataMessage, 2, buffers),
  );
  assert.deepEqual(parseChunks(shifted[4]!), parseChunks(buffers[4]!));
});

test("damaged bytes are refused, with what to do", () => {
  const { message, buffers } = golden("data.json");

  assert.throws(() => parseChunk(0, 0, new Uint8Array(20)), /do not begin like one/);
  assert.throws(() => parseChunks(buffers[4]!.subarray(0, 30)), /Reload the page/);
  assert.throws(
    () => parseSteps(message as DataMessage, 3, buffers),
    /Reload the page/,
  );
});

test("an unknown kind of message, or another protocol, is reported", () => {
  const session = openSession(null);
  const { message } = golden("manifest.json");

  session.take({ kind: "gibberish" } as never, []);
  session.take({ ...message, protocol: 2 } as never, []);

  assert.match(session.errors[0]!, /unknown message kind: gibberish/);
  assert.match(session.errors[1]!, /reload the page/);
});
