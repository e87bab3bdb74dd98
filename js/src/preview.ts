/**
 * Previews for a thin link: small videos of the tiles in sight, marked as not exact.
 *
 * A part of its own, which few pages need: the kernel sends it where a link is thin, and
 * view/grid/preview-part.ts loads it.
 */

export { createPreviews } from "./session/previews/source.ts";
