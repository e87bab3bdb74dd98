/**
 * The page without a kernel: plays what is stored in its own document.
 *
 * rollout_viewer/_export/html.py writes an element `[data-rollout-viewer]` and a script
 * `.rollout-viewer-message` for each message: JSON with its buffers in base64.
 */

import type { FromKernel } from "./protocol/messages.ts";
import { openSession } from "./session/session.ts";
import { mountViewer } from "./view/viewer.ts";

export function startStandalone(document: Document | undefined): void {
  const host = document?.querySelector<HTMLElement>("[data-rollout-viewer]");
  if (!document || !host) return;
  host.textContent = "";
  const session = openSession(null);
  mountViewer(host, session, new AbortController().signal);
  const scripts = document.querySelectorAll("script.rollout-viewer-message");
  const next = (index: number) => {
    const script = scripts[index];
    if (!script) return;
    const { message, buffers } = JSON.parse(script.textContent ?? "") as {
      message: FromKernel;
      buffers: string[];
    };
    script.remove(); // its text is as large as what it holds
    session.take(message, buffers.map(fromBase64));
    // The first rows are seen before the last ones are read.
    setTimeout(next, 0, index + 1);
  };
  next(0);
}

function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
