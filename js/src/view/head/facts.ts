/** How much there is: envs, episodes and rows; bytes and lost pictures on request. */

import type { Manifest } from "../../protocol/messages.ts";
import type { Store } from "../../recording/store.ts";
import { wilson } from "../../util/wilson.ts";
import { make, setText } from "../dom.ts";
import { formatBytes, formatCount } from "../format.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import type { MenuEntry } from "../parts/menu.ts";
import { createPopover } from "../parts/popover.ts";
import type { Tool } from "../parts/toolbar.ts";

export interface Facts {
  /** How much there is, in a line. */
  size: HTMLElement;
  /** Pictures that are not there any more; empty where all are. */
  lost: HTMLElement;
  /** The button that shows all of it. */
  info: Tool;
  update(): void;
}

export function createFacts(store: Store, signal: AbortSignal): Facts {
  const size = make("span", { class: "rv-facts" });
  const lost = make("span", { class: "rv-lost" });
  return {
    size,
    lost,
    info: createInfo(store, signal),
    update() {
      const { manifest } = store;
      setText(lost, manifest?.num_lost ? describeLost(manifest.num_lost) : "");
      setText(size, manifest ? describeSize(manifest, store) : "");
    },
  };
}

function createInfo(store: Store, signal: AbortSignal): Tool {
  const label = "Recording and memory";
  const popover = createPopover(
    { class: "rv-info", role: "dialog", "aria-label": label, tabindex: "-1" },
    signal,
  );
  const open = (anchor: Element) => {
    const lines = store.manifest ? factsOf(store.manifest, store) : [];
    const items = lines.flatMap(([name, value]) => [
      make("dt", {}, name),
      make("dd", {}, value),
    ]);
    popover.el.replaceChildren(make("dl", {}, ...items));
    popover.open(anchor);
    popover.el.focus();
  };
  const attributes = { ...named(label), "aria-haspopup": "dialog", class: "rv-bare" };
  const button = createButton(icon("cpu"), attributes, () => open(button), signal);
  const el = make("span", { class: "rv-menu-at" }, button, popover.el);
  const entry: MenuEntry = {
    text: label,
    icon: "cpu",
    choose: () => open(el.parentElement ?? el),
  };
  return { el, entries: () => [entry] };
}

function factsOf(
  manifest: Manifest,
  store: Store,
): [name: string, value: string | Node][] {
  const { numBytes, kernelBytes, diskBytes } = store;
  const { num_lost, num_evicted, num_envs, reduced = 1 } = manifest;
  const lost = make("span", { class: "rv-lost" }, formatCount(num_lost));
  const facts: [string, string | Node, boolean][] = [
    ["Envs", formatCount(num_envs), true],
    ["Episodes", formatCount(store.recorded.steps.episodes.count), true],
    ["Rows", formatCount(store.numRows - store.firstRow), true],
    ["Size of pictures", `1/${reduced} each way`, reduced > 1],
    ["Pictures lost", lost, num_lost > 0],
    ["Pictures that made room for newer ones", formatCount(num_evicted), true],
    ["Memory of this page", formatBytes(numBytes), true],
    ["Memory of the kernel", formatBytes(kernelBytes), kernelBytes > 0],
    ["Pictures on the kernel's disk", formatBytes(diskBytes), diskBytes > 0],
  ];
  return facts
    .filter(([name, , isShown]) => isShown && (num_evicted || !/room/.test(name)))
    .map(([name, value]) => [name, value]);
}

function describeLost(numLost: number): string {
  return `${counted(numLost, "picture")} lost`;
}

function describeSize({ num_envs }: Manifest, store: Store): string {
  const numEpisodes = store.recorded.steps.episodes.count;
  const parts = [
    counted(num_envs, store.arrangement ? "tile" : "env"),
    ...(numEpisodes ? [counted(numEpisodes, "episode")] : []),
    counted(store.numRows - store.firstRow, "row"),
    ...successOf(store),
  ];
  return parts.join(" \u00b7 ");
}

/** The success rate of the episodes of which it is known, with its interval. */
function successOf({ recorded }: Store): string[] {
  const { numJudged, numSuccesses } = recorded.steps.episodes;
  if (!numJudged) return [];
  const [low, high] = wilson(numSuccesses, numJudged).map(percent);
  return [`${percent(numSuccesses / numJudged)}% success (${low}\u2013${high}%)`];
}

const percent = (share: number) => Math.round(100 * share);

function counted(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}
