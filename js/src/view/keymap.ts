/**
 * The keys, as data: their names and what they do. Pure.
 *
 * `key` is its name in the help and the guide; `codes` are the browser's names.
 */

type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

export type Action =
  | "toggle"
  | "back"
  | "forward"
  | "back10"
  | "forward10"
  | "first"
  | "last"
  | "previousEnd"
  | "nextEnd"
  | `tenth${Digit}`
  | "markIn"
  | "markOut"
  | "unmark"
  | "loop"
  | "follow"
  | "bookmark"
  | "unbookmark"
  | "episodes"
  | "slower"
  | "faster"
  | "labels"
  | "inspect"
  | "copyFrame"
  | "copyLink"
  | "undo"
  | "zoomIn"
  | "zoomOut"
  | "zoomReset"
  | "zoomPixels"
  | "zoomDouble"
  | "nextTile"
  | "previousTile"
  | "full"
  | "open"
  | "leave"
  | "help";

export interface Binding {
  key: string;
  codes: readonly string[];
  isShifted?: boolean;
  action: Action;
  does: string;
}

/** A heading, and the keys below it. */
export type BindingGroup = readonly [name: string, bindings: readonly Binding[]];

const PLAYBACK: readonly Binding[] = [
  { key: "Space", codes: [" "], action: "toggle", does: "play or pause" },
  { key: "K", codes: ["k"], action: "toggle", does: "play or pause" },
  { key: "J", codes: ["j"], action: "slower", does: "half speed" },
  { key: "<", codes: ["<"], action: "slower", does: "half speed" },
  { key: "[", codes: ["["], action: "slower", does: "half speed" },
  { key: "L", codes: ["l"], action: "faster", does: "double speed" },
  { key: ">", codes: [">"], action: "faster", does: "double speed" },
  { key: "]", codes: ["]"], action: "faster", does: "double speed" },
  { key: "R", codes: ["r"], action: "loop", does: "loop: off, all, range, episode" },
  {
    key: "Shift+F",
    codes: ["f"],
    isShifted: true,
    action: "follow",
    does: "follow new rows",
  },
];

const PLACE: readonly Binding[] = [
  { key: "←", codes: ["ArrowLeft"], action: "back", does: "previous row" },
  { key: ",", codes: [","], action: "back", does: "previous row" },
  { key: "→", codes: ["ArrowRight"], action: "forward", does: "next row" },
  { key: ".", codes: ["."], action: "forward", does: "next row" },
  {
    key: "Shift+←",
    codes: ["ArrowLeft"],
    isShifted: true,
    action: "back10",
    does: "ten rows back",
  },
  {
    key: "Shift+→",
    codes: ["ArrowRight"],
    isShifted: true,
    action: "forward10",
    does: "ten rows on",
  },
  { key: "↑", codes: ["ArrowUp"], action: "previousEnd", does: "previous episode end" },
  { key: "↓", codes: ["ArrowDown"], action: "nextEnd", does: "next episode end" },
  { key: "Home", codes: ["Home"], action: "first", does: "first row" },
  { key: "End", codes: ["End"], action: "last", does: "last row; follows new ones" },
  // Which tenth is the digit's: see actionOf.
  { key: "0-9", codes: [], action: "tenth0", does: "so many tenths of the recording" },
];

const PICTURES: readonly Binding[] = [
  { key: "N", codes: ["n"], action: "nextTile", does: "select the next tile" },
  { key: "P", codes: ["p"], action: "previousTile", does: "select the tile before" },
  { key: "Enter", codes: ["Enter"], action: "open", does: "selected tile alone" },
  { key: "Escape", codes: ["Escape"], action: "leave", does: "back to all tiles" },
  { key: "C", codes: ["c"], action: "copyFrame", does: "copy the picture as PNG" },
  { key: "=", codes: ["=", "+"], action: "zoomIn", does: "zoom in" },
  { key: "-", codes: ["-"], action: "zoomOut", does: "zoom out" },
  { key: "Z", codes: ["z"], action: "zoomReset", does: "fit the pictures" },
  { key: "T", codes: ["t"], action: "labels", does: "text on the tiles" },
];

const MARKS: readonly Binding[] = [
  { key: "I", codes: ["i"], action: "markIn", does: "range begins here" },
  { key: "O", codes: ["o"], action: "markOut", does: "range ends here" },
  { key: "X", codes: ["x"], action: "unmark", does: "no range" },
  {
    key: "M",
    codes: ["m"],
    action: "bookmark",
    does: "bookmark this row, with a note",
  },
  {
    key: "B",
    codes: ["b"],
    action: "bookmark",
    does: "bookmark this row, with a note",
  },
  {
    key: "Shift+B",
    codes: ["b", "m"],
    isShifted: true,
    action: "unbookmark",
    does: "no bookmark at this row",
  },
  // Ctrl is the host's, except here: see isUndo.
  { key: "Ctrl+Z", codes: [], action: "undo", does: "undo the last mark or label" },
];

const VIEW: readonly Binding[] = [
  { key: "F", codes: ["f"], action: "full", does: "whole screen, and back" },
  {
    key: "Shift+I",
    codes: ["i"],
    isShifted: true,
    action: "inspect",
    does: "inspector: all numbers of the selected tile",
  },
  { key: "E", codes: ["e"], action: "episodes", does: "list of all episodes" },
  { key: "?", codes: ["?"], action: "help", does: "these keys" },
];

export const GROUPS: readonly BindingGroup[] = [
  ["Playback", PLAYBACK],
  ["Place", PLACE],
  ["Pictures", PICTURES],
  ["Marks", MARKS],
  ["View", VIEW],
];

export const BINDINGS: readonly Binding[] = GROUPS.flatMap(([, bindings]) => bindings);

/** The keys of an action, as they are named in the help. */
export function keysOf(action: Action): string[] {
  return BINDINGS.filter((binding) => binding.action === action).map(({ key }) => key);
}

const ARROWS: Record<string, string> = {
  "←": "ArrowLeft",
  "→": "ArrowRight",
  "↑": "ArrowUp",
  "↓": "ArrowDown",
  Ctrl: "Control",
};

/** The keys of an action as the attribute `aria-keyshortcuts` has them; null: none. */
export function shortcutsOf(action: Action): string | null {
  const named = keysOf(action).map((key) =>
    key
      .split("+")
      .map((part) => ARROWS[part] ?? part)
      .join("+"),
  );
  return named.join(" ") || null;
}

/** The part of a keydown event that is used. */
export interface Pressed {
  key: string;
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
}

/**
 * Whether a key is the host's, wherever the focus is in a viewer: saving a notebook,
 * running a cell, closing a tab.
 *
 * What is typed by AltGr has Ctrl and Alt too: it is a sign.
 */
export function isOfHost({
  key,
  shiftKey,
  ctrlKey,
  metaKey,
  altKey,
}: Pressed): boolean {
  if (key === "Enter") return shiftKey || ctrlKey || metaKey || altKey;
  if (/^F\d+$/.test(key)) return true;
  if (ctrlKey && altKey && key.length === 1 && !/[a-z]/i.test(key)) return false;
  return ctrlKey || metaKey || altKey;
}

/** Whether a key undoes; it is the host's where there is nothing to undo. */
export function isUndo({ key, shiftKey, ctrlKey, metaKey, altKey }: Pressed): boolean {
  return key.toLowerCase() === "z" && (ctrlKey || metaKey) && !shiftKey && !altKey;
}

/** Return what a key does; null: it is not bound. */
export function actionOf(pressed: Pressed): Action | null {
  if (isOfHost(pressed)) return null;
  if (/^\d$/.test(pressed.key)) return `tenth${pressed.key as Digit}`;
  const code = pressed.key.length === 1 ? pressed.key.toLowerCase() : pressed.key;
  const found = BINDINGS.filter((binding) => binding.codes.includes(code));
  // Letters and signs mean the same with shift: "?" needs it on most keyboards.
  const shifted = found.find((binding) => binding.isShifted);
  const plain = found.find((binding) => !binding.isShifted);
  return (pressed.shiftKey ? (shifted ?? plain) : plain)?.action ?? null;
}
