/** The menu of cameras, where there are several: all side by side, or one. */

import type { Session } from "../../session/session.ts";
import { camerasOf } from "../grid/camera-picker.ts";
import { createMenuButton, type MenuEntry } from "../parts/menu.ts";
import type { Tool } from "../parts/toolbar.ts";

export function createCameraMenu(
  session: Session,
  signal: AbortSignal,
): Tool & { update(): void } {
  const { viewOptions } = session;
  const chosen = () => {
    const { camera } = viewOptions.now;
    return camerasOf(session).includes(camera) ? camera : "";
  };
  const createEntry = (camera: string): MenuEntry => ({
    text: camera || "All cameras",
    isOn: camera === chosen(),
    isRadio: true,
    choose: () => viewOptions.set({ camera }),
  });
  const entries = () => ["", ...camerasOf(session)].map(createEntry);
  const menu = createMenuButton(
    { label: "Camera", iconName: "camera", entries },
    signal,
  );
  return {
    el: menu.el,
    entries: () => ["Camera", ...entries()],
    update() {
      menu.el.hidden = camerasOf(session).length < 2;
      menu.show(chosen() || "All cameras");
    },
  };
}
