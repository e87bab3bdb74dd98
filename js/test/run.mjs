/** Bundles js/test into js/dist/test and runs it with node's own runner. */

import { spawnSync } from "node:child_process";
import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { common } from "../build.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "../dist/test");
const names = (await readdir(here)).filter((name) => name.endsWith(".test.ts"));

await rm(out, { recursive: true, force: true });
await build({
  ...common,
  minify: false,
  sourcemap: "inline",
  platform: "node",
  entryPoints: names.map((name) => join(here, name)),
  outdir: out,
  outExtension: { ".js": ".mjs" },
});
const files = names.map((name) => join(out, name.replace(/\.ts$/, ".mjs")));
const flags = [
  "--test",
  "--enable-source-maps",
  "--no-warnings",
  "--test-reporter=dot",
];
// The tests read ../tests/golden from here, wherever they are started.
const { status } = spawnSync(process.execPath, [...flags, ...files], {
  cwd: join(here, ".."),
  stdio: "inherit",
});
process.exitCode = status ?? 1;
