/**
 * Parts of the page that are loaded when they are used (src/mp4.ts, src/compare.ts):
 * packed, stored in the page by an HTML export, else sent by the kernel.
 */

const TYPE = "text/javascript";

/** Written by rollout_viewer/_export/document.py: raw deflate in base64. */
export function storedPart(name: string): Element | null {
  return document.querySelector(`script.rollout-viewer-part-${name}`);
}

/** Unpack a module and import it; throws where the page's policy refuses that. */
export async function importPart<T>(part: Element | BlobPart): Promise<T> {
  const packed = part instanceof Element ? fromBase64(part.textContent ?? "") : part;
  const unpacking = new DecompressionStream("deflate-raw");
  const script = new Blob([packed]).stream().pipeThrough(unpacking);
  const text = await new Response(script).text();
  const url = URL.createObjectURL(new Blob([text], { type: TYPE }));
  try {
    return (await import(url)) as T;
  } catch {
    // Some policies allow this alone.
    return (await import(`data:${TYPE},${encodeURIComponent(text)}`)) as T;
  } finally {
    URL.revokeObjectURL(url);
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
}
