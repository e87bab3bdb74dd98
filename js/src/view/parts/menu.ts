/** Menus: a button and the list that it opens, or a list at a point of the page. */

import { listen, make, setAttribute, setText } from "../dom.ts";
import { type IconName, icon } from "../icons.ts";
import { createButton } from "./inputs.ts";
import { type Anchor, createPopover } from "./popover.ts";

export interface MenuItem {
  text: string;
  icon?: IconName;
  /** A key, or what the choice means, at the end of the line. */
  hint?: string;
  /** One of several that can be on; undefined: it does something. */
  isOn?: boolean;
  /** One of those that exclude each other, as in a select. */
  isRadio?: boolean;
  isDisabled?: boolean;
  /** The menu stays open after it. */
  staysOpen?: boolean;
  choose: () => void;
}

/** A text alone is the heading of what follows; "" is a line. */
export type MenuEntry = MenuItem | string;

export interface Menu {
  el: HTMLElement;
  open(anchor: Anchor): void;
  close(): void;
  readonly isOpen: boolean;
}

/** What is on or off stays open, so that several can be chosen. */
const staysOpen = (item: MenuItem) =>
  item.staysOpen ?? (item.isOn !== undefined && !item.isRadio);

/** `entries` is called whenever it opens. */
export function createMenu(
  label: string,
  entries: () => readonly MenuEntry[],
  signal: AbortSignal,
): Menu {
  const popover = createPopover(
    { class: "rv-menu", role: "menu", "aria-label": label },
    signal,
  );
  const { el } = popover;
  const items = () => [
    ...el.querySelectorAll<HTMLButtonElement>("button:not(:disabled)"),
  ];
  const fill = () =>
    el.replaceChildren(...entries().map((entry) => createLine(entry, choose)));
  /** Write it anew; the focus moves on before its entry goes, or a host would take it. */
  const refill = () => {
    const at = items().indexOf(el.querySelector(":focus") as HTMLButtonElement);
    const old = [...el.children];
    const numOld = items().length;
    el.append(...entries().map((entry) => createLine(entry, choose)));
    items()[numOld + at]?.focus();
    for (const one of old) one.remove();
  };
  const choose = (item: MenuItem) => {
    if (!staysOpen(item)) popover.close();
    item.choose();
    if (staysOpen(item)) refill();
  };
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    const all = items();
    const at = all.indexOf(event.target as HTMLButtonElement);
    const to = {
      ArrowDown: (at + 1) % all.length,
      ArrowUp: (at - 1 + all.length) % all.length,
      Home: 0,
      End: all.length - 1,
    }[event.key];
    if (event.key === "Tab") popover.close();
    if (
      to === undefined &&
      event.key.length === 1 &&
      !event.ctrlKey &&
      !event.metaKey
    ) {
      const next = [...all.slice(at + 1), ...all.slice(0, at + 1)].find((one) =>
        one.textContent?.toLowerCase().startsWith(event.key.toLowerCase()),
      );
      if (event.key !== " ") next?.focus();
    }
    if (to !== undefined) {
      event.preventDefault();
      all[to]?.focus();
    }
    event.stopPropagation(); // the viewer's keys mean something else here
    if (event.key === "Escape") popover.close();
  });
  return {
    el,
    close: popover.close,
    open(anchor) {
      fill();
      popover.open(anchor);
      (el.querySelector<HTMLElement>('[aria-checked="true"]') ?? items()[0])?.focus();
    },
    get isOpen() {
      return popover.isOpen;
    },
  };
}

function createLine(entry: MenuEntry, choose: (item: MenuItem) => void): HTMLElement {
  if (entry === "") return make("div", { class: "rv-menu-line", role: "separator" });
  if (typeof entry === "string")
    return make("div", { class: "rv-menu-head", role: "presentation" }, entry);
  const { isOn, isRadio, hint, isDisabled } = entry;
  const role =
    isOn === undefined ? "menuitem" : isRadio ? "menuitemradio" : "menuitemcheckbox";
  const mark = isOn ? icon("check") : entry.icon ? icon(entry.icon) : null;
  const button = make(
    "button",
    {
      type: "button",
      class: "rv-menu-item",
      role,
      "aria-checked": isOn === undefined ? null : String(isOn),
      disabled: isDisabled ?? false,
      tabindex: -1,
    },
    make("span", { class: "rv-menu-mark" }, mark),
    make("span", { class: "rv-menu-text" }, entry.text),
    hint ? make("span", { class: "rv-menu-hint" }, hint) : null,
  );
  button.addEventListener("click", () => choose(entry));
  return button;
}

export interface MenuButton {
  /** The button, with its menu. */
  el: HTMLElement;
  button: HTMLButtonElement;
  /** Where the choice of now can be written. */
  text: HTMLElement;
  /** Write the choice of now, and name it. */
  show(choice: string): void;
}

interface MenuButtonParts {
  label: string;
  iconName?: IconName;
  className?: string;
  /** Without the arrow. */
  isPlain?: boolean;
  entries: () => readonly MenuEntry[];
}

/** A button that opens a menu below it; again, or Escape, closes it. */
export function createMenuButton(
  { label, iconName, className = "", isPlain = false, entries }: MenuButtonParts,
  signal: AbortSignal,
): MenuButton {
  const menu = createMenu(label, entries, signal);
  let wasOpen = false;
  const button = createButton(
    iconName ? icon(iconName) : null,
    {
      class: `rv-menu-button ${className}`.trim(),
      "aria-label": label,
      "aria-haspopup": "menu",
      "aria-expanded": "false",
    },
    () => (wasOpen ? menu.close() : menu.open(button)),
    signal,
  );
  // A press outside of an open menu closes it before the click comes.
  listen(button, "pointerdown", signal, () => {
    wasOpen = menu.isOpen;
  });
  listen(button, "keydown", signal, (event: KeyboardEvent) => {
    wasOpen = menu.isOpen;
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    event.stopPropagation();
    menu.open(button);
  });
  const text = make("span", { class: "rv-menu-now rv-long" });
  button.append(text, ...(isPlain ? [] : [icon("down")]));
  setAttribute(menu.el, "data-of", label);
  return {
    el: make("span", { class: "rv-menu-at" }, button, menu.el),
    button,
    text,
    show(choice) {
      setText(text, choice);
      setAttribute(button, "aria-label", `${label}: ${choice}`);
    },
  };
}
