/**
 * js/src -> rollout_viewer/static: widget.js, one ES module with all it needs inside,
 * widget.css, and modules that are loaded when they are used: mp4.js, which only exported
 * pages have, for who saves a video, compare.js, for who looks at an evaluation, and
 * preview.js, for links that are too thin for exact pictures.
 *
 * The worker is bundled first and embedded in the module as a function, whose text is the
 * script of a worker; zstddec's wasm is taken out of its package and embedded in it,
 * deflated. Of Lucide's icons those that are imported are.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { deflateRawSync } from "node:zlib";
import { build } from "esbuild";
import { toBase85 } from "./to-base85.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const lucide = readFile(
  join(here, "node_modules/@iconify-json/lucide/icons.json"),
  "utf8",
).then(JSON.parse);

/** What icons.ts gives the SVG itself, and each of its shapes need not repeat. */
const STROKE =
  /\s(?:fill="none"|stroke="currentColor"|stroke-(?:linecap|linejoin)="round"|stroke-width="2")/g;

/**
 * Tags and attributes of the shapes in an SVG, of a path its `d` alone; no page parses
 * text as elements.
 */
function shapesOf(body) {
  const shapes = body.replace(STROKE, "").matchAll(/<([a-z]+)((?: [^<>]*)?)\/>/g);
  return Array.from(shapes, ([, tag, text]) => {
    const pairs = text.matchAll(/([\w-]+)="([^"]*)"/g);
    const attributes = Array.from(pairs, ([, name, value]) => [name, value]);
    const isPlainPath =
      tag === "path" && String(attributes.map(([name]) => name)) === "d";
    return isPlainPath ? attributes[0][1] : [tag, Object.fromEntries(attributes)];
  });
}

/** Resolves "zstddec-wasm", "decoder-script" and "lucide:...", which are no files. */
export const embedded = {
  name: "embedded",
  setup(on) {
    on.onResolve(
      { filter: /^(zstddec-wasm|decoder-script|lucide:.*)$/ },
      ({ path }) => ({
        path,
        namespace: "embedded",
      }),
    );
    on.onLoad({ filter: /^zstddec-wasm$/, namespace: "embedded" }, async () => {
      const text = await readFile(
        join(here, "node_modules/zstddec/dist/zstddec.mjs"),
        "utf8",
      );
      const base64 = /["'`](AGFzbQ[A-Za-z0-9+/=]+)["'`]/.exec(text)?.[1];
      if (!base64)
        throw new Error("build: zstddec carries its wasm in another way now");
      const bytes = Buffer.from(base64, "base64");
      const small = deflateRawSync(bytes, { level: 9, memLevel: 9 });
      const letters = JSON.stringify(toBase85(small));
      const contents = `import { fromBase85 } from "./base85.ts";
        export default fromBase85(${letters}, ${small.length});`;
      return { contents, loader: "js", resolveDir: join(here, "src/decode") };
    });
    on.onLoad({ filter: /^lucide:/, namespace: "embedded" }, async ({ path }) => {
      const { icons } = await lucide;
      const body = icons[path.slice("lucide:".length)]?.body;
      if (!body) throw new Error(`build: Lucide has no icon ${path}`);
      return { contents: JSON.stringify(shapesOf(body)), loader: "json" };
    });
    on.onLoad({ filter: /^decoder-script$/, namespace: "embedded" }, async () => {
      const { outputFiles } = await build({
        ...common,
        entryPoints: [join(here, "src/decode/worker.ts")],
        write: false,
      });
      const { text } = outputFiles[0];
      const exported = /export\s*\{\s*(\w+)(?: as Decoder)?,?\s*\};?\s*$/;
      if (!exported.test(text))
        throw new Error("build: expected decode/worker.ts to export Decoder last");
      const body = text.replace(exported, "return { Decoder: $1 };");
      const contents = `export default function () { "use strict"; ${body} }`;
      return { contents, loader: "js" };
    });
  },
};

/** The same in fewer letters. */
const SHORTER = { "Number.POSITIVE_INFINITY": "Infinity", "Number.NaN": "NaN" };

export const common = {
  define: SHORTER,
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  minify: true,
  plugins: [embedded],
  logLevel: "warning",
};

/** The page compares it with the kernel's. */
async function version() {
  const text = await readFile(join(here, "../rollout_viewer/_version.py"), "utf8");
  const found = /^__version__ = "(.+)"$/m.exec(text)?.[1];
  if (!found)
    throw new Error("build: expected __version__ in rollout_viewer/_version.py");
  return found;
}

/** The set of icons comes without this text. */
const ISC = `ISC License

Copyright (c) OWNER

Permission to use, copy, modify, and/or distribute this software for any
purpose with or without fee is hereby granted, provided that the above
copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES
WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF
MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR
ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF
OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.`;

/** The licences of the code inside ask for their text: each is there once. */
async function licenses() {
  const read = (path) => readFile(join(here, "node_modules", path), "utf8");
  // Its own, MIT's, and that of the zstd in it.
  const zstddec = await read("zstddec/LICENSE");
  if (!/BSD License[\s\S]*?DAMAGE\./.test(zstddec))
    throw new Error("build: zstddec carries zstd's licence in another way now");
  const texts = [
    `zstddec\n\n${zstddec}`,
    `fzstd\n\n${withoutTermsOf(zstddec, await read("fzstd/LICENSE"))}`,
    `Lucide\n\n${ISC.replace("OWNER", "Lucide Icons and Contributors")}`,
  ];
  return `/*! Parts of this file:\n\n${texts.join("\n\n").replaceAll("*/", "* /")}\n*/`;
}

/** An MIT licence whose terms are in another text already: who grants it. */
function withoutTermsOf(other, license) {
  const plain = (text) => text.replace(/\s+/g, " ").trim();
  const terms = license.slice(license.indexOf("Permission is hereby granted"));
  const granted = license.slice(0, license.length - terms.length).trim();
  return plain(other).includes(plain(terms))
    ? `${granted} (its terms: above)`
    : license;
}

/** Mozilla's licence asks for where its sources are. */
async function mediabunny() {
  const text = await readFile(join(here, "node_modules/mediabunny/package.json"));
  const { version } = JSON.parse(text);
  return (
    `/*! Parts of this file: Mediabunny ${version}, Mozilla Public License 2.0, its ` +
    `sources: https://www.npmjs.com/package/mediabunny/v/${version} */`
  );
}

export async function buildPage(folder) {
  await mkdir(folder, { recursive: true });
  await build({
    ...common,
    entryPoints: [join(here, "src/mp4.ts")],
    outfile: join(folder, "mp4.js"),
    banner: { js: await mediabunny() },
  });
  for (const part of ["compare", "preview"])
    await build({
      ...common,
      entryPoints: [join(here, `src/${part}.ts`)],
      outfile: join(folder, `${part}.js`),
    });
  const { outputFiles } = await build({
    ...common,
    entryPoints: {
      widget: join(here, "src/index.ts"),
      "widget.style": join(here, "src/widget.css"),
    },
    outdir: folder,
    write: false,
    define: { ...SHORTER, ROLLOUT_VIEWER_VERSION: JSON.stringify(await version()) },
    banner: { js: await licenses() },
  });
  for (const file of outputFiles) {
    const name = file.path.endsWith(".css") ? "widget.css" : "widget.js";
    await writeFile(join(folder, name), file.contents);
    console.log(`${name} ${(file.contents.length / 1000).toFixed(1)} kB`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  await buildPage(join(here, "../rollout_viewer/static"));
