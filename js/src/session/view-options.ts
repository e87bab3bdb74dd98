/**
 * What the user chose to see: panels, overlays, traces. One for all views of a model.
 *
 * Nothing here changes what was recorded. Saved over a reload of the page
 * (saved-state.ts).
 */

import { Emitter } from "../util/emitter.ts";

/** What can be shown beside the pictures. */
export type PanelName = "inspector" | "episodes" | "compare" | "notes";

export interface OptionValues {
  /** The panel that is open; "": none is. */
  panel: PanelName | "";
  /** What the timeline draws: "reward+return", "reward", "return", or "obs[3]". */
  trace: string;
  /** Of whom: "tile", or all with their "range" or "deviation". */
  over: string;
  /** Names of overlays that are off, with spaces between. */
  hidden: string;
  /** Name of the camera that is shown; "": all of them. */
  camera: string;
  /** Height of the view in a notebook, in CSS pixels; 0: as much as fits. */
  height: number;
}

export const OVERLAYS = [
  { name: "env", text: "Env" },
  { name: "episode", text: "Episode" },
  { name: "step", text: "Step" },
  { name: "action", text: "Action" },
  { name: "reward", text: "Reward" },
  { name: "return", text: "Return" },
  { name: "done", text: "End badge" },
  { name: "missing", text: "Missing terminal picture" },
] as const;
export type OverlayName = (typeof OVERLAYS)[number]["name"];

export const DEFAULT_OPTIONS: OptionValues = {
  panel: "",
  trace: "reward+return",
  over: "tile",
  hidden: "action reward",
  camera: "",
  height: 0,
};

export class ViewOptions {
  readonly onChange = new Emitter();
  #values: OptionValues = DEFAULT_OPTIONS;

  get now(): OptionValues {
    return this.#values;
  }

  set(change: Partial<OptionValues>): void {
    this.#values = { ...this.#values, ...change };
    this.onChange.emit();
  }

  shows(overlay: OverlayName): boolean {
    return !this.#values.hidden.split(" ").includes(overlay);
  }

  setOverlay(overlay: OverlayName, isShown: boolean): void {
    const hidden = OVERLAYS.filter(({ name }) =>
      name === overlay ? !isShown : !this.shows(name),
    );
    this.set({ hidden: hidden.map(({ name }) => name).join(" ") });
  }

  /** Take what was saved; fields of another version are passed over. */
  restore(saved: unknown): void {
    if (!saved || typeof saved !== "object") return;
    const known = Object.entries(saved).filter(
      ([name, value]) =>
        name in DEFAULT_OPTIONS &&
        typeof value === typeof DEFAULT_OPTIONS[name as keyof OptionValues],
    );
    this.set(Object.fromEntries(known) as Partial<OptionValues>);
  }
}
