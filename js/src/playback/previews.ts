/** What stands in for pictures that are not here, over a thin link (src/preview.ts). */

import type { DataMessage, WireBuffer } from "../protocol/messages.ts";

/** What is shown for a slot's whole picture. */
export interface StandIn {
  slot: number;
  /** Draw it, scaled to a rectangle; nothing, where the row has no picture. */
  draw(
    context: CanvasRenderingContext2D,
    x: number,
    y: number,
    width: number,
    height: number,
  ): void;
}

export interface Previews {
  has(row: number, slot: number): boolean;
  /** Those of slots that it has, and that decode. */
  read(row: number, slots: readonly number[]): Promise<readonly StandIn[]>;
}

export interface PreviewSource extends Previews {
  /** Take those of a message, and the buffer that has them. */
  take(message: DataMessage, bytes: WireBuffer): void;
  /** Tell the kernel what is looked at; call it now and then. */
  watch(slots: readonly number[]): void;
}
