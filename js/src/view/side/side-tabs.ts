/** The tabs of the panel: one tab stop, arrows move between them. */

import type { PanelName } from "../../session/view-options.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { createButton } from "../parts/inputs.ts";

export interface Panel {
  name: PanelName;
  title: string;
  el: HTMLElement;
  /** Written beside the title, such as how many episodes there are; "": nothing. */
  count?: () => string;
  /** It became visible, opened by the user where `isAsked`. */
  onOpen?: (isAsked: boolean) => void;
  /** Write what changed; called while it is visible. */
  update?: () => void;
}

export interface SideTabs {
  el: HTMLElement;
  /** The element that shows a panel. */
  bodies: HTMLElement[];
  /** Show the panel of this name; "": none. */
  update(open: PanelName | ""): void;
}

/** Several views may be in one document. */
let numViews = 0;

export function createSideTabs(
  panels: readonly Panel[],
  onOpen: (name: PanelName) => void,
  signal: AbortSignal,
): SideTabs {
  numViews += 1;
  const id = (name: PanelName) => `rv-${view}-${name}`;
  const view = numViews;
  const tabs = panels.map((panel) =>
    createTab(panel, id(panel.name), () => onOpen(panel.name), signal),
  );
  const bodies = panels.map(({ name, el }) => createBody(id(name), el));
  const el = make(
    "div",
    { class: "rv-tabs", role: "tablist", "aria-label": "Panel" },
    ...tabs.map((tab) => tab.el),
  );
  moveByArrows(el, signal);
  return {
    el,
    bodies,
    update(open) {
      for (const [index, { name }] of panels.entries()) {
        const body = bodies[index]!;
        tabs[index]!.update(name === open);
        if (body.hidden !== (name !== open)) body.hidden = name !== open;
      }
    },
  };
}

function createBody(id: string, content: HTMLElement): HTMLElement {
  const attributes = { "aria-labelledby": `${id}-tab`, tabindex: 0 };
  return make(
    "div",
    { class: "rv-panel", id, role: "tabpanel", ...attributes },
    content,
  );
}

function createTab(
  { name, title, count }: Panel,
  id: string,
  onClick: () => void,
  signal: AbortSignal,
) {
  const number = make("span", { class: "rv-tab-count" });
  const attributes = { role: "tab", id: `${id}-tab`, "aria-controls": id };
  const el = createButton(
    title,
    { class: "rv-tab", "data-panel": name, ...attributes },
    onClick,
    signal,
  );
  el.append(number);
  return {
    el,
    update(isOpen: boolean) {
      setAttribute(el, "aria-selected", String(isOpen));
      setAttribute(el, "tabindex", isOpen ? "0" : "-1");
      const text = count?.() ?? "";
      setText(number, text && ` ${text}`);
    },
  };
}

function moveByArrows(list: HTMLElement, signal: AbortSignal): void {
  listen(list, "keydown", signal, (event: KeyboardEvent) => {
    const tabs = [...list.children] as HTMLElement[];
    const at = tabs.indexOf(event.target as HTMLElement);
    const to = {
      ArrowLeft: (at - 1 + tabs.length) % tabs.length,
      ArrowRight: (at + 1) % tabs.length,
      Home: 0,
      End: tabs.length - 1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    tabs[to]!.click();
    tabs[to]!.focus();
  });
}
