/**
 * What is drawn above the pictures: labels, outcomes, what is missing, the selection.
 *
 * One element a tile, whose text changes only where it has to.
 */

import { type Layout, tileAt } from "../../playback/layout.ts";
import { IDLE, TERMINAL_MISSING, TERMINATED } from "../../protocol/messages.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import type { Reader } from "../../recording/spread.ts";
import type { Moment } from "../../recording/steps.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatSigned, formatValue } from "../format.ts";

export interface TileOverlay {
  el: HTMLElement;
  /** Make tiles for the slots at these places in the grid. */
  place(slots: readonly number[], layout: Layout, indices: readonly number[]): void;
  /** Show a row; `absent` and `missing` are slots. */
  update(row: number, absent: readonly number[], missing: readonly number[]): void;
  /** Slot at a point of the page; null: none. */
  slotAt(x: number, y: number): number | null;
}

interface Tile {
  slot: number;
  env: number;
  /** Its name: an arrangement names the same slot differently. */
  called: string;
  isShared: boolean;
  el: HTMLElement;
  where: HTMLElement;
  step: HTMLElement;
  total: HTMLElement;
  reward: HTMLElement;
  action: HTMLElement;
  label: HTMLElement;
  sums: HTMLElement;
  badge: HTMLElement;
  repeated: HTMLElement;
}

const LABELS = ["env", "episode", "step", "action"] as const;
/** A tile has room for so many numbers of an action; the inspector has all. */
const MAX_ACTIONS = 4;
/** Below this width a tile has no text: see the container queries of widget.css. */
const TINY_PX = 84;
const REPEATED_TITLE =
  "This camera delivered no picture in this row: the one before is shown again";

export function createTileOverlay(session: Session): TileOverlay {
  const { store, marks, viewOptions, scalars } = session;
  const el = make("div", { class: "rv-overlay" });
  let tiles: Tile[] = [];
  let places: readonly number[] = [];
  let layout: Layout | null = null;

  const createTile = (slot: number): Tile => {
    const { env, camera, shared } = store.manifest!.slots[slot]!;
    const [kind, number] = nameOfEnv(store.manifest, env);
    const { groups: all, names: own } = store.manifest!;
    const groups = all?.length || own ? "rv-group-name" : "rv-word";
    const cameras = new Set(store.manifest!.slots.map((one) => one.camera));
    const name = shared
      ? make("b", {}, "all envs")
      : make("b", {}, make("span", { class: groups }, `${kind} `), String(number));
    if (cameras.size > 1) name.append(` ${camera}`);
    const where = make("span", {});
    const step = make("span", {});
    const total = make("b", {});
    const reward = make("span", {});
    const action = make("span", {});
    const badge = make("span", { class: "rv-badge", hidden: true });
    const repeated = make(
      "span",
      { class: "rv-late", hidden: true, title: REPEATED_TITLE },
      "repeated",
    );
    const label = make(
      "div",
      { class: "rv-label" },
      make("span", { class: "rv-env" }, name),
      shared ? null : named("rv-episode", ["ep", "", "isode"], where),
      shared ? null : named("rv-step", ["s", "tep", ""], step),
      shared ? null : named("rv-action", ["", "action", ""], action),
    );
    const tile = make("div", { class: "rv-tile", "data-env": env, "data-slot": slot });
    const sums = make(
      "span",
      { class: "rv-total" },
      make("span", { class: "rv-reward" }, make("i", {}, "reward "), reward),
      make("span", { class: "rv-return" }, make("i", {}, "return "), total),
    );
    tile.append(label, shared ? "" : sums, badge, repeated);
    const texts = { where, step, total, reward, action, badge, repeated };
    const called = `${kind} ${number}`;
    return { slot, env, called, isShared: shared, el: tile, label, sums, ...texts };
  };

  let readers: Reader[] = [];
  const readActions = () => {
    const shape = store.manifest?.data?.find((one) => one.name === "action")?.shape;
    const count = shape ? shape.reduce((product, n) => product * n, 1) : 0;
    const actions = Array.from(
      { length: Math.min(count, MAX_ACTIONS) },
      (_, index) => ({
        name: "action",
        index,
      }),
    );
    for (const scalar of actions) scalars.want(scalar);
    readers = actions.map((scalar) => scalars.read(scalar));
  };
  const actionAt = (row: number, env: number) => {
    const numbers = readers.map((read) => read(row, env));
    if (numbers.every(Number.isNaN)) return "";
    const meaning = numbers.length === 1 && store.manifest?.meanings?.[numbers[0]!];
    return meaning || numbers.map(formatValue).join(" ");
  };

  const write = (tile: Tile, row: number, moment: Moment) => {
    const hasEpisode = moment.episode >= 0;
    setText(tile.where, hasEpisode ? String(moment.episode) : "");
    setText(tile.step, hasEpisode ? String(moment.envStep) : "");
    setText(tile.total, hasEpisode ? formatValue(moment.total) : "");
    if (viewOptions.shows("reward")) setText(tile.reward, formatSigned(moment.reward));
    if (viewOptions.shows("action")) setText(tile.action, actionAt(row, tile.env));
  };

  const describe = (tile: Tile, row: number, isTiny: boolean) => {
    const moment = store.steps.at(row, tile.env);
    // One picture of all envs: what one of them does is not its own.
    if (tile.isShared) return moment.kind;
    const hasEpisode = moment.episode >= 0;
    if (!isTiny) write(tile, row, moment);
    const isOver = moment.ends !== 0 || (moment.kind === IDLE && !hasEpisode);
    const outcome =
      !isOver || !moment.outcome
        ? ""
        : moment.outcome & TERMINATED
          ? "terminated"
          : "truncated";
    setText(tile.badge, outcome);
    tile.badge.hidden = !outcome;
    setAttribute(tile.badge, "data-outcome", outcome);
    return moment.kind;
  };

  return {
    el,
    place(slots, next, indices) {
      layout = next;
      places = slots;
      const before = new Map(tiles.map((tile) => [tile.slot, tile]));
      tiles = indices.map((index) => {
        const slot = slots[index]!;
        const known = before.get(slot);
        const { env } = store.manifest!.slots[slot]!;
        const called = nameOfEnv(store.manifest, env).join(" ");
        const isSame = known?.env === env && known.called === called;
        const tile = isSame ? known : createTile(slot);
        const column = index % next.columns;
        const row = Math.floor(index / next.columns);
        tile.el.style.cssText =
          `left:${column * next.tileWidth}px;top:${row * next.tileHeight}px;` +
          `width:${next.tileWidth}px;height:${next.tileHeight}px`;
        return tile;
      });
      el.replaceChildren(...tiles.map((tile) => tile.el));
    },
    update(row, absent, missing) {
      setAttribute(el, "data-hidden", viewOptions.now.hidden);
      if (viewOptions.shows("action")) readActions();
      const hasLabel = LABELS.some((name) => viewOptions.shows(name));
      const hasSums = viewOptions.shows("reward") || viewOptions.shows("return");
      // Text that no tile has room for (widget.css) is not written either.
      const isTiny = layout !== null && layout.tileWidth <= TINY_PX;
      const [gaps, pending] = [new Set(absent), new Set(missing)];
      for (const tile of tiles) {
        const kind =
          row >= 0 && row < store.numRows ? describe(tile, row, isTiny) : IDLE;
        const gap = pending.has(tile.slot)
          ? "loading"
          : gaps.has(tile.slot)
            ? kind === TERMINAL_MISSING
              ? "no terminal picture"
              : "no picture"
            : "";
        setAttribute(tile.el, "data-gap", gap);
        tile.label.hidden = !hasLabel;
        tile.sums.hidden = !hasSums;
        tile.repeated.hidden = Boolean(gap) || !store.isRepeated(row, tile.slot);
        setAttribute(
          tile.el,
          "data-selected",
          String(marks.selection.includes(tile.env)),
        );
      }
    },
    slotAt(x, y) {
      if (!layout) return null;
      const box = el.getBoundingClientRect();
      const index = tileAt(layout, places.length, x - box.left, y - box.top);
      return index === null ? null : places[index]!;
    },
  };
}

/** A number with its name; a narrow tile hides the name's end, then all but its start. */
function named(kind: string, name: [string, string, string], number: HTMLElement) {
  const [first, middle, end] = name;
  return make(
    "span",
    { class: kind },
    first,
    make("span", { class: "rv-word" }, middle),
    make("span", { class: "rv-long" }, end),
    make("span", { class: "rv-word" }, " "),
    number,
  );
}
