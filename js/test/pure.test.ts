import assert from "node:assert/strict";
import { test } from "node:test";
import {
  emptyRect,
  fullRect,
  makeFrame,
  replace,
  xorInto,
} from "../src/decode/pixels.ts";
import { expand, reducedSize, reduceRect } from "../src/decode/rgba.ts";
import { cellsIn, insetIn } from "../src/playback/cells.ts";
import { Clock } from "../src/playback/clock.ts";
import {
  actual,
  cornerOf,
  heightOf,
  indicesIn,
  layOut,
  layOutAlone,
  movedPoint,
  partIn,
  pictureIn,
  tileAt,
  widthOf,
  zoomed,
} from "../src/playback/layout.ts";
import {
  ABSENT,
  DAMAGED,
  EQUAL,
  IDLE,
  INTRA,
  RAW,
  RESET,
  STEP,
  TERMINATED,
} from "../src/protocol/messages.ts";
import { ChunkCache } from "../src/recording/chunk-cache.ts";
import { Steps } from "../src/recording/steps.ts";
import { formatBytes, formatShort, formatValue } from "../src/view/format.ts";
import {
  actionOf,
  BINDINGS,
  isOfHost,
  isUndo,
  shortcutsOf,
} from "../src/view/keymap.ts";
import { isDark, parseColour } from "../src/view/scheme.ts";
import { randomOf } from "./film.ts";

// -- steps

/** One env's rows as [kind, ends, reward]. */
function stepsOf(rows: [number, number, number][]): Steps {
  const steps = new Steps(1);
  steps.append({
    start: 0,
    count: rows.length,
    kinds: Uint8Array.from(rows, ([kind]) => kind),
    ends: Uint8Array.from(rows, ([, ends]) => ends),
    rewards: Float64Array.from(rows, ([, , reward]) => reward),
    envSteps: new Uint32Array(rows.length),
  });
  return steps;
}

test("episodes and returns follow from kinds and ends, as in Python", () => {
  const nan = Number.NaN;
  const steps = stepsOf([
    [RESET, 0, nan],
    [STEP, 0, 1],
    [STEP, TERMINATED, 2],
    [IDLE, 0, nan],
    [STEP, 0, 5], // no reset was kept: the episode begins with a step
    [RESET, 0, nan], // and this one ends it without an end
  ]);

  const moments = [0, 1, 2, 3, 4, 5].map((row) => steps.at(row, 0));

  assert.deepEqual(
    moments.map((one) => one.episode),
    [0, 0, 0, -1, 1, 2],
  );
  assert.deepEqual(
    moments.map((one) => one.total),
    [0, 1, 3, nan, 5, 0],
  );
  assert.deepEqual(
    moments.map((one) => one.outcome),
    [0, 0, TERMINATED, TERMINATED, 0, 0],
  );
  assert.deepEqual(steps.endRows, [2]);
  assert.equal(steps.findEnd(0, 1, null), 2);
  assert.equal(steps.findEnd(2, 1, null), null);
  assert.equal(steps.findEnd(5, -1, 0), 2);
});

test("step rows may overlap what is here, but leave no gap", () => {
  const steps = stepsOf([
    [RESET, 0, 0],
    [STEP, 0, 1],
  ]);
  const rows = (start: number, count: number) => ({
    start,
    count,
    kinds: new Uint8Array(count).fill(STEP),
    ends: new Uint8Array(count),
    rewards: new Float64Array(count).fill(1),
    envSteps: new Uint32Array(count),
  });

  steps.append(rows(1, 3));

  assert.equal(steps.numRows, 4);
  assert.equal(steps.at(3, 0).total, 3);
  assert.throws(() => steps.append(rows(6, 1)), /expected step rows from 4 on, got 6/);
});

// -- chunks

function pieceOf(block: number, first: number, count: number) {
  return {
    block,
    slot: 0,
    width: 1,
    height: 1,
    first,
    kinds: new Array(count).fill(first ? EQUAL : RAW),
    records: new Array(count).fill(new Uint8Array(1)),
    repeatedRow: -1,
    numBytes: 100,
  };
}

test("pieces grow a chunk; a lost piece leaves it as it was", () => {
  const chunks = new ChunkCache(1e6);

  assert.equal(chunks.add(pieceOf(0, 0, 3)), true);
  assert.equal(chunks.add(pieceOf(0, 5, 1)), false);
  assert.equal(chunks.have(0, 0), 3);
  assert.equal(chunks.add(pieceOf(0, 2, 3)), true);
  assert.equal(chunks.have(0, 0), 5);
  assert.equal(chunks.add(pieceOf(0, 0, 4)), false);
  assert.equal(chunks.add(pieceOf(0, 0, 32)), true);
  assert.equal(chunks.have(0, 0), 32);
  assert.equal(chunks.numBytes, 100);
});

test("a chunk that is rendered bit by bit has gaps until it is whole", () => {
  const chunks = new ChunkCache(1e6);
  const common = { block: 0, slot: 0, height: 1, width: 1, numBytes: 1, first: 0 };
  const chunk = (kinds: number[]) => ({
    ...common,
    kinds,
    records: kinds.map(() => new Uint8Array(1)),
    repeatedRow: -1,
  });

  assert.equal(chunks.add(chunk([ABSENT, ABSENT, INTRA, ABSENT]), true), true);
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((row) => chunks.hasPicture(row, 0)),
    [undefined, undefined, true, undefined, undefined],
  );
  assert.deepEqual(chunks.missing([0], [0], 4), [[0, 0, 0]]);
  assert.equal(chunks.add(chunk([INTRA, INTRA, INTRA, ABSENT]), true), true);
  assert.equal(chunks.have(0, 0), 3);
  // It comes again from its first record on.
  assert.deepEqual(chunks.missing([0], [0], 4), [[0, 0, 0]]);
  assert.equal(chunks.add(chunk([INTRA, INTRA, INTRA, ABSENT])), true);
  assert.equal(chunks.hasPicture(3, 0), false);
  assert.deepEqual(chunks.missing([0], [0], 4), []);
});

test("a repeated picture is distinguished from one that stayed the same", () => {
  const chunks = new ChunkCache(1e6);
  const [said, silent] = [new Uint8Array(1), new Uint8Array(0)];
  const common = { block: 0, slot: 0, height: 1, width: 1, numBytes: 1 };

  chunks.add({
    ...common,
    first: 0,
    kinds: [ABSENT, EQUAL, INTRA, EQUAL, EQUAL],
    records: [silent, said, said, silent, said],
    repeatedRow: 2,
  });
  chunks.add({ ...common, first: 5, kinds: [EQUAL], records: [said], repeatedRow: -1 });

  const isLate = [0, 1, 2, 3, 4, 5, 6].map((row) => chunks.isRepeated(row, 0));
  assert.deepEqual(isLate, [false, false, true, false, true, true, false]);
});

test("chunks over the budget are evicted, the least recently used first", () => {
  const chunks = new ChunkCache(250);

  chunks.add(pieceOf(0, 0, 1));
  chunks.add(pieceOf(1, 0, 1));
  chunks.use(0, 0); // a row of the first
  chunks.add(pieceOf(2, 0, 1));

  assert.deepEqual(
    [0, 1, 2].map((block) => chunks.have(block, 0)),
    [1, 0, 1],
  );
  assert.equal(chunks.numBytes, 200);
});

// -- clock

function clockOf(numRows: number) {
  const time = { now: 0 };
  const clock = new Clock(() => time.now);
  clock.setBounds(0, numRows);
  const pass = (ms: number) => {
    time.now += ms;
    clock.tick(time.now);
  };
  return { clock, pass };
}

test("rows are due by time, however rarely the clock is asked", () => {
  const { clock, pass } = clockOf(1000);
  clock.fps = 50;

  clock.play();
  pass(1000);
  assert.equal(clock.row, 50);

  clock.setSpeed(2);
  pass(3010);
  assert.equal(clock.row, 351);
});

test("playing stops on the last row, and starts again from the first", () => {
  const { clock, pass } = clockOf(10);

  clock.play();
  pass(5000);
  assert.deepEqual([clock.row, clock.isPlaying], [9, false]);

  clock.play();
  assert.deepEqual([clock.row, clock.isPlaying], [0, true]);
});

test("a loop repeats the marked range, or all rows", () => {
  const { clock, pass } = clockOf(100);
  clock.fps = 10;

  clock.mark("in", 10);
  clock.mark("out", 19);
  clock.setLoop("range");
  clock.play();
  pass(1200);
  assert.deepEqual([clock.range, clock.row], [[10, 20], 12]);

  clock.setLoop("all");
  pass(9000);
  assert.equal(clock.row, 2);
});

test("new rows move the playhead only while it follows", () => {
  const { clock } = clockOf(10);

  clock.follow();
  clock.setBounds(0, 20);
  assert.equal(clock.row, 19);

  clock.step(-1);
  clock.setBounds(0, 30);
  assert.deepEqual([clock.row, clock.isFollowing], [18, false]);
});

test("rows outside the recording are its ends", () => {
  const { clock } = clockOf(10);

  clock.seek(99);
  assert.equal(clock.row, 9);
  clock.seek(-5);
  assert.equal(clock.row, 0);
});

test("rows that are damaged in the file end an episode, as in Python", () => {
  const nan = Number.NaN;
  const steps = stepsOf([
    [RESET, 0, nan],
    [STEP, 0, 1],
    [DAMAGED, 0, nan],
    [DAMAGED, 0, nan],
    [IDLE, 0, nan],
    [STEP, 0, 2],
    [STEP, TERMINATED, 3],
  ]);

  const numbers = [0, 1, 2, 3, 4, 5, 6].map((row) => steps.at(row, 0).episode);
  assert.deepEqual(numbers, [0, 0, -1, -1, -1, 1, 1]);
  assert.equal(steps.episodes.at(0).stop, 2);
  assert.equal(steps.episodes.at(0).isRunning, false);
  assert.equal(steps.at(6, 0).total, 5);
});

// -- layout

const PX = 1e-6;

test("tiles cover the grid and never overlap, and stay within the space", () => {
  const random = randomOf(1);
  for (let i = 0; i < 300; i++) {
    const count = 1 + Math.floor(random() * 70);
    const sizes = Array.from({ length: count }, () => ({
      width: 30 + Math.floor(random() * 700),
      height: 30 + Math.floor(random() * 500),
    }));
    const density = 1 + i / 200;
    const space = { width: 300 + random() * 1100, height: 500, density };
    const columns = i % 5 === 0 ? 3 : null;

    const layout = layOut(sizes, space, columns);
    const part = partIn(layout, { x: 0, y: 0, width: 1e6, height: 1e6 });
    const slots = sizes.map((_, index) => index);
    const cells = cellsIn(layout, slots, sizes, part, density);

    assert.ok(widthOf(layout) <= space.width + layout.columns);
    const isTiny = Math.max(layout.tileWidth, layout.tileHeight) < 60;
    if (columns === null && !isTiny)
      assert.ok(heightOf(layout) <= space.height + layout.rows);
    assert.ok(layout.columns * layout.rows >= count);
    assert.ok(layout.columns * (layout.rows - 1) < count);
    for (const [index, size] of sizes.entries()) {
      const cell = cells[index]!;
      const inset = insetIn(cell, size);
      assert.ok(inset.x >= 0 && inset.y >= 0);
      assert.ok(inset.x + reducedSize(size.width, cell.reduction) <= cell.width);
      const corner = cornerOf(layout, index);
      const picture = pictureIn(layout, size, density);
      assert.ok(picture.left >= 0 && picture.top >= 0);
      assert.ok(picture.left + picture.width <= layout.tileWidth + 1 + PX);
      assert.ok(picture.top + picture.height <= layout.tileHeight + 1 + PX);
      const middle = [
        corner.x + layout.tileWidth / 2,
        corner.y + layout.tileHeight / 2,
      ];
      assert.equal(tileAt(layout, count, middle[0]!, middle[1]!), index);
      // Never fewer pixels than the screen shows, where there are as many.
      if (cell.reduction > 1 && !layout.canvasGap)
        assert.ok(cell.width >= Math.floor(picture.width * density));
    }
    // On one canvas, whole pixels are between any two.
    if (layout.canvasGap)
      assert.equal(new Set(cells.map(({ x, y }) => `${x} ${y}`)).size, count);
  }
});

test("pictures have any scale, and the columns that make them largest", () => {
  const room = { width: 1354, height: 690, density: 1 };
  const cartPole = { width: 600, height: 400 };

  const one = layOut([cartPole], room);
  const sixteen = layOut(new Array(16).fill(cartPole), room);
  const pixelArt = layOut([{ width: 8, height: 8 }], room);

  assert.deepEqual([one.tileWidth, one.tileHeight], [999, 666]);
  assert.deepEqual([sixteen.columns, sixteen.rows, sixteen.reduction], [6, 3, 2]);
  assert.deepEqual([pixelArt.tileWidth, pixelArt.scale], [664, 83]);
});

test("a frame of another size is as large as its tile allows", () => {
  const sizes = [
    { width: 600, height: 400 },
    { width: 84, height: 84 },
  ];
  const layout = layOut(sizes, { width: 900, height: 500, density: 1 });

  const [large, small] = sizes.map((size) => pictureIn(layout, size, 1));

  assert.equal(large!.width, layout.tileWidth);
  assert.equal(small!.height, layout.tileHeight);
  assert.equal(actual(layout, 2, { width: 900, height: 500, density: 2 }).scale, 1);
});

test("a grid of tiny tiles scrolls, and one of narrow tiles has no captions", () => {
  const sizes = new Array(400).fill({ width: 160, height: 210 });
  const tiny = layOut(sizes, { width: 300, height: 300, density: 1 });
  const narrow = layOut(sizes.slice(0, 20), { width: 500, height: 300, density: 1 });

  assert.ok(tiny.tileHeight >= 40 && heightOf(tiny) > 300);
  assert.ok(narrow.tileWidth < 90 && narrow.caption === 0);
});

test("one alone is never reduced", () => {
  const size = { width: 600, height: 400 };
  const alone = layOutAlone(size, { width: 180, height: 300, density: 1 });

  assert.deepEqual([alone.reduction, alone.tileWidth], [1, 180]);
});

// -- pixels

test("what changed is within the rectangle, whatever the width", () => {
  const random = randomOf(2);
  for (let i = 0; i < 300; i++) {
    const [width, height] = [
      1 + Math.floor(random() * 9),
      1 + Math.floor(random() * 9),
    ];
    const [before, after, frame] = [0, 1, 2].map(() => makeFrame(width, height));
    const num = width * height * 3;
    for (let k = 0; k < num; k++) before!.bytes[k] = after!.bytes[k] = random() * 256;
    const changes = Math.floor(random() * 4);
    for (let k = 0; k < changes; k++)
      after!.bytes[Math.floor(random() * num)] = random() * 256;
    const delta = before!.words.map((word, k) => word ^ after!.words[k]!);
    frame!.words.set(before!.words);

    const rect =
      i % 3 === 0
        ? xorInto(frame!, delta)
        : i % 3 === 1
          ? replace(frame!, null, after!.words, fullRect(frame!))
          : replace(frame!, before!, delta, fullRect(frame!));

    assert.deepEqual(frame!.bytes, after!.bytes);
    for (let k = 0; k < num; k++) {
      const [x, y] = [Math.floor(k / 3) % width, Math.floor(k / 3 / width)];
      if (before!.bytes[k] !== after!.bytes[k])
        assert.ok(x >= rect.x0 && x < rect.x1 && y >= rect.y0 && y < rect.y1);
    }
    if (before!.bytes.every((byte, k) => byte === after!.bytes[k]))
      assert.deepEqual(rect, emptyRect());
  }
});

test("a reduced pixel is the mean of its square, an unreduced one exact", () => {
  const random = randomOf(3);
  for (const [width, height] of [
    [8, 6],
    [7, 5],
    [12, 3],
  ] as const) {
    const frame = makeFrame(width, height);
    for (let k = 0; k < width * height * 3; k++) frame.bytes[k] = random() * 256;
    for (const reduction of [1, 2, 3]) {
      const rect = reduceRect(frame, fullRect(frame), reduction);
      const [w, h] = [rect.x1 - rect.x0, rect.y1 - rect.y0];
      const out = new Uint32Array(w * h);

      expand(frame, rect, reduction, out);

      const shown = new Uint8Array(out.buffer);
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
          for (let c = 0; c < 3; c++) {
            let [sum, count] = [0, 0];
            for (let v = y * reduction; v < Math.min(height, (y + 1) * reduction); v++)
              for (
                let u = x * reduction;
                u < Math.min(width, (x + 1) * reduction);
                u++
              ) {
                sum += frame.bytes[(v * width + u) * 3 + c]!;
                count++;
              }
            const wrong = sum / count - shown[(y * w + x) * 4 + c]!;
            assert.ok(reduction === 1 ? wrong === 0 : wrong > -1 && wrong < 2);
            assert.equal(shown[(y * w + x) * 4 + 3], 255);
          }
    }
  }
});

// -- timeline, keys, numbers

test("each key does one thing, and letters ignore the shift key", () => {
  const press = (key: string, shiftKey = false, ctrlKey = false) =>
    actionOf({ key, shiftKey, ctrlKey, metaKey: false, altKey: false });

  assert.equal(press(" "), "toggle");
  assert.equal(press("ArrowLeft"), "back");
  assert.equal(press("ArrowLeft", true), "back10");
  assert.equal(press("?", true), "help");
  assert.equal(press("L", true), "faster");
  assert.deepEqual(
    [..."kjm,.<>"].map((key) => press(key)),
    [...["toggle", "slower", "bookmark", "back", "forward", "slower", "faster"]],
  );
  assert.deepEqual([press("f"), press("F", true)], ["full", "follow"]);
  assert.equal(press("7"), "tenth7");
  assert.equal(press("c", false, true), null);
  assert.equal(press("d"), null);
  const keys = BINDINGS.flatMap(({ codes, isShifted }) =>
    codes.map((code) => `${isShifted} ${code}`),
  );
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(shortcutsOf("toggle"), "Space K");
  assert.equal(shortcutsOf("back10"), "Shift+ArrowLeft");
});

test("Ctrl+Z undoes, and with Shift it is the host's", () => {
  const held = { ctrlKey: true, metaKey: false, altKey: false };

  assert.ok(isUndo({ ...held, key: "z", shiftKey: false }));
  assert.ok(!isUndo({ ...held, key: "Z", shiftKey: true }));
  assert.ok(!isUndo({ ...held, key: "z", shiftKey: false, altKey: true }));
});

test("keys with Ctrl, Alt or Meta are the host's, and those that run a cell", () => {
  const isHosts = (key: string, ...held: string[]) =>
    isOfHost({
      key,
      shiftKey: held.includes("shift"),
      ctrlKey: held.includes("ctrl"),
      metaKey: held.includes("meta"),
      altKey: held.includes("alt"),
    });

  assert.ok(isHosts("s", "ctrl") && isHosts("k", "meta") && isHosts("1", "alt"));
  assert.ok(isHosts("Enter", "shift") && isHosts("Enter", "ctrl") && isHosts("F5"));
  assert.ok(!isHosts("Enter") && !isHosts("s") && !isHosts("B", "shift"));
  assert.ok(!isHosts("[", "ctrl", "alt")); // AltGr
  assert.ok(isHosts("i", "ctrl", "alt"));
});

test("a ground is dark where white text is read on it", () => {
  const dark = (text: string) => isDark(parseColour(text)!);

  assert.ok(dark("rgb(30, 30, 30)") && dark("rgba(0, 0, 160, 0.9)"));
  assert.ok(!dark("rgb(250, 250, 250)") && !dark("rgb(255 220 0)"));
  assert.equal(parseColour("rgba(1, 2, 3, 0)")![3], 0);
  assert.equal(parseColour("color(display-p3 1 0 0)"), null);
});

test("numbers and bytes are rounded to be read", () => {
  assert.deepEqual([1, 0.1 + 0.2, -1234.5, 1e-7, Number.NaN].map(formatValue), [
    "1",
    "0.3",
    "\u22121235",
    "1.00e-7",
    "\u2013",
  ]);
  assert.deepEqual([512, 3_680_000, 52e6].map(formatBytes), [
    "1 kB",
    "3.7 MB",
    "52 MB",
  ]);
});

test("ends of a scale have six characters or so", () => {
  const values = [
    0, 19, -22.44, 4.038, -196_432, 1.25e7, 2.06e-5, -1e17, -2.06e-5, 8.16e-11,
    -8.16e-11, 5e299,
  ];
  assert.deepEqual(values.map(formatShort), [
    "0",
    "19",
    "\u221222.4",
    "4.04",
    "\u2212196k",
    "12.5M",
    "2.1e-5",
    "\u22121e17",
    "\u22122e-5",
    "8e-11",
    "\u22128e-11",
    "5e299",
  ]);
});

test("a window of the grid shows the tiles that it touches, and no other", () => {
  const random = randomOf(21);
  for (let i = 0; i < 200; i++) {
    const count = 1 + Math.floor(random() * 60);
    const sizes = Array.from({ length: count }, () => ({ width: 30, height: 20 }));
    const space = { width: 700, height: 400, density: 1 };
    const base = layOut(sizes, space);
    const layout = zoomed(base, count, 1 + random() * 6, space);
    const [x, y] = [random(), random()].map((n) =>
      Math.floor(n * heightOf(layout)),
    ) as [number, number];
    const window = { x, y, width: 300, height: 200 };

    const indices = indicesIn(layout, count, partIn(layout, window));

    const touched = sizes.flatMap((_, index) => {
      const { x: left, y: top } = cornerOf(layout, index);
      const isInside =
        left < x + 300 &&
        left + layout.tileWidth > x &&
        top < y + 200 &&
        top + layout.tileHeight + layout.caption > y;
      return isInside ? [index] : [];
    });
    for (const index of touched) assert.ok(indices.includes(index));
  }
});

test("a point stays on the same pixel of a picture when it is zoomed", () => {
  const sizes = new Array(9).fill({ width: 100, height: 50 });
  const space = { width: 900, height: 700, density: 1 };
  const base = layOut(sizes, space);
  const large = zoomed(base, 9, 3, space);
  const { x, y } = cornerOf(base, 4);

  const moved = movedPoint(base, large, {
    x: x + base.tileWidth / 4,
    y: y + base.tileHeight / 2,
  });

  const corner = cornerOf(large, 4);
  assert.equal(moved.x, corner.x + large.tileWidth / 4);
  assert.ok(moved.y > corner.y && moved.y < corner.y + large.tileHeight);
});

test("zoomed tiles have the pixels that are seen, up to all there are", () => {
  const sizes = Array.from({ length: 16 }, () => ({ width: 600, height: 400 }));
  const space = { width: 800, height: 600, density: 1 };
  const base = layOut(sizes, space);
  assert.equal(base.reduction, 3);

  assert.equal(zoomed(base, 16, 1, space), base);
  assert.equal(zoomed(base, 16, 1.7, space).reduction, 1);
  const deep = zoomed(base, 16, 8, space);
  assert.deepEqual([deep.reduction, deep.canvasGap], [1, 0]);
});

test("cameras of an env stay in one line", () => {
  const sizes = Array.from({ length: 10 }, () => ({ width: 40, height: 30 }));

  for (let width = 100; width < 1200; width += 50) {
    const { columns } = layOut(sizes, { width, height: 300, density: 1 }, null, 2);
    assert.equal(columns % 2, 0, `width ${width}`);
  }
});
