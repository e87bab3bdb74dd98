/** The episodes that the table lists: those that match the query, in its order. */

import { nameOfEnv } from "../../recording/env-names.ts";
import {
  ANY,
  csvOf,
  type EpisodeQuery,
  labelNames,
  query,
} from "../../recording/episode-query.ts";
import type { Store } from "../../recording/store.ts";
import { formatCount } from "../format.ts";
import { decimalsOf } from "./aligned.ts";

export class EpisodeList {
  readonly #store: Store;
  #query: EpisodeQuery = ANY;
  #numbers: Int32Array = new Int32Array(0);
  #labels: readonly string[] = [];
  #decimals = 0;
  /** The state of the recording that the list was made from. */
  #madeFrom = "";

  constructor(store: Store) {
    this.#store = store;
  }

  get query(): EpisodeQuery {
    return this.#query;
  }

  /** Numbers of the listed episodes, in order. */
  get numbers(): Int32Array {
    return this.#numbers;
  }

  /** Every label that any episode has. */
  get labels(): readonly string[] {
    return this.#labels;
  }

  /** How many decimals each return has. */
  get decimals(): number {
    return this.#decimals;
  }

  /** Columns in which no episode has anything, with spaces between. */
  get absent(): string {
    const { episodes } = this.#store.recorded.steps;
    const hasSegments = [...episodes.infos()].some(({ segment }) => segment);
    return [
      episodes.numEnvs === 1 && "env",
      !episodes.numJudged && "success",
      !hasSegments && "segment",
      !this.#labels.length && "labels",
    ]
      .filter(Boolean)
      .join(" ");
  }

  /** Whether the success of any episode is known. */
  get isJudged(): boolean {
    return this.#store.recorded.steps.episodes.numJudged > 0;
  }

  get isFiltered(): boolean {
    const { text, outcome, success, label } = this.#query;
    return Boolean(text.trim() || outcome || success || label);
  }

  get isOutdated(): boolean {
    return this.#madeFrom !== this.#state();
  }

  readonly nameOf = (env: number): string =>
    nameOfEnv(this.#store.recorded.manifest, env).join(" ");

  /** Another query; `renew` lists what it asks for. */
  change(changes: Partial<EpisodeQuery>): void {
    this.#query = { ...this.#query, ...changes };
  }

  renew(): void {
    const { episodes } = this.#store.recorded.steps;
    this.#madeFrom = this.#state();
    this.#labels = labelNames(episodes);
    if (!this.isJudged) this.change({ success: "" });
    if (!this.#labels.includes(this.#query.label)) this.change({ label: "" });
    this.#numbers = query(episodes, this.#query, this.nameOf);
    this.#decimals = decimalsOf(episodes.total.subarray(0, episodes.count));
  }

  clear(): void {
    this.#numbers = new Int32Array(0);
    this.#madeFrom = "";
  }

  /** How many are listed, and of how many. */
  describe(): string {
    const { numListed } = this.#store.recorded.steps.episodes;
    const { length } = this.#numbers;
    const of = length < numListed ? ` of ${formatCount(numListed)}` : "";
    return `${formatCount(length)}${of} episodes`;
  }

  /** The listed episodes as a CSV file. */
  csv(): string {
    return csvOf(this.#store.recorded.steps.episodes, this.#numbers, this.nameOf);
  }

  #state(): string {
    const { manifest, steps } = this.#store.recorded;
    const { episodes, numRows } = steps;
    // Rows change the running ones only; the head of a long recording stays.
    const { count, infoVersion, isLive } = episodes;
    return `${count}:${infoVersion}:${numRows}:${isLive}:${manifest?.session}`;
  }
}
