/**
 * Arrays as bars around zero, or as a small plot where they are long.
 *
 * Bars keep their scale over the rows around, so that what grows is seen to grow. Both
 * have their colours from the style sheet: another theme needs no drawing.
 */

import type { Value } from "../../recording/step-details.ts";
import { make, makeSvg, setAttribute, setText } from "../dom.ts";
import { formatValue } from "../format.ts";
import { formatAligned, placesIn } from "./aligned.ts";
import type { TrackButton } from "./on-timeline.ts";

export interface ValueView {
  el: HTMLElement;
  update(value: Value): void;
}

const PLOT_WIDTH = 240;
const PLOT_HEIGHT = 44;

/** `names`: of the numbers; one without has its place in the array. */
export function createBars(
  { numbers, shape }: Value,
  names: readonly string[],
  track: (index: number) => TrackButton,
): ValueView {
  const rows = Array.from(numbers, (_, index) => {
    const bar = make("i", {});
    const scale = make("span", { class: "rv-bar", "aria-hidden": "true" }, bar);
    const button = track(index);
    const text = names[index] || placesIn(shape, index).join(",");
    const name = make("small", { title: names[index] ?? null }, text);
    return { el: make("li", {}, name, scale, button.el), bar, button, share: 0 };
  });
  return {
    el: make("ol", { class: "rv-bars", start: 0 }, ...rows.map(({ el }) => el)),
    update({ numbers, scales, dtype }) {
      for (const [index, row] of rows.entries()) {
        const [number, scale] = [numbers[index]!, scales[index]!];
        row.button.update(formatAligned(number, scale, dtype));
        const share = scale > 0 && Number.isFinite(number) ? number / scale : 0;
        if (row.share === share) continue;
        row.share = share;
        const size = Math.min(1, Math.abs(share)) * 50;
        row.bar.style.left = `${share < 0 ? 50 - size : 50}%`;
        row.bar.style.width = `${size}%`;
      }
    },
  };
}

/** A bar for each number, from zero up or down. */
export function createSmallPlot(): ValueView {
  const path = makeSvg("path", {});
  const svg = makeSvg(
    "svg",
    {
      class: "rv-small-plot",
      viewBox: `0 0 ${PLOT_WIDTH} ${PLOT_HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    path,
  );
  const text = make("div", { class: "rv-number" });
  return {
    el: make("div", {}, svg, text),
    update({ numbers, scales }) {
      const [min, max] = boundsOf(numbers);
      setText(text, `${formatValue(min)} to ${formatValue(max)}`);
      setAttribute(path, "d", barsPath(numbers, scales[0] || 1, min < 0));
    },
  };
}

function boundsOf(numbers: ArrayLike<number>): [min: number, max: number] {
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < numbers.length; i++) {
    min = Math.min(min, numbers[i]!);
    max = Math.max(max, numbers[i]!);
  }
  return [min, max];
}

/** Rectangles from zero, which is in the middle where any number is below it. */
function barsPath(numbers: ArrayLike<number>, scale: number, isSigned: boolean) {
  const zero = isSigned ? PLOT_HEIGHT / 2 : PLOT_HEIGHT;
  const step = PLOT_WIDTH / numbers.length;
  const wide = (step > 3 ? step - 1 : step).toFixed(2);
  let path = "";
  for (let i = 0; i < numbers.length; i++) {
    const tall = Math.max(0.5, (Math.abs(numbers[i]!) / scale) * zero);
    const y = (numbers[i]! < 0 ? zero : zero - tall).toFixed(1);
    if (tall <= zero)
      path += `M${(i * step).toFixed(2)} ${y}h${wide}v${tall.toFixed(1)}h-${wide}z`;
  }
  return path;
}
