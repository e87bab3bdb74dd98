/**
 * The pairs of an evaluation to look at: as a strip, filtered, as columns of tiles, and
 * one alone where its episodes part.
 */

import type { EvaluationNumbers } from "../../protocol/messages.ts";
import type { Arrangement } from "../../recording/arrangement.ts";
import { arrangePairs } from "../../recording/evaluated-pairs.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { createButton, named } from "../parts/inputs.ts";
import { lookOfLine } from "../timeline/draw-track.ts";
import { numberOf, shortly, signed } from "./numbers.ts";
import { FILTERS, filterPairs, inColumns, type PairFilter } from "./pair-list.ts";
import { createStrip } from "./strip.ts";

export interface PairsPanel {
  el: HTMLElement;
  update(): void;
}

/** Columns of tiles at a time: more are too small to be seen. */
const COLUMNS = 16;
const HINT = "Choose a bar to see its pair where it parts.";
const NAMES: Record<PairFilter, string> = {
  all: "All",
  flipped: "Flipped",
  gained: "Gained",
  lost: "Lost",
};

/** `line`: of the policy that is compared with the first. */
export function createPairs(
  session: Session,
  evaluation: EvaluationNumbers,
  line: number,
  signal: AbortSignal,
): PairsPanel {
  const { store, clock, answers } = session;
  const { pairs, policies } = evaluation;
  const names = [policies[0]!.policy, policies[line]!.policy] as const;
  const isHere = (pair: number) =>
    pairs.env[pair] !== null && pairs.env_against[pair] !== null;
  const arrangementOf = (some: readonly number[], title: string) =>
    arrangePairs(store.recorded.steps.episodes, evaluation, some, title);

  let filter: PairFilter = "all";
  let shown: number[] = [];
  let columns: number[] = [];
  /** The first column. */
  let first = 0;
  /** What this panel arranged last, and the pair that is alone in it. */
  let made: Arrangement | null = null;
  let alone: number | null = null;
  /** The playhead goes where it parts, as soon as that is known. */
  let isWaiting = false;

  const readout = make("p", { class: "rv-readout", "aria-live": "polite" });
  const strip = createStrip(
    {
      textOf: (place) => describe(shown[place]!),
      onMove: (place) => say(place < 0 ? null : shown[place]!),
      onChoose: (place) => show(shown[place]!),
    },
    signal,
  );
  const describe = (pair: number) => {
    const returns = [pairs.return_against[pair], pairs.return[pair]]
      .map((value) => shortly(numberOf(value)))
      .join(" \u2192 ");
    const flip = ["success lost", "", "success gained"][pairs.flip[pair]! + 1];
    const by = signed(numberOf(pairs.difference[pair]));
    return [`Seed ${pairs.seed[pair]}: ${returns} (${by})`, flip]
      .filter(Boolean)
      .join(", ");
  };
  const say = (pair: number | null) => {
    const parting =
      pair !== null && pair === alone ? ` ${textOf(partingOf(pair))}` : "";
    const missing = pair === null || isHere(pair) ? "" : " Not in this page.";
    setText(readout, pair === null ? HINT : `${describe(pair)}.${parting}${missing}`);
  };

  // -- showing

  const arrange = (arrangement: Arrangement) => {
    // The panel leads back too: there is nothing to be undone.
    session.arrange(arrangement, true);
    made = arrangement;
  };
  const partingOf = (pair: number): [by: string, offset: number | null] | null => {
    if (pairs.parting) return pairs.parting[pair]!;
    const answer = answers.get({
      kind: "parting",
      first: [pairs.env_against[pair]!, pairs.episode_against[pair]!],
      other: [pairs.env[pair]!, pairs.episode[pair]!],
    });
    return answer && [answer.message.by, answer.message.offset];
  };
  const show = (pair: number) => {
    const title = `Seed ${pairs.seed[pair]}: ${names[1]} against ${names[0]}`;
    const arrangement = arrangementOf([pair], title);
    if (!arrangement.numRows) return;
    alone = pair;
    arrange(arrangement);
    clock.seek(partingOf(pair)?.[1] ?? 0);
    isWaiting = partingOf(pair) === null;
    follow();
  };
  /** Go where the pair parts, unless the user has gone elsewhere meanwhile. */
  const follow = () => {
    if (alone === null || store.arrangement !== made) return;
    const parting = partingOf(alone);
    if (isWaiting && parting) {
      isWaiting = false;
      if (clock.row === 0 && !clock.isPlaying && parting[1] !== null)
        clock.seek(parting[1]);
    }
    strip.mark(shown.indexOf(alone));
    say(alone);
    update();
  };
  const showColumns = (from: number) => {
    first = Math.max(0, Math.min(from, columns.length - 1));
    alone = null;
    isWaiting = false;
    const some = columns.slice(first, first + COLUMNS);
    const range = rangeOf(first, columns.length);
    const what = filter === "all" ? "" : ` ${NAMES[filter].toLowerCase()}`;
    const title = `${names[1]} against ${names[0]}, seeds ${range}${what}`;
    if (some.length) arrange(arrangementOf(some, title));
    strip.mark(-1);
    say(null);
    update();
  };

  // -- filter and columns

  const choose = (one: PairFilter) => {
    filter = one;
    shown = filterPairs(pairs, line, one);
    columns = inColumns(pairs, shown.filter(isHere), seedsNow());
    first = 0;
    const bars = shown.map((pair) => ({
      difference: numberOf(pairs.difference[pair]),
      flip: pairs.flip[pair]!,
      isHere: isHere(pair),
    }));
    strip.update(bars, [lookOfLine(0).colour, lookOfLine(line).colour]);
    alone = null;
    say(null);
    for (const [name, button] of buttons)
      setAttribute(button, "aria-pressed", String(name === filter));
  };
  const seedsNow = () => store.recorded.manifest?.compare?.seeds ?? [];
  const buttons = new Map(
    FILTERS.map((name) => {
      const count = filterPairs(pairs, line, name).length;
      const button = createButton(
        NAMES[name],
        { class: "rv-filter-pairs" },
        () => {
          choose(name);
          showColumns(0);
        },
        signal,
      );
      button.append(make("span", { class: "rv-tab-count" }, ` ${formatCount(count)}`));
      button.disabled = !count;
      return [name, button] as const;
    }),
  );
  const hasFlips = pairs.flip.some((flip, pair) => flip && pairs.line[pair] === line);
  const previous = createStep("\u2039", "Columns before", () =>
    showColumns(first - COLUMNS),
  );
  const next = createStep("\u203a", "Columns after", () =>
    showColumns(first + COLUMNS),
  );
  const columnsText = createButton(
    null,
    { class: "rv-edged rv-columns" },
    () => showColumns(first),
    signal,
  );
  function createStep(text: string, label: string, onClick: () => void) {
    return createButton(text, named(label), onClick, signal);
  }
  const update = () => {
    const range = rangeOf(first, columns.length);
    const isAll = columns.length <= COLUMNS;
    setText(columnsText, isAll ? `All ${columns.length} seeds` : `Seeds ${range}`);
    const isShown = alone === null && made !== null && store.arrangement === made;
    setAttribute(columnsText, "aria-pressed", String(isShown));
    columnsText.disabled = !columns.length;
    previous.disabled = first === 0;
    next.disabled = first + COLUMNS >= columns.length;
  };
  answers.onChange.on(follow, signal);
  choose("all");
  update();
  const group = { role: "group", "aria-label": "Which pairs" };
  return {
    el: make(
      "div",
      { class: "rv-pairs" },
      hasFlips
        ? make(
            "div",
            { class: "rv-line rv-pair-filters", ...group },
            ...buttons.values(),
          )
        : null,
      strip.el,
      make(
        "div",
        { class: "rv-pair-ends", "aria-hidden": "true" },
        ...names.map((name) =>
          make("span", {}, make("span", { class: "rv-policy" }, name), " better"),
        ),
      ),
      readout,
      make("div", { class: "rv-line rv-pager" }, previous, columnsText, next),
    ),
    update,
  };
}

/** "1\u201316 of 1\u202f000" */
function rangeOf(first: number, count: number): string {
  const last = Math.min(first + COLUMNS, count);
  const range =
    count > COLUMNS ? `${formatCount(first + 1)}\u2013${formatCount(last)} of ` : "";
  return `${range}${formatCount(count)}`;
}

function textOf(parting: [by: string, offset: number | null] | null): string {
  if (!parting) return "Looking where it parts\u2026";
  const [by, offset] = parting;
  if (!by) return "Where it parts is not known: nothing to compare was recorded.";
  const name = by[0]!.toUpperCase() + by.slice(1);
  return offset === null ? `${name} never part.` : `${name} part at row ${offset}.`;
}
