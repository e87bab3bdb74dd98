/**
 * Recorded arrays on screen, each as a number, bars, or a small plot.
 *
 * Bars keep their scale over the rows around, so that what grows is seen to grow.
 */

import type { Value } from "../../recording/step-details.ts";
import { make, setText } from "../dom.ts";
import { formatValue } from "../format.ts";

interface ValueView {
  el: HTMLElement;
  update(value: Value): void;
}

/** More numbers than this are drawn, not written. */
const MAX_BARS = 32;
const PLOT_WIDTH = 240;
const PLOT_HEIGHT = 44;

export interface ValueList {
  el: HTMLElement;
  /** Show values, one below the other. `meanings`: of a discrete action. */
  update(values: readonly Value[], meanings: readonly string[]): void;
}

export function createValueList(): ValueList {
  const el = make("div", { class: "rv-values" });
  let views: ValueView[] = [];
  let forms = "";
  return {
    el,
    update(values, meanings) {
      const next = JSON.stringify(
        values.map((one) => [one.name, one.dtype, one.shape]),
      );
      if (next !== forms) {
        forms = next;
        views = values.map((one) => createValueView(one, meanings));
        el.replaceChildren(...views.map((view) => view.el));
      }
      for (const [index, view] of views.entries()) view.update(values[index]!);
    },
  };
}

/** Return a view of a value of this form. */
function createValueView(value: Value, meanings: readonly string[]): ValueView {
  const { name, dtype, shape, isSummary } = value;
  const form = [dtype, shape.length ? shape.join("\u00d7") : ""].join(" ").trim();
  const body = isSummary
    ? createSummary()
    : value.numbers.length === 1
      ? createNumber(value, name === "action" ? meanings : [])
      : value.numbers.length <= MAX_BARS
        ? createBars(value)
        : createPlot();
  return {
    el: make(
      "section",
      { class: "rv-values-of", "data-name": name },
      make("h4", {}, name, make("small", {}, form)),
      body.el,
    ),
    update: body.update,
  };
}

function createNumber({ dtype }: Value, meanings: readonly string[]): ValueView {
  const el = make("output", { class: "rv-number" });
  const update = ({ numbers }: Value) => {
    const number = numbers[0]!;
    const text = dtype === "bool" ? String(Boolean(number)) : formatValue(number);
    const meaning = meanings[number];
    setText(el, meaning ? `${text} ${meaning}` : text);
  };
  return { el, update };
}

function createSummary(): ValueView {
  const el = make("output", { class: "rv-number" });
  return {
    el,
    update({ numbers }) {
      const [min, mean, max] = Array.from(numbers, formatValue);
      setText(el, `${min} to ${max}, mean ${mean}`);
    },
  };
}

function createBars({ numbers }: Value): ValueView {
  const rows = Array.from(numbers, (_, index) => {
    const bar = make("i", {});
    const text = make("output", {});
    const track = make("span", { class: "rv-bar", "aria-hidden": "true" }, bar);
    const el = make("li", {}, make("small", {}, String(index)), track, text);
    return { el, bar, text };
  });
  return {
    el: make("ol", { class: "rv-bars", start: 0 }, ...rows.map(({ el }) => el)),
    update({ numbers, scales }) {
      for (const [index, { bar, text }] of rows.entries()) {
        const number = numbers[index]!;
        const scale = scales[index]!;
        const share = scale > 0 && Number.isFinite(number) ? number / scale : 0;
        const size = Math.min(1, Math.abs(share)) * 50;
        bar.style.left = `${share < 0 ? 50 - size : 50}%`;
        bar.style.width = `${size}%`;
        setText(text, formatValue(number));
      }
    },
  };
}

/** A bar for each number, from zero up or down. */
function createPlot(): ValueView {
  const canvas = make("canvas", {
    class: "rv-small-plot",
    width: 2 * PLOT_WIDTH,
    height: 2 * PLOT_HEIGHT,
    "aria-hidden": "true",
  });
  const text = make("output", { class: "rv-number" });
  const context = canvas.getContext("2d");
  const update = ({ numbers, scales }: Value) => {
    const all = Array.from(numbers);
    const scale = scales[0] || 1;
    const [min, max] = all.reduce(
      ([low, high], number) => [Math.min(low, number), Math.max(high, number)],
      [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    );
    setText(text, `${formatValue(min)} to ${formatValue(max)}`);
    if (!context) return;
    const { width, height } = canvas;
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(canvas).color;
    const zero = min < 0 ? height / 2 : height;
    const step = width / all.length;
    for (const [index, number] of all.entries()) {
      const tall = Math.max(1, (Math.abs(number) / scale) * zero);
      context.fillRect(
        index * step,
        number < 0 ? zero : zero - tall,
        Math.max(1, step - (step > 3 ? 1 : 0)),
        tall,
      );
    }
  };
  return { el: make("div", {}, canvas, text), update };
}
