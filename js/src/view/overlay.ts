/**
 * What stands above the pictures: labels, outcomes, what is missing, the selection.
 *
 * One element a tile, whose text changes only where it has to.
 */

import { type Layout, tileAt } from "../layout.ts";
import { IDLE, nameOfEnv, TERMINAL_MISSING, TERMINATED } from "../protocol.ts";
import type { Session } from "../session.ts";
import { make, setAttribute, setText } from "./dom.ts";
import { formatValue } from "./numbers.ts";

export interface Overlay {
  el: HTMLElement;
  /** Make a tile for each of these slots. */
  place(slots: readonly number[], layout: Layout): void;
  /** Show a row; `absent` and `missing` are slots. */
  update(row: number, absent: readonly number[], missing: readonly number[]): void;
  /** Slot at a point of the page; null: none. */
  slotAt(x: number, y: number): number | null;
}

interface Tile {
  slot: number;
  env: number;
  isShared: boolean;
  el: HTMLElement;
  where: HTMLElement;
  step: HTMLElement;
  total: HTMLElement;
  badge: HTMLElement;
  late: HTMLElement;
}

const LATE =
  "This camera delivered no picture in this row: the one before is shown again";

export function overlayOf({ store, marks }: Session): Overlay {
  const el = make("div", { class: "rv-overlay" });
  let tiles: Tile[] = [];
  let layout: Layout | null = null;

  const tileOf = (slot: number): Tile => {
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
    const badge = make("span", { class: "rv-badge", hidden: true });
    const late = make(
      "span",
      { class: "rv-late", hidden: true, title: LATE },
      "repeated",
    );
    const label = make(
      "div",
      { class: "rv-label" },
      name,
      shared ? null : named("rv-episode", ["ep", "", "isode"], where),
      shared ? null : named("rv-step", ["s", "tep", ""], step),
    );
    const tile = make("div", { class: "rv-tile", "data-env": env, "data-slot": slot });
    tile.append(
      label,
      shared ? "" : make("span", { class: "rv-total" }, make("i", {}, "return"), total),
      badge,
      late,
    );
    return { slot, env, isShared: shared, el: tile, where, step, total, badge, late };
  };

  const describe = (tile: Tile, row: number) => {
    const moment = store.steps.at(row, tile.env);
    // One picture of all envs: what one of them does is not its own.
    if (tile.isShared) return moment.kind;
    const hasEpisode = moment.episode >= 0;
    setText(tile.where, hasEpisode ? String(moment.episode) : "");
    setText(tile.step, hasEpisode ? String(moment.envStep) : "");
    setText(tile.total, hasEpisode ? formatValue(moment.total) : "");
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
    place(slots, next) {
      layout = next;
      tiles = slots.map(tileOf);
      for (const [index, { el }] of tiles.entries()) {
        const column = index % next.columns;
        const row = Math.floor(index / next.columns);
        el.style.cssText =
          `left:${column * next.tileWidth}px;top:${row * next.tileHeight}px;` +
          `width:${next.tileWidth}px;height:${next.tileHeight}px`;
      }
      el.replaceChildren(...tiles.map((tile) => tile.el));
    },
    update(row, absent, missing) {
      for (const tile of tiles) {
        const kind = row >= 0 && row < store.numRows ? describe(tile, row) : IDLE;
        const gap = missing.includes(tile.slot)
          ? "loading"
          : absent.includes(tile.slot)
            ? kind === TERMINAL_MISSING
              ? "no terminal picture"
              : "no picture"
            : "";
        setAttribute(tile.el, "data-gap", gap);
        tile.late.hidden = Boolean(gap) || !store.isLate(row, tile.slot);
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
      const index = tileAt(layout, tiles.length, x - box.left, y - box.top);
      return index === null ? null : (tiles[index]?.slot ?? null);
    },
  };
}

/** A number with its name, whose end goes first and then all but its first letter. */
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
