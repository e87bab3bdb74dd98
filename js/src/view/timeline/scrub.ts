/** The playhead: a line through all tracks, and the real slider that moves it. */

import type { Clock } from "../../playback/clock.ts";
import { CHUNK_ROWS } from "../../protocol/messages.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { inspectedEnv } from "../side/inspector.ts";

/** How many rows each key of the slider moves the playhead. */
const STEPS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageUp: -CHUNK_ROWS,
  PageDown: CHUNK_ROWS,
};

/** The slider of all rows: for keys, and for those who do not see the line. */
export function createScrub(session: Session, signal: AbortSignal) {
  const { clock } = session;
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
  stepByKeys(el, clock, signal);
  const update = () => {
    const [first, stop] = clock.bounds;
    setAttribute(el, "min", String(first));
    setAttribute(el, "max", String(Math.max(first, stop - 1)));
    if (el.value !== String(clock.row)) el.value = String(clock.row);
    setAttribute(el, "aria-valuetext", placeText(session));
  };
  return { el, update };
}

function stepByKeys(el: HTMLElement, clock: Clock, signal: AbortSignal): void {
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    const rows = STEPS[event.key];
    if (!rows || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey)
      return;
    event.preventDefault();
    event.stopPropagation();
    clock.step(rows);
  });
}

/** Row, episode and step, in words. */
function placeText(session: Session): string {
  const { store, clock } = session;
  const text = `row ${clock.row} of ${Math.max(0, clock.bounds[1] - 1)}`;
  const env = inspectedEnv(session);
  if (clock.row >= store.numRows || env >= store.steps.numEnvs) return text;
  const { episode, envStep } = store.steps.at(clock.row, env);
  return episode < 0 ? text : `${text}, episode ${episode}, step ${envStep}`;
}

/** The line with its row, at pixels from the left edge of the plot. */
export function createPlayhead() {
  const flag = make("span", { class: "rv-flag" });
  const el = make("div", { class: "rv-playhead", "aria-hidden": "true" }, flag);
  let [shownX, shownSlide] = [Number.NaN, ""];
  const place = (x: number, width: number, row: number) => {
    const isInSight = x > -0.5 && x < width - 0.5;
    if (el.hidden === isInSight) el.hidden = !isInSight;
    if (!isInSight) return;
    setText(flag, `row ${formatCount(row)}`);
    if (x !== shownX) el.style.transform = `translateX(${x}px)`;
    // Near an edge the flag is beside the line, so that all of it is in sight.
    const near = Math.min(1, x / EDGE_PX) - Math.min(1, (width - x) / EDGE_PX);
    const slide = `translateX(${-50 * (1 + near)}%)`;
    if (slide !== shownSlide) flag.style.transform = slide;
    [shownX, shownSlide] = [x, slide];
  };
  return { el, place };
}

/** About half of a flag's width. */
const EDGE_PX = 40;
