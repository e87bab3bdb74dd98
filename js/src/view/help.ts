/** Keys and gestures, on request: grouped, and searched by what is typed. */

import { listen, make } from "./dom.ts";
import { icon } from "./icons.ts";
import { type Binding, GROUPS } from "./keymap.ts";
import { createButton } from "./parts/inputs.ts";

export interface Help {
  el: HTMLElement;
  toggle(isOpen?: boolean): void;
  readonly isOpen: boolean;
}

/** What a pointer does, and where. */
const GESTURES: readonly (readonly [gesture: string, does: string])[] = [
  ["Click on a picture", "select it; with Shift or Ctrl several"],
  ["Double click on a picture", "show it alone, and all again"],
  ["Ctrl+wheel on pictures", "zoom; a pinch does it too"],
  ["Drag on pictures", "move them where they are zoomed"],
  ["Wheel on the timeline", "scroll the page"],
  ["Ctrl+wheel on the timeline", "zoom it at the pointer; a pinch does it too"],
  ["Shift+wheel on the timeline", "move it"],
  ["Drag on the ruler", "mark a range; with Shift anywhere on the timeline"],
  ["Double click on an episode", "mark it as the range"],
];

interface Section {
  el: HTMLElement;
  lines: { text: string; els: HTMLElement[] }[];
}

export function createHelp(leave: () => void, signal: AbortSignal): Help {
  const search = make("input", {
    type: "text",
    class: "rv-input",
    placeholder: "Search",
    autocomplete: "off",
    "aria-label": "Search keys",
  });
  const close = createButton(
    icon("close"),
    { class: "rv-bare", "aria-label": "Close help" },
    () => el.close(),
    signal,
  );
  const sections = [...GROUPS.map(createKeys), createGestures()];
  const none = make("p", { class: "rv-help-none", hidden: true }, "No key matches.");
  const el = make(
    "dialog",
    { class: "rv-help", "aria-label": "Keys and mouse" },
    make(
      "div",
      { class: "rv-help-head" },
      make("b", {}, "Keys and mouse"),
      search,
      close,
    ),
    make(
      "div",
      // Scrolled by keys, too.
      { class: "rv-help-body", tabindex: 0, role: "group", "aria-label": "Keys" },
      ...sections.map((one) => one.el),
      none,
    ),
    make("p", {}, "Keys work while the viewer has the focus."),
  );
  const filter = () => {
    none.hidden = filterSections(sections, search.value.trim().toLowerCase());
  };
  listen(search, "input", signal, filter);
  listen(el, "keydown", signal, (event: KeyboardEvent) => {
    event.stopPropagation(); // the viewer's keys mean something else here
    if (event.key === "Escape" || (event.key === "?" && event.target !== search)) {
      event.preventDefault();
      el.close();
    }
  });
  // A press on what is around it closes it.
  listen(el, "pointerdown", signal, (event: PointerEvent) => {
    const { left, right, top, bottom } = el.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    if (x < left || x > right || y < top || y > bottom) el.close();
  });
  listen(el, "close", signal, leave);
  const toggle = (isOpen = !el.open) => {
    if (!isOpen) el.close();
    else if (!el.open) {
      search.value = "";
      filter();
      el.showModal();
    }
  };
  return {
    el,
    toggle,
    get isOpen() {
      return el.open;
    },
  };
}

/** Keys that do the same share a line. */
function createKeys([name, bindings]: readonly [string, readonly Binding[]]): Section {
  const byWhat = new Map<string, string[]>();
  for (const { key, does } of bindings)
    byWhat.set(does, [...(byWhat.get(does) ?? []), key]);
  return createSection(
    name,
    [...byWhat].map(([does, keys]) => [keys.map(createKey), does, keys.join(" ")]),
  );
}

function createGestures(): Section {
  return createSection(
    "Mouse",
    GESTURES.map(([gesture, does]) => [[make("span", {}, gesture)], does, gesture]),
  );
}

function createKey(key: string): HTMLElement {
  const parts = key.split("+").map((part) => make("kbd", {}, part));
  return make("span", { class: "rv-keys" }, ...parts);
}

function createSection(
  name: string,
  lines: readonly (readonly [HTMLElement[], does: string, searched: string])[],
): Section {
  const made = lines.map(([keys, does, searched]) => ({
    text: `${searched} ${does} ${name}`.toLowerCase(),
    els: [make("dt", {}, ...keys), make("dd", {}, does)],
  }));
  const list = make("dl", {}, ...made.flatMap((line) => line.els));
  return { el: make("section", {}, make("h3", {}, name), list), lines: made };
}

/** Hide what does not have the text; returns whether anything has it. */
function filterSections(sections: readonly Section[], text: string): boolean {
  let isAny = false;
  for (const { el, lines } of sections) {
    let isHere = false;
    for (const line of lines) {
      const isFound = line.text.includes(text);
      isHere ||= isFound;
      for (const one of line.els) one.hidden = !isFound;
    }
    el.hidden = !isHere;
    isAny ||= isHere;
  }
  return isAny;
}
