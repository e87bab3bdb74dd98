/** A button that says what it does also where it shows an icon only. */

import { listen, make } from "../dom.ts";
import type { Action } from "../keymap.ts";

export interface ButtonOptions {
  /** Its name, and its tooltip. */
  label: string;
  content?: Node | string;
  /** Classes besides "rv-button". */
  classes?: string;
  action?: Action;
}

export function createButton(
  { label, content = label, classes = "", action }: ButtonOptions,
  onClick: () => void,
  signal: AbortSignal,
): HTMLButtonElement {
  const button = make(
    "button",
    {
      type: "button",
      class: classes ? `rv-button ${classes}` : "rv-button",
      "data-action": action ?? null,
      "aria-label": label,
      title: label,
    },
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
  return (action, label, content) =>
    createButton({ label, content, action }, () => perform(action), signal);
}
