/** The wasm that zstddec carries, as build.mjs takes it out of the package; deflated. */
declare module "zstddec-wasm" {
  const bytes: Uint8Array;
  export default bytes;
}

/**
 * The decoding worker (worker.ts), bundled on its own as a function that needs nothing
 * around it: its text is a script.
 */
declare module "decoder-script" {
  export default function runScript(): typeof import("./worker.ts");
}
