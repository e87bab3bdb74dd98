/** The menu of what is drawn above the pictures: each on or off. */

import type { Session } from "../../session/session.ts";
import { OVERLAYS } from "../../session/view-options.ts";
import { keysOf } from "../keymap.ts";
import { createMenuButton } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";

export function createOverlayMenu({ viewOptions }: Session, signal: AbortSignal): Tool {
  const entries = () => {
    const { hasText } = viewOptions.now;
    const parts = OVERLAYS.map(({ name, text }) => ({
      text,
      isOn: viewOptions.shows(name),
      isDisabled: !hasText,
      choose: () => viewOptions.setOverlay(name, !viewOptions.shows(name)),
    }));
    const all = {
      text: "Text on the tiles",
      hint: keysOf("labels")[0]!,
      isOn: hasText,
      choose: () => viewOptions.set({ hasText: !hasText }),
    };
    return [all, "", ...parts];
  };
  const { el, text } = createMenuButton(
    { label: "Labels on the tiles", iconName: "overlays", entries },
    signal,
  );
  text.textContent = "Labels";
  return { el, entries: () => ["Labels on the tiles", ...entries()] };
}
