/**
 * The keys, as data: their names and what they do. Pure.
 *
 * `key` is its name in help and README; `codes` are the browser's names.
 */

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
  | "zoomIn"
  | "zoomOut"
  | "zoomReset"
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

export const BINDINGS: readonly Binding[] = [
  { key: "Space", codes: [" "], action: "toggle", does: "play or pause" },
  { key: "←", codes: ["ArrowLeft"], action: "back", does: "one row back" },
  { key: "→", codes: ["ArrowRight"], action: "forward", does: "next row" },
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
  { key: "Home", codes: ["Home"], action: "first", does: "first row" },
  { key: "End", codes: ["End"], action: "last", does: "last row; follows new ones" },
  {
    key: "↑",
    codes: ["ArrowUp"],
    action: "previousEnd",
    does: "previous end of an episode",
  },
  { key: "↓", codes: ["ArrowDown"], action: "nextEnd", does: "next end of an episode" },
  { key: "I", codes: ["i"], action: "markIn", does: "range begins here" },
  { key: "O", codes: ["o"], action: "markOut", does: "range ends here" },
  { key: "X", codes: ["x"], action: "unmark", does: "no range" },
  { key: "L", codes: ["l"], action: "loop", does: "loop: off, all, range, episode" },
  { key: "F", codes: ["f"], action: "follow", does: "follow new rows" },
  {
    key: "B",
    codes: ["b"],
    action: "bookmark",
    does: "bookmark this row, with a note",
  },
  {
    key: "Shift+B",
    codes: ["b"],
    isShifted: true,
    action: "unbookmark",
    does: "no bookmark at this row",
  },
  { key: "E", codes: ["e"], action: "episodes", does: "list of all episodes" },
  { key: "[", codes: ["["], action: "slower", does: "half speed" },
  { key: "]", codes: ["]"], action: "faster", does: "double speed" },
  { key: "T", codes: ["t"], action: "labels", does: "text on the tiles" },
  {
    key: "Shift+I",
    codes: ["i"],
    isShifted: true,
    action: "inspect",
    does: "inspector: all numbers of the selected tile",
  },
  { key: "N", codes: ["n"], action: "nextTile", does: "select the next tile" },
  {
    key: "P",
    codes: ["p"],
    action: "previousTile",
    does: "select the tile before",
  },
  { key: "Z", codes: ["z"], action: "full", does: "whole screen, and back" },
  { key: "=", codes: ["=", "+"], action: "zoomIn", does: "zoom in; Ctrl and wheel" },
  { key: "-", codes: ["-"], action: "zoomOut", does: "zoom out" },
  { key: "0", codes: ["0"], action: "zoomReset", does: "no zoom" },
  { key: "Enter", codes: ["Enter"], action: "open", does: "selected tile alone" },
  { key: "Escape", codes: ["Escape"], action: "leave", does: "back to all tiles" },
  { key: "?", codes: ["?"], action: "help", does: "these keys" },
];

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

/** Return what a key does; null: it is not bound. */
export function actionOf(pressed: Pressed): Action | null {
  if (isOfHost(pressed)) return null;
  const code = pressed.key.length === 1 ? pressed.key.toLowerCase() : pressed.key;
  const found = BINDINGS.filter((binding) => binding.codes.includes(code));
  // Letters and signs mean the same with shift: "?" needs it on most keyboards.
  const shifted = found.find((binding) => binding.isShifted);
  const plain = found.find((binding) => !binding.isShifted);
  return (pressed.shiftKey ? (shifted ?? plain) : plain)?.action ?? null;
}
