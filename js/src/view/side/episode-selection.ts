/** Which listed episodes are selected: one is previewed, several are side by side. */

import { type Arrangement, showChosen } from "../../recording/arrangement.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Session } from "../../session/session.ts";
import type { EpisodeList } from "./episode-list.ts";
import type { Pick } from "./row-picks.ts";

/** More tiles are not shown side by side. */
export const MOST_TILES = 64;

export class EpisodeSelection {
  readonly #session: Session;
  readonly #list: EpisodeList;
  readonly #openTile: () => void;
  #numbers = new Set<number>();
  /** Where a range begins. */
  #anchor = 0;
  /** What was arranged for the selection. */
  #shown: Arrangement | null = null;

  /** `openTile`: show the selected tile alone. */
  constructor(session: Session, list: EpisodeList, openTile: () => void) {
    this.#session = session;
    this.#list = list;
    this.#openTile = openTile;
  }

  get count(): number {
    return this.#numbers.size;
  }

  has(number: number): boolean {
    return this.#numbers.has(number);
  }

  clear(): void {
    this.#numbers.clear();
    this.#anchor = 0;
  }

  pick(place: number, how: Pick): void {
    const number = this.#list.numbers[place]!;
    if (how === "extend") this.#extendTo(place);
    else {
      this.#anchor = place;
      if (how === "toggle") this.#toggle(number);
      else this.#numbers = new Set([number]);
    }
    if (this.count > 1) this.#showAll();
    else this.#preview(how === "toggle" ? this.#only() : number);
    if (how === "open") this.#openTile();
  }

  /** The selected ones side by side, in the order of the list. */
  #showAll(): void {
    const { manifest, steps } = this.#session.store.recorded;
    const chosen = this.#list.numbers.filter((number) => this.has(number));
    const most = [...chosen.subarray(0, MOST_TILES)];
    const title = `${most.length} selected episodes`;
    const nameOf = (env: number) => nameOfEnv(manifest, env);
    this.#shown = showChosen(steps.episodes, most, title, nameOf);
    this.#session.arrange(this.#shown);
  }

  #preview(number: number | undefined): void {
    const { clock, store } = this.#session;
    if (this.#shown && store.arrangement === this.#shown) this.#session.arrange(null);
    this.#shown = null;
    if (number === undefined) return;
    const { env, start } = store.recorded.steps.episodes.at(number);
    clock.pause();
    this.#session.goTo(start, env);
  }

  #only(): number | undefined {
    return [...this.#numbers][0];
  }

  #toggle(number: number): void {
    if (!this.#numbers.delete(number)) this.#numbers.add(number);
  }

  #extendTo(place: number): void {
    const [from, to] = [this.#anchor, place].sort((a, b) => a - b) as [number, number];
    this.#numbers = new Set(this.#list.numbers.subarray(from, to + 1));
  }
}
