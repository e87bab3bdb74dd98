/** Callbacks that are told when something changed; each goes with its signal. */
export class Emitter {
  readonly #listeners = new Set<() => void>();

  on(listener: () => void, signal?: AbortSignal): void {
    if (signal?.aborted) return;
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
  }

  emit(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
