/** Which pictures of each env are shown: all cameras side by side, or one. */

import type { Session } from "../../session/session.ts";

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
