/** Buttons and choices, as all panels have them. */

import { listen, make } from "../dom.ts";
import { type Action, shortcutsOf } from "../keymap.ts";

type Attributes = Record<string, string | null>;

/** The attributes of a button whose name is not its content: tooltip.ts shows it. */
export function named(label: string): { "aria-label": string } {
  return { "aria-label": label };
}

/** `attributes.class`: its classes besides "rv-button". */
export function createButton(
  content: Node | string | null,
  attributes: Attributes,
  onClick: () => void,
  signal: AbortSignal,
): HTMLButtonElement {
  const classes = `rv-button ${attributes.class ?? ""}`.trim();
  const button = make(
    "button",
    { type: "button", ...attributes, class: classes },
    content,
  );
  listen(button, "click", signal, onClick);
  return button;
}

/** Makes a button for an action of the viewer. */
export type ActionButton = (
  action: Action,
  label: string,
  content: Node | string,
) => HTMLButtonElement;

export function actionButtons(
  perform: (action: Action) => void,
  signal: AbortSignal,
): ActionButton {
  return (action, label, content) => {
    const attributes = {
      ...named(label),
      "data-action": action,
      "aria-keyshortcuts": shortcutsOf(action),
    };
    return createButton(content, attributes, () => perform(action), signal);
  };
}

export function createSelect(
  attributes: Attributes,
  options: readonly HTMLOptionElement[],
  onChoose: (value: string) => void,
  signal: AbortSignal,
): HTMLSelectElement {
  const select = make("select", attributes, ...options);
  listen(select, "change", signal, () => onChoose(select.value));
  return select;
}

export function createOption(value: string | number, text: string): HTMLOptionElement {
  return make("option", { value }, text);
}
