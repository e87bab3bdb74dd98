/** Moving the playhead: a real slider over the whole plot, and the wheel. */

import type { Clock } from "../../playback/clock.ts";
import { CHUNK_ROWS } from "../../protocol/messages.ts";
import { listen, make, setAttribute } from "../dom.ts";

/** The slider, whose thumb is the playhead. */
export function createScrub(clock: Clock, signal: AbortSignal) {
  const el = make("input", {
    type: "range",
    class: "rv-scrub",
    step: 1,
    min: 0,
    max: 0,
    value: 0,
    "aria-label": "Row",
    "data-lm-suppress-shortcuts": "true",
  });
  listen(el, "input", signal, () => clock.seek(Number(el.value)));

  const update = () => {
    const [first, stop] = clock.bounds;
    setAttribute(el, "min", String(first));
    setAttribute(el, "max", String(Math.max(first, stop - 1)));
    if (el.value !== String(clock.row)) el.value = String(clock.row);
    const last = Math.max(0, stop - 1);
    setAttribute(el, "aria-valuetext", `row ${clock.row} of ${last}`);
  };
  return { el, update };
}

/** The wheel steps by a row, with shift by a chunk. */
export function stepByWheel(
  plot: HTMLElement,
  clock: Clock,
  signal: AbortSignal,
): void {
  const step = (event: WheelEvent) => {
    const { deltaX, deltaY } = event;
    const amount = Math.abs(deltaX) > Math.abs(deltaY) ? deltaX : deltaY;
    if (!amount || event.ctrlKey) return;
    event.preventDefault();
    clock.step(Math.sign(amount) * (event.shiftKey ? CHUNK_ROWS : 1));
  };
  listen(plot, "wheel", signal, step, { passive: false });
}
