/**
 * Runs a script in Pyodide, in this folder:
 *
 *   node run.mjs PYODIDE NODE_MODULES SITE_PACKAGES SCRIPT [ARGUMENT...]
 *
 * PYODIDE has npm's package of it, and with it Pyodide's wheels, whose checksums are in
 * that package. What is pure Python comes from SITE_PACKAGES.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [folder, modules, packages, script, ...args] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(folder, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: resolve(folder) });
await python.loadPackage(["numpy", "pillow", "sqlite3"], { messageCallback: () => {} });
python.registerJsModule("fzstd", createRequire(join(modules, "x"))("fzstd"));
const mount = (path, at) => {
  python.FS.mkdirTree(at);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: resolve(path) }, at);
  return at;
};
// Not the checkout itself: its folder `js` would be in place of Pyodide's module.
mount(join(here, "../../rollout_viewer"), "/host/root/rollout_viewer");
const path = [mount(here, "/host/tests"), "/host/root", mount(packages, "/host/packages")];
mount(".", "/host/here");
python.globals.set("added", python.toPy(path));
python.globals.set("args", python.toPy(args));
python.runPython(
  "import os, sys; os.chdir('/host/here'); sys.path += added; sys.argv[1:] = args",
);
try {
  await python.runPythonAsync(readFileSync(script, "utf8"));
  process.exit(0); // whatever its event loop still waits for
} catch (error) {
  console.error(error.message); // its stack has a line of Pyodide's, a megabyte long
  process.exit(1);
}
