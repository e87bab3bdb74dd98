/** Starting a decoding worker in whichever way a page allows. */

import runScript from "decoder-script";

const TYPE = "text/javascript";

/**
 * Return what starts a worker, each time in the next way; null: the page refuses all.
 *
 * Some pages have no blob: addresses, and policies of others (VS Code's) allow only
 * data:. `onError`: also of a worker that is refused after it was made.
 */
export function startWorker(
  onAnswer: (event: MessageEvent) => void,
  onError: (text: string) => void,
  signal: AbortSignal,
): () => Worker | null {
  const ways = [startFromBlob, startFromData];
  return () => {
    for (let start = ways.shift(); start; start = ways.shift()) {
      try {
        const worker = start(`(${runScript})()`, signal);
        worker.onmessage = onAnswer;
        worker.onerror = (event) => {
          event.preventDefault();
          if (!signal.aborted) onError(event.message);
        };
        signal.addEventListener("abort", () => worker.terminate());
        return worker;
      } catch {
        // Refused at once: the next way.
      }
    }
    return null;
  };
}

function startFromBlob(script: string, signal: AbortSignal): Worker {
  const url = URL.createObjectURL(new Blob([script], { type: TYPE }));
  signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  return new Worker(url);
}

function startFromData(script: string): Worker {
  return new Worker(`data:${TYPE},${encodeURIComponent(script)}`);
}
