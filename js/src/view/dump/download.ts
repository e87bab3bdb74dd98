/** Files that the page hands to the browser. */

import { make } from "../dom.ts";

/** A download may begin so long after its click. */
const BEGIN_MS = 60_000;

/** Hand a file to the browser, as a download. */
export function offer(
  file: { name: string; mime: string; parts: Uint8Array<ArrayBuffer>[] },
  signal: AbortSignal,
): void {
  const url = URL.createObjectURL(new Blob(file.parts, { type: file.mime }));
  const link = make("a", { href: url, download: file.name });
  link.click();
  // The browser reads it after the click.
  const timer = setTimeout(() => URL.revokeObjectURL(url), BEGIN_MS);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    URL.revokeObjectURL(url);
  });
}
