/**
 * The connection to the kernel, as far as a host shows it: JupyterLab's and Notebook's.
 *
 * Others have no `widget_manager.kernel`; then nothing is known, and nothing is assumed.
 */

interface Signal {
  connect(slot: () => void): unknown;
  disconnect(slot: () => void): unknown;
}

interface Kernel {
  isDisposed?: boolean;
  status?: string;
  connectionStatusChanged?: Signal;
}

/** Long enough for a manager to have sent all of its widgets' state again. */
const RESENT_MS = 15_000;

export class KernelLink {
  readonly #manager: unknown;
  #kernel: Kernel | null = null;
  #changedAt = Number.NEGATIVE_INFINITY;
  readonly #changed = () => {
    this.#changedAt = performance.now();
  };

  constructor(manager: unknown, signal: AbortSignal) {
    this.#manager = manager;
    this.update();
    signal.addEventListener("abort", () =>
      this.#kernel?.connectionStatusChanged?.disconnect(this.#changed),
    );
  }

  /** Look again: a notebook may have another kernel since. */
  update(): void {
    const kernel = kernelOf(this.#manager) ?? null;
    if (kernel === this.#kernel) return;
    this.#kernel?.connectionStatusChanged?.disconnect(this.#changed);
    if (this.#kernel) this.#changed();
    this.#kernel = kernel;
    kernel?.connectionStatusChanged?.connect(this.#changed);
  }

  /** A kernel that was shut down sends nothing; its connection shows it. */
  get isGone(): boolean {
    const kernel = kernelOf(this.#manager);
    if (kernel === undefined) return false;
    return !kernel || kernel.isDisposed === true || kernel.status === "dead";
  }

  get isBusy(): boolean {
    return kernelOf(this.#manager)?.status === "busy";
  }

  /** The connection was made anew just now: traits may be sent again as they were. */
  get isNew(): boolean {
    return performance.now() - this.#changedAt < RESENT_MS;
  }
}

/** The kernel of a widget manager; null: it has none now; undefined: it shows none. */
function kernelOf(manager: unknown): Kernel | null | undefined {
  if (!manager || typeof manager !== "object" || !("kernel" in manager))
    return undefined;
  return (manager.kernel as Kernel | null | undefined) ?? null;
}
