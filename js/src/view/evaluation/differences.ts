/** A policy against the first one, over the seeds of both: what the pairs say together. */

import type { PolicyDifference } from "../../protocol/messages.ts";
import { make } from "../dom.ts";
import { formatCount } from "../format.ts";
import { lookOfLine } from "../timeline/draw-track.ts";
import { chance, interval, numberOf, signed } from "./numbers.ts";
import { createWhisker } from "./whisker.ts";

export function createDifferences(one: PolicyDifference, index: number): HTMLElement {
  const pairs = numberOf(one.pairs);
  const title = `${one.policy} against ${one.against}`;
  if (!pairs)
    return make(
      "section",
      { class: "rv-findings", "aria-label": title },
      make("p", { class: "rv-verdict" }, `${title}: no seed that both have.`),
    );
  const success = numberOf(one.success_pairs);
  return make(
    "section",
    { class: "rv-findings", "aria-label": title },
    make("p", { class: "rv-verdict" }, `${one.finding}.`),
    createMean(one, index + 1),
    createShares(one, index + 1),
    make(
      "dl",
      { class: "rv-tests" },
      ...createTest("Better on", winsOf(one), chance(numberOf(one.sign_test_p))),
      ...(success
        ? createTest("Success", flipsOf(one), chance(numberOf(one.flips_p)))
        : []),
    ),
    createLeftOut(one),
  );
}

/** What has no partner, and is in no number here. */
function createLeftOut(one: PolicyDifference): HTMLElement | null {
  const [other, first] = [one.unpaired, one.unpaired_against].map(numberOf);
  if (!other && !first) return null;
  const text =
    `${formatCount(other!)} episodes of ${one.policy} and ${formatCount(first!)} of ` +
    `${one.against} have no partner of their seed.`;
  return make("p", { class: "rv-fine" }, text);
}

/** The mean difference, and its interval around or beside zero. */
function createMean(one: PolicyDifference, line: number): HTMLElement {
  const mean = numberOf(one.difference_mean);
  const ends = [numberOf(one.difference_low), numberOf(one.difference_high)] as const;
  const most = Math.max(...[mean, ...ends].filter(Number.isFinite).map(Math.abs), 0);
  const scale = [-1.08 * (most || 1), 1.08 * (most || 1)] as const;
  const between = interval(...ends, signed);
  const pairs = formatCount(numberOf(one.pairs));
  return make(
    "div",
    { class: "rv-mean" },
    make("span", { class: "rv-measure" }, `Mean difference of ${pairs} pairs`),
    make("b", { class: "rv-estimate" }, signed(mean)),
    make("span", { class: "rv-interval" }, between),
    createWhisker(mean, ends, scale, lookOfLine(line).colour, true),
  );
}

/** On how many seeds which of the two is better, as a bar. */
function createShares(one: PolicyDifference, line: number): HTMLElement {
  const share = (name: string, className: string, colour: string) => {
    const count = numberOf(one[name]);
    const style = `flex-grow: ${count}; --rv-key: var(${colour})`;
    return count ? make("i", { class: className, style }) : null;
  };
  return make(
    "div",
    { class: "rv-shares", "aria-hidden": "true" },
    share("worse", "rv-share", lookOfLine(0).colour),
    share("equal", "rv-share rv-share-equal", "--rv-sunken"),
    share("better", "rv-share", lookOfLine(line).colour),
  );
}

function createTest(name: string, found: string, p: string): HTMLElement[] {
  return [
    make("dt", {}, name),
    make("dd", {}, found),
    make("dd", { class: "rv-chance" }, p),
  ];
}

function winsOf(one: PolicyDifference): string {
  const [better, worse, equal] = ["better", "worse", "equal"].map((name) =>
    numberOf(one[name]),
  );
  const ties = equal ? `, equal on ${formatCount(equal)}` : "";
  return `${formatCount(better!)}, worse on ${formatCount(worse!)}${ties}`;
}

function flipsOf(one: PolicyDifference): string {
  const [gained, lost] = ["gained", "lost"].map((name) => numberOf(one[name]));
  return `gained on ${formatCount(gained!)}, lost on ${formatCount(lost!)}`;
}
