/**
 * Filters and sorts episodes: pure, and fast enough for a hundred thousand of them at
 * every key press.
 */

import { type EpisodeInfo, TERMINATED, TRUNCATED } from "../protocol/messages.ts";
import { type Episodes, marksOf, textOfLabel, verdictOf } from "./episodes.ts";

export const COLUMNS = [
  "env",
  "episode",
  "return",
  "length",
  "outcome",
  "success",
  "labels",
  "segment",
] as const;
export type Column = (typeof COLUMNS)[number];

export const OUTCOMES = ["terminated", "truncated", "cut", "running"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export const VERDICTS = ["success", "failure", "not known"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** What the user asks for; "" and null: anything. */
export interface EpisodeQuery {
  /** Words that must all occur in env, episode, outcome, segment, seed or labels. */
  text: string;
  outcome: Outcome | "";
  success: Verdict | "";
  label: string;
  /** null: as they began. */
  column: Column | null;
  isDescending: boolean;
}

export const ANY: EpisodeQuery = {
  text: "",
  outcome: "",
  success: "",
  label: "",
  column: null,
  isDescending: false,
};

/** Names an env, as in `nameOfEnv`. */
export type NameOf = (env: number) => string;

export function outcomeOf(episodes: Episodes, number: number): Outcome {
  const ends = episodes.ends[number]!;
  if (ends & TERMINATED) return "terminated";
  if (ends & TRUNCATED) return "truncated";
  return episodes.isRunning[number] && episodes.isLive ? "running" : "cut";
}

/** An outcome in words: "cut" alone says too little. */
export function textOfOutcome(outcome: string): string {
  return outcome === "cut" ? "cut off" : outcome;
}

/** Return the numbers of the episodes that match, in order. */
export function query(
  episodes: Episodes,
  wanted: EpisodeQuery,
  nameOf: NameOf,
): Int32Array {
  const found = new Int32Array(episodes.count);
  const isWanted = matcherOf(episodes, wanted, nameOf);
  let count = 0;
  for (let number = 0; number < episodes.count; number++)
    if (episodes.isListed(number) && isWanted(number)) found[count++] = number;
  const numbers = found.subarray(0, count);
  if (wanted.column === null) return wanted.isDescending ? numbers.reverse() : numbers;
  return sort(numbers, keysOf(episodes, wanted.column), wanted.isDescending);
}

/** Return the `count` best (or worst) of them by return, those that have ended first. */
export function bestOf(
  episodes: Episodes,
  numbers: Int32Array,
  count: number,
  isBest: boolean,
): number[] {
  const ended = numbers.filter((number) => !episodes.isRunning[number]);
  const among = ended.length ? ended : numbers.slice();
  return [...sort(among, keysOf(episodes, "return"), isBest).slice(0, count)];
}

/** Return what failed: by its success or a label; where nothing did, what terminated. */
export function failuresOf(episodes: Episodes, numbers: Int32Array): number[] {
  const failed = markedAs(episodes, numbers, "failure");
  if (failed.length || episodes.numJudged) return failed;
  return [...numbers.filter((number) => episodes.ends[number]! & TERMINATED)];
}

/** Return what succeeded, by its success or a label. */
export function successesOf(episodes: Episodes, numbers: Int32Array): number[] {
  return markedAs(episodes, numbers, "success");
}

function markedAs(episodes: Episodes, numbers: Int32Array, name: string): number[] {
  return [
    ...numbers.filter((number) => name in (marksOf(infoOf(episodes, number)) ?? {})),
  ];
}

/** Every label that any episode has, by name. */
export function labelNames(episodes: Episodes): string[] {
  const names = new Set<string>();
  for (const { labels } of episodes.infos())
    for (const name of Object.keys(labels ?? {})) names.add(name);
  return [...names].sort();
}

/** The episodes as lines of a CSV file. */
export function csvOf(
  episodes: Episodes,
  numbers: Iterable<number>,
  nameOf: NameOf,
): string {
  const lines = [
    "env,name,episode,start,stop,length,total_reward,outcome,success,segment,seed,labels",
  ];
  for (const number of numbers) {
    const { env, index, start, stop, length, total } = episodes.at(number);
    const info = episodes.info(env, index);
    lines.push(
      [
        ...[env, nameOf(env), index, start, stop, length, total],
        ...[outcomeOf(episodes, number), csvOfSuccess(info)],
        ...[info.segment ?? "", info.seed ?? "", labelText(info)],
      ]
        .map(cellOf)
        .join(","),
    );
  }
  return `${lines.join("\n")}\n`;
}

/** As tables of Python have it. */
function csvOfSuccess({ success }: EpisodeInfo): string {
  return success == null ? "" : success ? "True" : "False";
}

/** Labels in one line, as tables of Python have them. */
export function labelText(info: EpisodeInfo): string {
  return info.labels ? Object.entries(info.labels).map(textOfLabel).join("; ") : "";
}

function cellOf(value: string | number): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function labelsOf(episodes: Episodes, number: number): Record<string, unknown> {
  return episodes.labels(episodes.env[number]!, episodes.index[number]!);
}

function infoOf(episodes: Episodes, number: number): EpisodeInfo {
  return episodes.info(episodes.env[number]!, episodes.index[number]!);
}

function matcherOf(
  episodes: Episodes,
  { text, outcome, success, label }: EpisodeQuery,
  nameOf: NameOf,
): (number: number) => boolean {
  // A word and a number after it belong together: "env 3" is not env 31.
  const words = text.toLowerCase().match(/[^\s\d]\S*\s+\d+(?!\S)|\S+/g) ?? [];
  const terms = words.map((word) => word.replace(/\s+/, " "));
  // Many episodes share what is known of them, and all of an env its name.
  const texts = new Map<EpisodeInfo, string>();
  const names = Array.from({ length: episodes.numEnvs }, (_, env) =>
    nameOf(env).toLowerCase(),
  );
  const textOf = (number: number) => {
    const info = infoOf(episodes, number);
    let known = texts.get(info);
    if (known === undefined) {
      const seed = info.seed === undefined ? "" : `seed ${info.seed}`;
      known = `${verdictOf(info)}\n${info.segment ?? ""}\n${seed}\n${labelText(info)}`;
      known = known.toLowerCase();
      texts.set(info, known);
    }
    const name = names[episodes.env[number]!];
    const index = episodes.index[number]!;
    const outcome = textOfOutcome(outcomeOf(episodes, number));
    const nan = episodes.numNan[number] ? "nan\n" : "";
    return `${name}\nepisode ${index}\n${outcome}\n${nan}${known}\n`;
  };
  return (number) => {
    if (outcome && outcomeOf(episodes, number) !== outcome) return false;
    if (success && (verdictOf(infoOf(episodes, number)) || "not known") !== success)
      return false;
    if (label && !(label in labelsOf(episodes, number))) return false;
    if (!terms.length) return true;
    const here = textOf(number);
    return terms.every((word) => hasWord(here, word));
  };
}

/** Whether text has a word, or its beginning; a number only whole. */
function hasWord(text: string, word: string): boolean {
  const endsInDigit = /\d$/.test(word);
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1))
    if (!endsInDigit || !/\d/.test(text[at + word.length] ?? "")) return true;
  return false;
}

/** A number for each episode that orders a column. */
function keysOf(episodes: Episodes, column: Column): ArrayLike<number> {
  switch (column) {
    case "env":
      return episodes.env;
    case "episode":
      return episodes.index;
    case "return":
      return episodes.total;
    case "length":
      return episodes.length;
    case "outcome":
      return ranksOf(episodes, (number) => outcomeOf(episodes, number));
    case "success":
      return Float64Array.from({ length: episodes.count }, (_, number) =>
        Number(infoOf(episodes, number).success ?? Number.NaN),
      );
    case "segment":
      return ranksOf(episodes, (number) => infoOf(episodes, number).segment ?? "");
    case "labels": {
      const texts = new Map<EpisodeInfo, string>();
      return ranksOf(episodes, (number) => {
        const info = infoOf(episodes, number);
        if (!texts.has(info)) texts.set(info, labelText(info));
        return texts.get(info)!;
      });
    }
  }
}

function ranksOf(
  episodes: Episodes,
  textOf: (number: number) => string,
): ArrayLike<number> {
  const texts = Array.from({ length: episodes.count }, (_, number) => textOf(number));
  const order = new Intl.Collator(undefined, { numeric: true });
  const unique = [...new Set(texts)].sort(order.compare);
  const rank = new Map(unique.map((text, index) => [text, index]));
  return texts.map((text) => rank.get(text)!);
}

/** Sort numbers by key, equal ones as they began; NaN comes last. */
function sort(
  numbers: Int32Array,
  keys: ArrayLike<number>,
  isDescending: boolean,
): Int32Array {
  const sign = isDescending ? -1 : 1;
  return numbers.sort((a, b) => {
    const [x, y] = [keys[a]!, keys[b]!];
    if (x === y) return a - b;
    if (Number.isNaN(x)) return Number.isNaN(y) ? a - b : 1;
    if (Number.isNaN(y)) return -1;
    return sign * (x - y);
  });
}
