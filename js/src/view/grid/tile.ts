/** The elements of one tile: its name, its numbers, its chips. */

import { cornerOf, type Layout } from "../../playback/layout.ts";
import type { Manifest } from "../../protocol/messages.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import { make } from "../dom.ts";

export interface Tile {
  slot: number;
  env: number;
  /** Its env's name: an arrangement names the same slot differently. */
  name: string;
  /** It shows all envs in one picture. */
  isShared: boolean;
  el: HTMLElement;
  caption: HTMLElement;
  label: HTMLElement;
  sums: HTMLElement;
  /** The outcome, and labels after it. */
  chips: HTMLElement;
  badge: HTMLElement;
  repeated: HTMLElement;
  /** Labels that are shown as chips now. */
  labels: unknown;
  /** Where texts are written. */
  episode: HTMLElement;
  step: HTMLElement;
  total: HTMLElement;
  reward: HTMLElement;
  action: HTMLElement;
}

/** Return the tile of a slot: the one before, if it still shows the same env. */
export function tileOf(manifest: Manifest, slot: number, before?: Tile): Tile {
  const { env } = manifest.slots[slot]!;
  const name = nameOfEnv(manifest, env).join(" ");
  return before?.env === env && before.name === name
    ? before
    : createTile(manifest, slot, name);
}

/** Put a tile at its place in the grid. */
export function placeTile({ el }: Tile, layout: Layout, index: number): void {
  const { columns, tileWidth, tileHeight, caption } = layout;
  const { x, y } = cornerOf(layout, index);
  el.style.cssText =
    `left:${x}px;top:${y}px;` + `width:${tileWidth}px;height:${tileHeight + caption}px`;
  // Text that is wider than its tile extends to where there is room.
  el.classList.toggle("rv-at-right", index % columns >= columns / 2);
}

function createTile(manifest: Manifest, slot: number, name: string): Tile {
  const { env, shared: isShared } = manifest.slots[slot]!;
  const episode = make("span", {});
  const step = make("span", {});
  const total = make("b", {});
  const reward = make("span", {});
  const action = make("span", {});
  const label = make(
    "span",
    { class: "rv-label" },
    make("span", { class: "rv-env" }, titleOf(manifest, slot)),
    // Not seen, but read: words of a name are apart.
    " ",
    isShared ? null : named("rv-episode", ["ep", "", "isode"], episode),
    " ",
    isShared ? null : named("rv-step", ["s", "tep", ""], step),
    " ",
    isShared ? null : named("rv-action", ["", "action", ""], action),
  );
  const sums = make(
    "span",
    { class: "rv-total" },
    make("span", { class: "rv-reward" }, make("i", {}, "reward "), reward),
    " ",
    make("span", { class: "rv-return" }, make("i", {}, "return "), total),
  );
  const badge = make("span", { class: "rv-badge", hidden: true });
  const repeated = make("span", { class: "rv-late", hidden: true });
  const chips = make("span", { class: "rv-tile-chips" }, badge);
  const caption = make(
    "div",
    { class: "rv-caption" },
    label,
    " ",
    isShared ? null : sums,
  );
  const el = make(
    "div",
    {
      class: "rv-tile",
      role: "option",
      tabindex: -1,
      "data-env": env,
      "data-slot": slot,
    },
    caption,
    " ",
    make("div", { class: "rv-tile-top" }, chips, " ", repeated),
  );
  const parts = { caption, label, sums, chips, badge, repeated, labels: undefined };
  const texts = { episode, step, total, reward, action };
  return { slot, env, name, isShared, el, ...parts, ...texts };
}

/** The env's name, and its camera where there are several. */
function titleOf(manifest: Manifest, slot: number): HTMLElement {
  const { slots, groups, names } = manifest;
  const { env, camera, shared } = slots[slot]!;
  const [kind, number] = nameOfEnv(manifest, env);
  const kindClass = groups?.length || names ? "rv-group-name" : "rv-word";
  const [, key = "", rest = ""] = /^(\w+ )?(.*)/s.exec(String(number))!;
  const title = shared
    ? make("b", {}, "all envs")
    : make(
        "b",
        {},
        make("span", { class: kindClass }, `${kind} `),
        make("span", { class: "rv-by" }, key),
        rest,
      );
  const cameras = new Set(slots.map((one) => one.camera));
  if (cameras.size > 1) title.append(` ${camera}`);
  return title;
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
