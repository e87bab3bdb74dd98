/** The numbers of each policy: a column for each, intervals drawn on one scale. */

import type { EvaluationNumbers } from "../../protocol/messages.ts";
import { make } from "../dom.ts";
import { formatCount } from "../format.ts";
import { lookOfLine } from "../timeline/draw-track.ts";
import { interval, numberOf, percent, shortly } from "./numbers.ts";
import { createWhisker, scaleOf } from "./whisker.ts";

type Policy = EvaluationNumbers["policies"][number];

/** A line of the table; `from`, `to`: columns that are the ends of its interval. */
interface Measure {
  text: string;
  name: string;
  write: (value: number) => string;
  from?: string;
  to?: string;
  /** Both ends of the scale; null: of what there is. */
  scale?: [number, number];
}

const RATE: Measure = {
  text: "Success",
  name: "success_rate",
  write: percent,
  from: "success_low",
  to: "success_high",
  scale: [0, 1],
};
const MEASURES: readonly Measure[] = [
  {
    text: "Return, IQM",
    name: "return_iqm",
    write: shortly,
    from: "return_iqm_low",
    to: "return_iqm_high",
  },
  { text: "Return, mean", name: "return_mean", write: shortly },
  { text: "Return, median", name: "return_median", write: shortly },
  { text: "Length, mean", name: "length_mean", write: shortly },
  { text: "Episodes", name: "n", write: formatCount },
];
const TIPS: Record<string, string> = {
  return_iqm: "The mean of the middle half of the returns; its 95 % interval below it",
  success_rate: "Of the episodes whose success is known; Wilson\u2019s 95 % interval",
};

export function createPolicies(policies: readonly Policy[]): HTMLElement {
  const hasSuccess = policies.some((one) => numberOf(one.success_n) > 0);
  const measures = hasSuccess ? [RATE, ...MEASURES] : MEASURES;
  const heads = policies.map(({ policy }, line) =>
    make("th", { scope: "col" }, createName(policy, line)),
  );
  const table = make(
    "table",
    { class: "rv-paired-table rv-policies", "aria-label": "Numbers of each policy" },
    make("thead", {}, make("tr", {}, make("td", {}), ...heads)),
    make("tbody", {}, ...measures.map((one) => createMeasure(one, policies))),
  );
  return make(
    "section",
    { class: "rv-findings" },
    make("div", { class: "rv-paired-scroll" }, table),
    ...notesOn(policies).map((text) => make("p", { class: "rv-fine" }, text)),
  );
}

/** A policy's name, with the mark of its line in all plots. */
export function createName(name: string, line: number): HTMLElement {
  const { colour, dash } = lookOfLine(line);
  const key = make("i", {
    class: "rv-key",
    "data-dash": dash.length ? String(dash) : null,
    style: `--rv-key: var(${colour})`,
  });
  const text = make("span", { class: "rv-policy", title: name }, name);
  return make("span", { class: "rv-paired-name" }, key, text);
}

function createMeasure(measure: Measure, policies: readonly Policy[]): HTMLElement {
  const { text, name, write, from, to } = measure;
  const scale = from && to ? (measure.scale ?? scaleOf(policies, [from, to])) : null;
  const head = make("th", { scope: "row", title: TIPS[name] ?? null }, text);
  const cells = policies.map((policy, line) => {
    const value = numberOf(policy[name]);
    const number = make("span", { class: "rv-estimate" }, write(value));
    if (!scale) return make("td", {}, number);
    const ends: [number, number] = [numberOf(policy[from!]), numberOf(policy[to!])];
    const { colour } = lookOfLine(line);
    return make(
      "td",
      {},
      number,
      make("span", { class: "rv-interval" }, interval(...ends, write)),
      createWhisker(value, ends, scale, colour),
    );
  });
  return make("tr", {}, head, ...cells);
}

/** What is not counted, where anything is not. */
function notesOn(policies: readonly Policy[]): string[] {
  return policies.flatMap((one) => {
    const unfinished = numberOf(one.unfinished);
    const unknown = numberOf(one.n) - numberOf(one.success_n);
    const hasSuccess = numberOf(one.success_n) > 0;
    const count = (n: number) =>
      `${formatCount(n)} ${n === 1 ? "episode" : "episodes"}`;
    return [
      ...(unfinished ? [`${one.policy}: ${count(unfinished)} cut, not counted.`] : []),
      ...(hasSuccess && unknown
        ? [`${one.policy}: success of ${count(unknown)} is not known.`]
        : []),
    ];
  });
}
