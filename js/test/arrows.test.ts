import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

/** The floor of each folder of js/src; imports lead to a lower floor, or stay inside. */
const FLOORS: Record<string, number> = {
  util: 1,
  protocol: 1,
  recording: 2,
  decode: 3,
  playback: 4,
  session: 5,
  view: 6,
  ".": 7, // the entry files
};

interface Arrow {
  from: string;
  line: number;
  to: string;
}

const SPECIFIER = /(?:\bfrom|\bimport|\bimport\()\s*["'](\.{1,2}\/[^"']+)["']/g;

/** Every import and re-export of a file, types included. */
function arrowsOf(from: string, text: string): Arrow[] {
  return Array.from(text.matchAll(SPECIFIER), ({ index, 0: found, 1: specifier }) => ({
    from,
    line: text.slice(0, index + found.length).split("\n").length,
    to: normalize(join(dirname(from), specifier!)),
  }));
}

function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : ".";
}

/** The arrows that lead up, or to the other side, as lines to read. */
function upward(arrows: readonly Arrow[]): string[] {
  const leadsUp = ({ from, to }: Arrow) =>
    folderOf(from) !== folderOf(to) &&
    !(FLOORS[folderOf(to)]! < FLOORS[folderOf(from)]!);
  return arrows
    .filter(leadsUp)
    .map(({ from, line, to }) => `src/${from}:${line} imports src/${to}`);
}

/** The first cycle of imports; []: there is none. */
function cycleIn(arrows: readonly Arrow[]): string[] {
  const next = new Map<string, Arrow[]>();
  for (const arrow of arrows)
    next.set(arrow.from, [...(next.get(arrow.from) ?? []), arrow]);
  const done = new Set<string>();
  const visit = (file: string, path: readonly Arrow[]): Arrow[] => {
    const start = path.findIndex(({ from }) => from === file);
    if (start >= 0) return path.slice(start);
    if (done.has(file)) return [];
    for (const arrow of next.get(file) ?? []) {
      const cycle = visit(arrow.to, [...path, arrow]);
      if (cycle.length) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of next.keys()) {
    const cycle = visit(file, []);
    if (cycle.length)
      return cycle.map(({ from, line, to }) => `src/${from}:${line} imports src/${to}`);
  }
  return [];
}

// npm test runs in js/
const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"));
const arrows = files.flatMap((path) =>
  arrowsOf(path, readFileSync(join("src", path), "utf8")),
);

test("every import leads to a lower floor or stays in its folder", () => {
  assert.ok(arrows.length > files.length);
  assert.deepEqual(upward(arrows), []);
});

test("every folder has its floor, and every import its file", () => {
  const folders = new Set(files.map(folderOf));

  assert.deepEqual([...folders].sort(), Object.keys(FLOORS).sort());
  assert.deepEqual(
    arrows.filter(({ to }) => !files.includes(to)),
    [],
  );
});

test("no files import each other in a circle", () => {
  assert.deepEqual(cycleIn(arrows), []);
});

test("an arrow that leads up or round is found, with its line", () => {
  const text =
    'import type { A } from "../util/a.ts";\nexport {\n  b,\n} from "../view/b.ts";';
  const found = arrowsOf("session/c.ts", text);

  assert.deepEqual(upward(found), ["src/session/c.ts:4 imports src/view/b.ts"]);
  assert.deepEqual(
    cycleIn([...found, ...arrowsOf("view/b.ts", 'import "../session/c.ts";')]),
    [
      "src/session/c.ts:4 imports src/view/b.ts",
      "src/view/b.ts:1 imports src/session/c.ts",
    ],
  );
});

test("exported types have one meaning: no name is exported twice", () => {
  const seen = new Map<string, string>();
  const twice: string[] = [];
  for (const path of files) {
    const text = readFileSync(join("src", path), "utf8");
    for (const [, name] of text.matchAll(/^export (?:interface|type|class) (\w+)/gm)) {
      if (seen.has(name!)) twice.push(`${name}: src/${seen.get(name!)}, src/${path}`);
      seen.set(name!, path);
    }
  }

  assert.deepEqual(twice, []);
});
