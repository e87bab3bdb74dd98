/** Labels as small chips: success and failure in their colours, others neutral. */

import { textOfLabel } from "../../recording/episodes.ts";
import { make } from "../dom.ts";

export function createTags(labels: Record<string, unknown> = {}): HTMLElement[] {
  return Object.entries(labels).map((label) =>
    make("span", { class: "rv-tag", "data-label": label[0] }, textOfLabel(label)),
  );
}
