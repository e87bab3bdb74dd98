/**
 * What the user chose to see: panels, overlays, tracks. One for all views of a model.
 *
 * Nothing here changes what was recorded. Saved over a reload of the page
 * (saved-state.ts).
 */

import { parseScalar, type Scalar } from "../recording/scalars.ts";
import { Emitter } from "../util/emitter.ts";

/** What can be shown beside the pictures. */
export type PanelName = "inspector" | "episodes" | "compare" | "notes";

/** Of whom a track is: the selected tile, or all envs in one of these ways. */
export const OVERS = ["tile", "mean", "range", "deviation", "lines"] as const;
export type Over = (typeof OVERS)[number];

/** A scalar that the timeline draws. */
export interface Track {
  scalar: Scalar;
  over: Over;
}

export interface OptionValues {
  /** The panel that is open; "": none is. */
  panel: PanelName | "";
  /** How wide the panel is, in CSS pixels; 0: as wide as the page has room for. */
  panelWidth: number;
  /** What the timeline draws, from top to bottom. */
  tracks: readonly Track[];
  /** Names of overlays that are off, with spaces between. */
  hidden: string;
  /** Whether there is any text on the tiles. */
  hasText: boolean;
  /** First and last row that the timeline shows; null: all of them. */
  window: readonly [from: number, to: number] | null;
  /** Name of the camera that is shown; "": all of them. */
  camera: string;
  /** Height of the view in a notebook, in CSS pixels; 0: as much as fits. */
  height: number;
}

/** Whether previews may stand in for exact pictures that a thin link does not carry. */
export type Quality = "auto" | "exact" | "preview";

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
/** Those in the caption of a tile. */
const CAPTIONS = ["env", "episode", "step", "action", "reward", "return"] as const;

export const DEFAULT_OPTIONS: OptionValues = {
  panel: "",
  panelWidth: 0,
  tracks: ["reward", "return"].map((name) => ({
    scalar: { name, index: -1 },
    over: "tile",
  })),
  hidden: "action reward",
  hasText: true,
  window: null,
  camera: "",
  height: 0,
};

export class ViewOptions {
  readonly onChange = new Emitter();
  /** Values that were saved are back. */
  readonly onRestore = new Emitter();
  #values: OptionValues = DEFAULT_OPTIONS;
  /** Python owns it: it is not saved here. */
  #quality: Quality = "auto";

  get quality(): Quality {
    return this.#quality;
  }

  setQuality(quality: Quality): void {
    this.#quality = quality;
    this.onChange.emit();
  }

  get now(): OptionValues {
    return this.#values;
  }

  set(change: Partial<OptionValues>): void {
    this.#values = { ...this.#values, ...change };
    this.onChange.emit();
  }

  /** Note what the timeline shows: with each step of a wheel, and nothing else changes. */
  noteWindow(window: OptionValues["window"]): void {
    this.#values = { ...this.#values, window };
  }

  shows(overlay: OverlayName): boolean {
    return !this.#values.hidden.split(" ").includes(overlay);
  }

  /** Whether tiles have a caption where there is room for one. */
  get hasCaptions(): boolean {
    return this.#values.hasText && CAPTIONS.some((name) => this.shows(name));
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
    const values = Object.fromEntries(known) as Partial<OptionValues>;
    this.set({
      ...values,
      tracks: tracksIn(saved) ?? DEFAULT_OPTIONS.tracks,
      window: windowIn(saved),
    });
    this.onRestore.emit();
  }
}

function windowIn(saved: object): OptionValues["window"] {
  const { window } = saved as Partial<OptionValues>;
  if (!Array.isArray(window) || !window.every(Number.isFinite)) return null;
  const [from, to] = window as number[];
  return window.length === 2 && from! < to! ? [from!, to!] : null;
}

/** The tracks that were saved, by this version or the one that had a single trace. */
function tracksIn(saved: object): Track[] | null {
  const { tracks, trace, over } = saved as Record<string, unknown>;
  if (Array.isArray(tracks)) return tracks.filter(isTrack);
  if (typeof trace !== "string") return null;
  const keys = trace === "reward+return" ? ["reward", "return"] : [trace];
  return keys.map((key) => ({
    scalar: parseScalar(key),
    over: OVERS.find((one) => one === over) ?? "tile",
  }));
}

function isTrack(value: unknown): value is Track {
  const { scalar, over } = (value ?? {}) as Partial<Track>;
  return (
    typeof scalar?.name === "string" &&
    Number.isInteger(scalar.index) &&
    OVERS.includes(over as Over)
  );
}
