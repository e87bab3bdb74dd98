/** The wasm that zstddec carries, as build.mjs takes it out of the package; deflated. */
declare module "zstddec-wasm" {
  const bytes: Uint8Array;
  export default bytes;
}

/** The decoding worker, bundled on its own, as the text of a module. */
declare module "worker-source" {
  const source: string;
  export default source;
}
