/** Recorded arrays on screen, each as a number, bars, or a small plot. */

import type { Value } from "../../recording/step-details.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { formatValue } from "../format.ts";
import { createTrackButton } from "./on-timeline.ts";
import { createBars, createSmallPlot, type ValueView } from "./value-bars.ts";

/** More numbers than this are drawn, not written; the timeline offers as many. */
const MAX_BARS = 32;

export interface ValueList {
  el: HTMLElement;
  /** Whether a number can be added to the timeline. */
  readonly hasNumbers: boolean;
  /** Show values, one below the other. `meanings`: of a discrete action. */
  update(values: readonly Value[], meanings: readonly string[]): void;
}

export function createValueList(session: Session, signal: AbortSignal): ValueList {
  const el = make("div", { class: "rv-values" });
  let views: ValueView[] = [];
  let forms = "";
  let hasNumbers = false;
  const namesOf = (name: string) =>
    session.store.manifest?.data?.find((one) => one.name === name)?.names ?? [];
  return {
    el,
    get hasNumbers() {
      return hasNumbers;
    },
    update(values, meanings) {
      const next = JSON.stringify(
        values.map(({ name, dtype, shape }) => [name, dtype, shape, namesOf(name)]),
      );
      if (next !== forms) {
        forms = next;
        views = values.map((one) =>
          createValueView(one, namesOf(one.name), session, meanings, signal),
        );
        el.replaceChildren(...views.map((view) => view.el));
        hasNumbers = el.querySelector(".rv-track-button") !== null;
      }
      for (const [index, view] of views.entries()) view.update(values[index]!);
    },
  };
}

/** Return a view of a value of this form, and with these names of its numbers. */
function createValueView(
  value: Value,
  names: readonly string[],
  session: Session,
  meanings: readonly string[],
  signal: AbortSignal,
): ValueView {
  const { name, dtype, shape, isSummary, numbers } = value;
  const form = shape.length ? `${dtype} [${shape.join("\u00d7")}]` : dtype;
  const track = (index: number) => createTrackButton(session, { name, index }, signal);
  const body = isSummary
    ? createSummary()
    : numbers.length === 1
      ? createNumber(value, name === "action" ? meanings : [], track(0))
      : numbers.length <= MAX_BARS
        ? createBars(value, names, track)
        : createSmallPlot();
  return {
    el: make(
      "section",
      { class: "rv-section rv-values-of", "data-name": name },
      make("div", { class: "rv-values-head" }, make("h4", {}, name), small(form)),
      body.el,
    ),
    update: body.update,
  };
}

const small = (text: string) => make("small", {}, text);

function createNumber(
  { dtype }: Value,
  meanings: readonly string[],
  track: ReturnType<typeof createTrackButton>,
): ValueView {
  const meaningNow = make("span", { class: "rv-meaning" });
  const update = ({ numbers, texts }: Value) => {
    const number = numbers[0]!;
    const text = texts ? texts[number] : dtype === "bool" && String(Boolean(number));
    track.update(text || formatValue(number));
    const meaning = meanings[number];
    setText(meaningNow, meaning ?? "");
  };
  return { el: make("div", { class: "rv-number" }, meaningNow, track.el), update };
}

function createSummary(): ValueView {
  const el = make("div", { class: "rv-number" });
  return {
    el,
    update({ numbers }) {
      const [min, mean, max] = Array.from(numbers, formatValue);
      setText(el, `${min} to ${max}, mean ${mean}`);
    },
  };
}
