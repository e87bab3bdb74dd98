/** The way to the kernel: sends messages, and knows whether the kernel has ended. */

import type { ToKernel } from "../protocol/messages.ts";
import { Emitter } from "../util/emitter.ts";

export class Connection {
  readonly onCut = new Emitter();
  /** Null where there is no kernel. */
  readonly send: ((message: ToKernel) => void) | null;
  #isCut = false;

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

  cut(isCut: boolean): void {
    if (isCut === this.#isCut) return;
    this.#isCut = isCut;
    this.onCut.emit();
  }
}
