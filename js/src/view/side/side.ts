/**
 * The panel beside the pictures: inspector, episodes, comparison and notes, one at a time.
 *
 * Beside them, never below: where a view is narrow it is a sheet over its lower part.
 */

import type { PanelName, ViewOptions } from "../../session/view-options.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "../parts/inputs.ts";

export interface Panel {
  name: PanelName;
  title: string;
  el: HTMLElement;
  /** Written beside the title, such as how many episodes there are; "": nothing. */
  count?: () => string;
  /** Whether there is anything to show; without: always. */
  isOffered?: () => boolean;
  /** It became visible, opened by the user where `isAsked`. */
  onOpen?: (isAsked: boolean) => void;
  /** Write what changed; called while it is visible. */
  update?: () => void;
}

export interface Side {
  el: HTMLElement;
  open(name: PanelName): void;
  close(): void;
  /** Open it, or close it where it is the open one. */
  toggle(name: PanelName): void;
  update(): void;
  readonly isOpen: boolean;
}

export function createSide(
  panels: readonly Panel[],
  viewOptions: ViewOptions,
  leave: () => void,
  signal: AbortSignal,
): Side {
  numViews += 1;
  const id = numViews;
  const tabs = panels.map((panel) =>
    createTab(panel, id, () => open(panel.name), signal),
  );
  const close = () => {
    if (!viewOptions.now.panel) return;
    viewOptions.set({ panel: "" });
    leave();
  };
  const list = make(
    "div",
    { class: "rv-tabs", role: "tablist", "aria-label": "Panel" },
    ...tabs.map((tab) => tab.el),
  );
  const closer = createButton(
    icon("close"),
    { class: "rv-bare", "aria-label": "Close panel", title: "Close panel" },
    close,
    signal,
  );
  const bodies = panels.map(({ name, el }) =>
    make(
      "div",
      {
        class: "rv-panel",
        id: idOf(name, id),
        role: "tabpanel",
        "aria-labelledby": `${idOf(name, id)}-tab`,
        tabindex: 0,
      },
      el,
    ),
  );
  const el = make(
    "aside",
    { class: "rv-side", "aria-label": "Panel", hidden: true },
    make("div", { class: "rv-side-head" }, list, closer),
    ...bodies,
  );
  moveByArrows(list, signal);

  let shown = "";
  const show = (isAsked: boolean) => {
    const { panel: now } = viewOptions.now;
    el.hidden = !panels.some((panel) => panel.name === now);
    for (const [index, panel] of panels.entries()) {
      const isOpen = panel.name === now;
      tabs[index]!.update(isOpen);
      bodies[index]!.hidden = !isOpen;
      if (isOpen && shown !== now) panel.onOpen?.(isAsked);
    }
    shown = now;
  };
  const open = (name: PanelName) => {
    if (viewOptions.now.panel !== name) viewOptions.set({ panel: name });
    show(true);
  };
  return {
    el,
    open,
    close,
    toggle: (name) => (viewOptions.now.panel === name ? close() : open(name)),
    update() {
      show(false);
      panels.find((panel) => panel.name === shown)?.update?.();
    },
    get isOpen() {
      return shown !== "";
    },
  };
}

/** Several views may be in one document. */
let numViews = 0;
const idOf = (name: PanelName, view: number) => `rv-${view}-${name}`;

function createTab(
  panel: Panel,
  view: number,
  onClick: () => void,
  signal: AbortSignal,
) {
  const { name, title, count, isOffered } = panel;
  const number = make("span", { class: "rv-tab-count" });
  const el = createButton(
    title,
    { class: "rv-tab", role: "tab", id: `${idOf(name, view)}-tab`, "data-panel": name },
    onClick,
    signal,
  );
  setAttribute(el, "aria-controls", idOf(name, view));
  el.append(number);
  return {
    el,
    update(isOpen: boolean) {
      setAttribute(el, "aria-selected", String(isOpen));
      el.tabIndex = isOpen ? 0 : -1;
      el.hidden = !isOpen && isOffered !== undefined && !isOffered();
      setText(number, count?.() ?? "");
    },
  };
}

/** One tab stop for all tabs: arrows move between them. */
function moveByArrows(list: HTMLElement, signal: AbortSignal): void {
  listen(list, "keydown", signal, (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const tabs = [...list.children].filter(
      (tab) => !(tab as HTMLElement).hidden,
    ) as HTMLElement[];
    const at = tabs.indexOf(event.target as HTMLElement);
    const next = tabs[(at + by + tabs.length) % tabs.length];
    next?.click();
    next?.focus();
  });
}
