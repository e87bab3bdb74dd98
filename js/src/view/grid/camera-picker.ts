/** Which pictures of each env are shown: all cameras side by side, or one. */

import type { Session } from "../../session/session.ts";
import { setText } from "../dom.ts";
import { createMenuButton } from "../parts/menu.ts";

export function camerasOf({ store }: Session): string[] {
  return [...new Set((store.manifest?.slots ?? []).map(({ camera }) => camera))];
}

/** The slots to show, the cameras of an env beside each other. */
export function slotsInSight(session: Session): { slots: number[]; together: number } {
  const all = session.store.manifest?.slots ?? [];
  const cameras = camerasOf(session);
  const { camera } = session.viewOptions.now;
  const isOne = cameras.includes(camera);
  const slots = all
    .map((_, slot) => slot)
    .filter((slot) => !isOne || all[slot]!.camera === camera);
  slots.sort(
    (a, b) =>
      all[a]!.env - all[b]!.env ||
      cameras.indexOf(all[a]!.camera) - cameras.indexOf(all[b]!.camera),
  );
  const numEnvs = new Set(slots.map((slot) => all[slot]!.env)).size;
  // An env without one of the cameras would shift all that follow.
  const isWhole = slots.length === numEnvs * cameras.length;
  return { slots, together: isOne || !isWhole ? 1 : cameras.length };
}

/** A menu of cameras, where there are several. */
export function createCameraPicker(session: Session, signal: AbortSignal) {
  const { viewOptions } = session;
  const chosen = () => {
    const { camera } = viewOptions.now;
    return camerasOf(session).includes(camera) ? camera : "";
  };
  const entryOf = (camera: string) => ({
    text: camera || ALL,
    isOn: chosen() === camera,
    isRadio: true,
    choose: () => viewOptions.set({ camera }),
  });
  const { el, text } = createMenuButton(
    {
      label: "Camera",
      iconName: "camera",
      entries: () => ["", ...camerasOf(session)].map(entryOf),
    },
    signal,
  );
  const update = () => {
    el.hidden = camerasOf(session).length < 2;
    setText(text, chosen() || ALL);
  };
  update();
  return { el, update };
}

const ALL = "All cameras";
