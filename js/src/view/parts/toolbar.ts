/**
 * A line of controls: one tab stop, arrows move between them, and what does not fit gives
 * way, its texts first and then into a menu.
 */

import { listen, make, onResize } from "../dom.ts";
import type { MenuEntry } from "./menu.ts";
import { createMenuButton } from "./menu.ts";

export interface Tool {
  el: HTMLElement;
  /** When its text gives way (`.rv-long`); lower is earlier, without: never. */
  short?: number;
  /** When it gives way as a whole. */
  away?: number;
  /** What it does, in the menu of what gave way. */
  entries?: () => readonly MenuEntry[];
}

export interface Toolbar {
  el: HTMLElement;
  /** Keep the tab stop at a control that can be used. */
  update(): void;
}

interface ToolbarParts {
  className: string;
  label: string;
  tools: readonly Tool[];
  /** Entries that the menu has in any case; without, it is there only where needed. */
  extra?: () => readonly MenuEntry[];
  signal: AbortSignal;
}

export function createToolbar(parts: ToolbarParts): Toolbar {
  const { className, label, tools, extra, signal } = parts;
  const entries = () => {
    const away = tools.filter(({ el }) => el.classList.contains("rv-away"));
    const found = away
      .filter(({ el }) => !el.hidden)
      .map((tool) => tool.entries?.() ?? []);
    return joinGroups([...found, extra?.() ?? []].filter((one) => one.length));
  };
  const name = `More of ${label.toLowerCase()}`;
  const menu = { label: name, iconName: "more", isPlain: true, entries } as const;
  const more = createMenuButton(menu, signal);
  const el = make(
    "div",
    { class: className, role: "toolbar", "aria-label": label },
    ...tools.map((tool) => tool.el),
    more.el,
  );
  more.el.hidden = !extra;
  const stops = roveFocus(el, signal);
  const fit = createFit(el, tools, (isAway) => {
    more.el.hidden = !isAway && !extra;
  });
  followRoom(el, fit, stops.update, signal);
  return { el, update: stops.update };
}

/** A line ends a group with a heading, where the next one has none. */
function joinGroups(groups: readonly (readonly MenuEntry[])[]): MenuEntry[] {
  const isHeaded = (group?: readonly MenuEntry[]) => typeof group?.[0] === "string";
  return groups.flatMap((group, index) =>
    isHeaded(groups[index - 1]) && !isHeaded(group) ? ["", ...group] : group,
  );
}

/** Return what makes everything fit. */
function createFit(
  el: HTMLElement,
  tools: readonly Tool[],
  onAway: (isAway: boolean) => void,
): () => void {
  const steps = tools
    .flatMap(({ el, short, away }) => [
      { el, at: short, name: "rv-short" },
      { el, at: away, name: "rv-away" },
    ])
    .filter((step): step is typeof step & { at: number } => step.at !== undefined)
    .sort((a, b) => a.at - b.at);
  return () => {
    for (const { el, name } of steps) el.classList.remove(name);
    onAway(false);
    for (const step of steps) {
      if (el.scrollWidth <= el.clientWidth) return;
      step.el.classList.add(step.name);
      if (step.name === "rv-away" && !step.el.hidden) onAway(true);
    }
  };
}

/** Fit anew when the room or a control has another size; never while a row is drawn. */
function followRoom(
  el: HTMLElement,
  fit: () => void,
  onFit: () => void,
  signal: AbortSignal,
): void {
  let isDue = false;
  onResize([el, ...el.children], signal, () => {
    if (isDue) return;
    isDue = true;
    // Not at once: what is observed changes its size by it.
    requestAnimationFrame(() => {
      isDue = false;
      if (signal.aborted || !el.isConnected) return;
      fit();
      onFit();
    });
  });
}

/** Make a line of controls one tab stop. */
function roveFocus(el: HTMLElement, signal: AbortSignal): { update(): void } {
  const all = () =>
    [
      ...el.querySelectorAll<HTMLButtonElement | HTMLInputElement>("button, input"),
    ].filter((one) => !one.closest("[popover]"));
  const isUsable = (one: HTMLButtonElement | HTMLInputElement) =>
    !one.disabled && !one.closest("[hidden], .rv-away");
  let stop: HTMLElement | null = null;
  const setStop = (next: HTMLElement | null) => {
    if (stop) stop.tabIndex = -1;
    stop = next;
    if (next) next.tabIndex = 0;
  };
  for (const one of all()) one.tabIndex = -1;
  listen(el, "focusin", signal, ({ target }: FocusEvent) => {
    if (all().includes(target as HTMLButtonElement)) setStop(target as HTMLElement);
  });
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const usable = all().filter(isUsable);
    const at = usable.indexOf(event.target as HTMLButtonElement);
    const isHeld = event.shiftKey || event.ctrlKey || event.altKey || event.metaKey;
    if (!by || at < 0 || isHeld || !isAtEdge(event.target as Element, by)) return;
    event.preventDefault();
    event.stopPropagation(); // the viewer steps by them
    usable[(at + by + usable.length) % usable.length]!.focus();
  });
  return {
    update() {
      if (stop && isUsable(stop as HTMLButtonElement)) return;
      setStop(all().find(isUsable) ?? null);
    },
  };
}

/** In a field arrows move the caret, and leave it only where it cannot move. */
function isAtEdge(target: Element, by: number): boolean {
  if (!(target instanceof HTMLInputElement)) return true;
  const { selectionStart, selectionEnd, value } = target;
  const edge = by > 0 ? value.length : 0;
  return selectionStart === selectionEnd && selectionStart === edge;
}
