/** The way to the kernel: sends messages, and knows whether it is busy or has ended. */

import type { ToKernel } from "../protocol/messages.ts";
import { Emitter } from "../util/emitter.ts";

export class Connection {
  readonly onCut = new Emitter();
  /** Null where there is no kernel. */
  readonly send: ((message: ToKernel) => void) | null;
  #isCut = false;
  #isBusy = false;
  #isSilent = false;

  constructor(wire: ((message: ToKernel) => void) | null) {
    this.send =
      wire &&
      ((message) => {
        try {
          wire(message);
        } catch {
          this.cut(true); // a comm without its kernel throws
        }
      });
  }

  /** The kernel has ended: nothing more can be asked for. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** A cell has been running for a while, where the host shows that. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  setBusy(isBusy: boolean): void {
    if (isBusy === this.#isBusy) return;
    this.#isBusy = isBusy;
    this.onCut.emit();
  }

  /** The kernel has not answered at all, for so long that it may never do. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  setSilent(isSilent: boolean): void {
    if (isSilent === this.#isSilent) return;
    this.#isSilent = isSilent;
    this.onCut.emit();
  }

  cut(isCut: boolean): void {
    if (isCut === this.#isCut) return;
    this.#isCut = isCut;
    this.onCut.emit();
  }
}
