/**
 * The panel beside the pictures: inspector, episodes, comparison and notes, one at a time.
 *
 * Pictures make room for it: in a narrow view it is a sheet below them.
 */

import type { PanelName, ViewOptions } from "../../session/view-options.ts";
import { make } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "../parts/inputs.ts";
import { createSideEdge } from "./side-size.ts";
import { createSideTabs, type Panel } from "./side-tabs.ts";

export type { Panel } from "./side-tabs.ts";

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
  const close = () => {
    if (!viewOptions.now.panel) return;
    viewOptions.set({ panel: "" });
    leave();
  };
  const tabs = createSideTabs(
    panels,
    (name) => viewOptions.set({ panel: name }), // the tab keeps the focus
    signal,
  );
  const closer = createButton(
    icon("close"),
    { class: "rv-bare", "aria-label": "Close panel", title: "Close panel" },
    close,
    signal,
  );
  const el = make("aside", { class: "rv-side", "aria-label": "Panel", hidden: true });
  el.append(
    createSideEdge({ side: el, viewOptions, close }, signal),
    make("div", { class: "rv-side-head" }, tabs.el, closer),
    ...tabs.bodies,
  );

  let shown = "";
  let width = 0;
  /** Whether a panel is opened by this view, and not by another one. */
  let isAsked = false;
  const show = () => {
    const { panel: now, panelWidth } = viewOptions.now;
    const isHidden = !panels.some((panel) => panel.name === now);
    if (el.hidden !== isHidden) el.hidden = isHidden;
    tabs.update(now);
    if (panelWidth !== width) setWidth(el, panelWidth);
    width = panelWidth;
    if (shown === now) return;
    shown = now;
    panels.find((panel) => panel.name === now)?.onOpen?.(isAsked);
  };
  const open = (name: PanelName) => {
    isAsked = true;
    if (viewOptions.now.panel !== name) viewOptions.set({ panel: name });
    show();
    isAsked = false;
  };
  return {
    el,
    open,
    close,
    toggle: (name) => (viewOptions.now.panel === name ? close() : open(name)),
    update() {
      show();
      panels.find((panel) => panel.name === shown)?.update?.();
    },
    get isOpen() {
      return shown !== "";
    },
  };
}

function setWidth(el: HTMLElement, px: number): void {
  if (px) el.style.setProperty("--rv-side-width", `${px}px`);
  else el.style.removeProperty("--rv-side-width");
}
