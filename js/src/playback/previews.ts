/** What stands in for pictures that are not here, over a thin link (src/preview.ts). */

import type { DataMessage, WireBuffer } from "../protocol/messages.ts";

/** A part of an image, for a slot's whole picture; null: the row has no picture. */
export interface StandIn {
  slot: number;
  image: CanvasImageSource | null;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Previews {
  has(row: number, slot: number): boolean;
  /** Those of slots that it has. */
  read(row: number, slots: readonly number[]): Promise<readonly StandIn[]>;
}

export interface PreviewSource extends Previews {
  /** Take those of a message, and the buffer that has them. */
  take(message: DataMessage, bytes: WireBuffer): void;
  /** Tell the kernel what is looked at; call it now and then. */
  watch(slots: readonly number[]): void;
}
