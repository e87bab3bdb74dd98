/** The menu of what is drawn above the pictures: each on or off. */

import type { Session } from "../../session/session.ts";
import { OVERLAYS } from "../../session/view-options.ts";
import { createMenuButton } from "../parts/menu.ts";

export function createOverlayMenu(
  { viewOptions }: Session,
  signal: AbortSignal,
): HTMLElement {
  const { el, text } = createMenuButton(
    {
      label: "Labels on the tiles",
      iconName: "overlays",
      entries: () =>
        OVERLAYS.map(({ name, text }) => ({
          text,
          isOn: viewOptions.shows(name),
          choose: () => viewOptions.setOverlay(name, !viewOptions.shows(name)),
        })),
    },
    signal,
  );
  text.textContent = "Labels";
  return el;
}
