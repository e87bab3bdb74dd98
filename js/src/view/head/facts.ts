/** How much there is: envs and rows, bytes, and pictures that are lost. */

import type { Manifest } from "../../protocol/messages.ts";
import type { Store } from "../../recording/store.ts";
import { make, setText } from "../dom.ts";
import { formatBytes, formatCount } from "../format.ts";

export interface Facts {
  els: HTMLElement[];
  update(): void;
}

const MEMORY = "Bytes in the page, in the kernel's memory, and of pictures on its disk";

export function createFacts(store: Store): Facts {
  const lost = make("span", { class: "rv-lost" });
  const size = make("span", { class: "rv-facts" });
  const memory = make("span", { class: "rv-facts rv-memory", title: MEMORY });
  return {
    els: [lost, size, memory],
    update() {
      const { manifest } = store;
      setText(lost, manifest ? describeLost(manifest) : "");
      setText(size, manifest ? describeSize(manifest, store) : "");
      setText(memory, manifest ? describeMemory(store) : "");
    },
  };
}

/** Pictures that are not there any more, and why. */
function describeLost({ num_lost, num_evicted }: Manifest): string {
  const parts = [];
  if (num_lost) parts.push(`${formatCount(num_lost)} pictures lost`);
  if (num_evicted) parts.push(`${formatCount(num_evicted)} made room for newer ones`);
  return parts.join(" · ");
}

function describeSize({ num_envs }: Manifest, store: Store): string {
  const counted = (count: number, noun: string) =>
    `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
  const tiles = counted(num_envs, store.arrangement ? "tile" : "env");
  return `${tiles} · ${counted(store.numRows - store.firstRow, "row")}`;
}

function describeMemory({ numBytes, kernelBytes, diskBytes }: Store): string {
  const parts = [`page ${formatBytes(numBytes)}`];
  if (kernelBytes) parts.push(`kernel ${formatBytes(kernelBytes)}`);
  if (diskBytes) parts.push(`disk ${formatBytes(diskBytes)}`);
  return parts.join(" · ");
}
