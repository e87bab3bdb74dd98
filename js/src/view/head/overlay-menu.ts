/** The menu of what is drawn above the pictures: each on or off. */

import type { Session } from "../../session/session.ts";
import { OVERLAYS } from "../../session/view-options.ts";
import { createMenuButton } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";

export function createOverlayMenu({ viewOptions }: Session, signal: AbortSignal): Tool {
  const entries = () =>
    OVERLAYS.map(({ name, text }) => ({
      text,
      isOn: viewOptions.shows(name),
      choose: () => viewOptions.setOverlay(name, !viewOptions.shows(name)),
    }));
  const { el, text } = createMenuButton(
    { label: "Labels on the tiles", iconName: "overlays", entries },
    signal,
  );
  text.textContent = "Labels";
  return { el, entries: () => ["Labels on the tiles", ...entries()] };
}
