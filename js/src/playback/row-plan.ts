/** What has to be decoded to show a row, of all slots together. */

import { type DecoderState, NOTHING, plan } from "../decode/decode-plan.ts";
import type { SlotPlan } from "../decode/worker-pool.ts";
import { CHUNK_ROWS } from "../protocol/messages.ts";
import type { Store } from "../recording/store.ts";
import type { Size } from "./layout.ts";

/** What the decoders hold and the canvas shows; a plan changes it. */
export interface DrawnSlots {
  readonly states: Map<number, DecoderState>;
  /** The recorder's slot of the frame that a decoder holds. */
  readonly recorded: Map<number, number>;
  /** Slots whose picture is on the canvas, or on its way. */
  readonly slots: Set<number>;
}

export interface RowPlan {
  plans: SlotPlan[];
  /** The size of each slot's picture in `plans`. */
  sizes: Map<number, Size>;
  /** Slots that are drawn anew: their cells may have the rest of another size. */
  renewed: number[];
  /** Slots without a picture in this row. */
  absent: number[];
  /** Slots whose records are not here yet. */
  missing: number[];
}

export function planRow(
  store: Store,
  row: number,
  slots: readonly number[],
  reductionOf: (slot: number) => number,
  drawn: DrawnSlots,
): RowPlan {
  const found: RowPlan = {
    plans: [],
    sizes: new Map(),
    renewed: [],
    absent: [],
    missing: [],
  };
  const { chunks } = store;
  for (const slot of slots) {
    const at = store.recordedSlotAt(row, slot);
    const hasPicture = at !== null && chunks.hasPicture(at.row, at.slot);
    const chunk = at && chunks.use(at.row, at.slot);
    if (at && (hasPicture === undefined || !chunk)) {
      found.missing.push(slot);
    } else if (!chunk || !hasPicture) {
      found.absent.push(slot);
      drawn.slots.delete(slot);
    } else {
      // Frames of another env or size are not what the deltas are taken from.
      const isOther = drawn.recorded.get(slot) !== at.slot;
      const before = (!isOther && drawn.states.get(slot)) || NOTHING;
      const { ops, state } = plan(chunk, at.row % CHUNK_ROWS, before);
      const isFull = isOther || !drawn.slots.has(slot);
      drawn.states.set(slot, state);
      drawn.recorded.set(slot, at.slot);
      drawn.slots.add(slot);
      const size = store.recorded.manifest!.slots[at.slot]!;
      const { width, height } = size;
      if (isFull) found.renewed.push(slot);
      if (ops.length || isFull) {
        const reduction = reductionOf(slot);
        found.plans.push({ slot, width, height, reduction, isFull, ops });
        found.sizes.set(slot, size);
      }
    }
  }
  return found;
}
