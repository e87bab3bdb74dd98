/**
 * The decoding worker's script; also run by pages that get no worker.
 *
 * It is in the bundle once, as a function, with the wasm inside.
 */

import { Decoder, type Task } from "./decoder.ts";

export { Decoder };

interface WorkerScope {
  postMessage(message: unknown, transfer?: ArrayBuffer[]): void;
  onmessage: ((event: { data: Task }) => void) | null;
}

declare const WorkerGlobalScope: (new () => object) | undefined;

const isWorker =
  typeof WorkerGlobalScope !== "undefined" && globalThis instanceof WorkerGlobalScope;
if (isWorker) serve(globalThis as unknown as WorkerScope);

function serve(scope: WorkerScope): void {
  const opened = Decoder.open();
  scope.onmessage = async ({ data }) => {
    try {
      const result = (await opened).run(data);
      scope.postMessage(result, [result.pixels]);
    } catch (error) {
      scope.postMessage({ id: data.id, error: String(error) });
    }
  };
}
