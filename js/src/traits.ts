/**
 * The traits of the Jupyter model, both ways.
 *
 * The playhead and its like are always set on the model, so that jslink sees them, and
 * saved to Python only while Python observes them. What a reload of the page must not
 * lose is saved in the browser, and restored where Python set nothing since.
 */

import type { KernelLink } from "./kernel-link.ts";
import type { Loop } from "./playback/clock.ts";
import { loadState, type SavedState, saveState } from "./session/saved-state.ts";
import type { Session } from "./session/session.ts";
import type { Quality } from "./session/view-options.ts";
import { isSame } from "./util/same.ts";

/** The part of anywidget's model that is used. */
export interface Model {
  // biome-ignore lint/suspicious/noExplicitAny: traits have any type
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  // biome-ignore lint/suspicious/noExplicitAny: events have any arguments
  on(event: string, callback: (...args: any[]) => void): void;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  off(event: string, callback?: ((...args: any[]) => void) | null): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  /** JupyterLab's and Notebook's have a `kernel`; others have none of that. */
  widget_manager?: unknown;
}

/** Listens to an event of the model, as long as the session lasts. */
export type Listen = (event: string, callback: (...args: never[]) => void) => void;

/** How often the playhead is reported while it moves. */
const REPORT_MS = 200;

/** Those that the page sets too. `bookmarks` come only: it sends each change alone. */
type TraitName = "playhead" | "playing" | "speed" | "loop" | "selection" | "quality";

interface Trait {
  read(): unknown;
  set(value: never): void;
}

/** What traits are in the page. */
function traitsOf(session: Session): Record<TraitName, Trait> {
  const { clock, viewOptions } = session;
  return {
    playhead: {
      read: () => session.place().row,
      set(row: number) {
        // Before the first rows there is no row to go to; that comes with them.
        if (row !== session.place().row) session.goTo(row, null);
      },
    },
    playing: {
      read: () => clock.isPlaying,
      set: (isPlaying: boolean) => (isPlaying ? clock.play() : clock.pause()),
    },
    speed: { read: () => clock.speed, set: (speed: number) => clock.setSpeed(speed) },
    loop: {
      read: () => clock.loop,
      set: (loop: Loop) => loop !== clock.loop && clock.setLoop(loop),
    },
    selection: {
      read: () => session.selectedEnvs(),
      set: (envs: number[]) => session.selectEnvs(envs),
    },
    quality: {
      read: () => viewOptions.quality,
      // A kernel of another version has none.
      set: (quality?: Quality) => viewOptions.setQuality(quality ?? "auto"),
    },
  };
}

export class TraitSync {
  readonly #model: Model;
  readonly #session: Session;
  readonly #link: KernelLink;
  readonly #key: string;
  readonly #traits: Record<TraitName, Trait>;
  readonly #names: TraitName[];
  /** What Python has, as far as the page knows. */
  readonly #kernel = {} as Record<TraitName, unknown>;
  readonly #saved: SavedState | null;
  /** Where to go when its row has come. */
  #wanted: number;
  #isReady = false;
  /** A change that we make ourselves comes back as an event. */
  #isReporting = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(model: Model, session: Session, link: KernelLink) {
    this.#model = model;
    this.#link = link;
    this.#session = session;
    this.#key = String(model.get("_key") ?? "");
    this.#traits = traitsOf(session);
    this.#names = Object.keys(this.#traits) as TraitName[];
    for (const name of this.#names) this.#kernel[name] = model.get(name);
    this.#saved = loadState(this.#key);
    this.#wanted = this.#newer("playhead")?.row ?? (this.#kernel.playhead as number);
  }

  /** Restore what is known, and follow both sides until the signal. */
  start(on: Listen, signal: AbortSignal): void {
    const { clock, marks, viewOptions } = this.#session;
    for (const name of this.#names) on(`change:${name}`, () => this.#take(name));
    const takeBookmarks = () => marks.setBookmarks(this.#model.get("bookmarks") ?? []);
    on("change:bookmarks", takeBookmarks);
    takeBookmarks();
    this.#restore();
    clock.onChange.on(() => {
      this.#begin();
      if (this.#isReady) this.#reportLater();
    }, signal);
    globalThis.addEventListener?.("pagehide", () => this.#save(), { signal });
    signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      this.#save();
    });
    on("change:_observed", () => this.#isReady && this.#report());
    marks.onChange.on(() => this.#report(["selection"]), signal);
    viewOptions.onChange.on(() => this.#report(["quality"]), signal);
  }

  /** What was saved, where Python did not set this trait since; else null. */
  #newer(name: TraitName): SavedState | null {
    const saved = this.#saved;
    return saved && isSame(saved.kernel[name], this.#kernel[name]) ? saved : null;
  }

  /** Python or jslink set a trait. */
  #take(name: TraitName): void {
    if (this.#isReporting) return;
    const value = this.#model.get(name);
    // After a reconnection the host sets all traits as the kernel has them: that is no
    // news, and what the user chose since stays.
    if (this.#link.isNew && isSame(value, this.#kernel[name])) {
      this.#report();
      return;
    }
    this.#kernel[name] = value;
    if (name === "playhead" && !this.#isReady) this.#wanted = value;
    else this.#traits[name].set(value as never);
  }

  #restore(): void {
    const { clock, viewOptions } = this.#session;
    const saved = this.#saved;
    const kernel = this.#kernel;
    this.#traits.selection.set(kernel.selection as never);
    this.#traits.quality.set(kernel.quality as never);
    clock.setSpeed(this.#newer("speed")?.speed ?? (kernel.speed as number));
    if (saved?.range) clock.setRange(saved.range);
    this.#session.undo.settle();
    viewOptions.restore(saved?.options);
    clock.setEvery(saved?.every ?? 1);
    clock.setLoop(this.#newer("loop")?.loop ?? (kernel.loop as Loop));
  }

  /** Go to the wanted row, once it is here. */
  #begin(): void {
    const { clock, store } = this.#session;
    const { manifest, numRows } = store;
    if (this.#isReady || !manifest || !numRows) return;
    if (numRows <= Math.min(this.#wanted, manifest.num_rows - 1)) return;
    this.#isReady = true;
    const saved = this.#newer("playhead");
    if (saved ? saved.isFollowing : clock.isFollowing) clock.follow();
    else if (saved || (this.#kernel.playhead as number) > 0) clock.seek(this.#wanted);
    if (this.#model.get("playing")) clock.play();
  }

  #reportLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#report();
      // A host may make the model anew without ending this one.
      this.#save();
    }, REPORT_MS);
  }

  /** Set the traits that changed; save them if Python observes one, or `always`. */
  #report(always: readonly TraitName[] = []): void {
    const model = this.#model;
    // Before the first rows the clock is at 0, which the user did not choose.
    const values = this.#names
      .filter((name) => this.#isReady || always.includes(name))
      .map((name) => [name, this.#traits[name].read()] as const);
    this.#isReporting = true;
    for (const [name, value] of values)
      if (!isSame(value, model.get(name))) model.set(name, value);
    this.#isReporting = false;
    const wanting = [...((model.get("_observed") ?? []) as string[]), ...always];
    const isNews = ([name, value]: readonly [TraitName, unknown]) =>
      wanting.includes(name) && !isSame(value, this.#kernel[name]);
    if (!values.some(isNews)) return;
    for (const [name, value] of values) this.#kernel[name] = value;
    model.save_changes();
  }

  /** Save what a reload of the page must not lose. */
  #save(): void {
    if (this.#isReady) saveState(this.#key, this.#session, this.#kernel);
  }
}
