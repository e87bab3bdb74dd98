/** Calls listeners when something changed; each is removed when its signal aborts. */
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
