/** Files that the page hands to the browser. */

import { make, onAbort } from "../dom.ts";

/** A download may begin so long after its click. */
const BEGIN_MS = 60_000;

/** Hand a file to the browser, as a download. */
export function offer(
  file: { name: string; mime: string; parts: Uint8Array<ArrayBuffer>[] },
  signal: AbortSignal,
): void {
  const blob = new Blob(file.parts, { type: file.mime });
  const click = (href: string) => make("a", { href, download: file.name }).click();
  let url: string;
  try {
    url = URL.createObjectURL(blob);
  } catch {
    // A page without such addresses: the file itself is one, of any browser.
    const reader = new FileReader();
    reader.onload = () => click(String(reader.result));
    reader.readAsDataURL(blob);
    return;
  }
  click(url);
  // The browser reads it after the click.
  const timer = setTimeout(() => URL.revokeObjectURL(url), BEGIN_MS);
  onAbort(signal, () => {
    clearTimeout(timer);
    URL.revokeObjectURL(url);
  });
}
