/**
 * Parts of the page that are loaded when they are used (src/mp4.ts, src/compare.ts):
 * packed, stored in the page by an HTML export, else sent by the kernel.
 */

/** Written by rollout_viewer/_export/document.py: raw deflate in base64. */
export function storedPart(name: string): Element | null {
  return document.querySelector(`script.rollout-viewer-part-${name}`);
}

/** Unpack a module and import it. */
export async function importPart<T>(part: Element | BlobPart): Promise<T> {
  const packed = part instanceof Element ? fromBase64(part.textContent ?? "") : part;
  const unpacking = new DecompressionStream("deflate-raw");
  const script = new Blob([packed]).stream().pipeThrough(unpacking);
  const bytes = await new Response(script).arrayBuffer();
  const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  try {
    return (await import(url)) as T;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
}
