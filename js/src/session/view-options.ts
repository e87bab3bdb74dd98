/**
 * How people chose to look: panels, overlays, traces. One for all views of a model.
 *
 * Nothing here changes what was recorded. Kept over a reload of the page (kept.ts).
 */

import { Emitter } from "../util/emitter.ts";

export interface Look {
  isInspecting: boolean;
  /** What the timeline draws: "reward+return", "reward", "return", or "obs[3]". */
  trace: string;
  /** Of whom: "tile", or all with their "range" or "deviation". */
  over: string;
  /** Names of overlays that are off, with spaces between. */
  hidden: string;
  /** Name of the camera that is shown; "": all of them. */
  camera: string;
}

export const OVERLAYS = [
  { name: "env", text: "Env" },
  { name: "episode", text: "Episode" },
  { name: "step", text: "Step" },
  { name: "action", text: "Action" },
  { name: "reward", text: "Reward" },
  { name: "return", text: "Return" },
  { name: "done", text: "Done badge" },
  { name: "missing", text: "Missing terminal picture" },
] as const;
export type OverlayName = (typeof OVERLAYS)[number]["name"];

export const PLAIN: Look = {
  isInspecting: false,
  trace: "reward+return",
  over: "tile",
  hidden: "action reward",
  camera: "",
};

export class Looks {
  readonly onChange = new Emitter();
  #look: Look = PLAIN;

  get now(): Look {
    return this.#look;
  }

  set(change: Partial<Look>): void {
    this.#look = { ...this.#look, ...change };
    this.onChange.emit();
  }

  shows(overlay: OverlayName): boolean {
    return !this.#look.hidden.split(" ").includes(overlay);
  }

  setOverlay(overlay: OverlayName, isShown: boolean): void {
    const hidden = OVERLAYS.filter(({ name }) =>
      name === overlay ? !isShown : !this.shows(name),
    );
    this.set({ hidden: hidden.map(({ name }) => name).join(" ") });
  }

  /** Take what was kept; fields of another version are passed over. */
  restore(kept: unknown): void {
    if (!kept || typeof kept !== "object") return;
    const known = Object.entries(kept).filter(
      ([name, value]) =>
        name in PLAIN && typeof value === typeof PLAIN[name as keyof Look],
    );
    this.set(Object.fromEntries(known) as Partial<Look>);
  }
}
