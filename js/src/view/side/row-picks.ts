/** What clicks and keys in a list mean. Pure. */

/** "only": this one and no other; "open": this one, alone. */
export type Pick = "only" | "toggle" | "extend" | "open";

interface Modifiers {
  shiftKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
}

/** By how many rows a key moves. */
const MOVES: Record<string, number> = {
  ArrowDown: 1,
  ArrowUp: -1,
  PageDown: 8,
  PageUp: -8,
  Home: Number.NEGATIVE_INFINITY,
  End: Number.POSITIVE_INFINITY,
};

export function pickOfClick(event: Modifiers & { type: string }): Pick {
  if (event.type === "dblclick") return "open";
  if (event.shiftKey) return "extend";
  return event.ctrlKey || event.metaKey ? "toggle" : "only";
}

/**
 * What a key picks; null: it is not the list's.
 *
 * Space chooses only where keys are used: who clicked a row expects it to play.
 */
export function pickOfKey(
  event: Modifiers & { key: string; altKey: boolean },
  isByPointer: boolean,
): Pick | null {
  const { key, shiftKey, ctrlKey, metaKey, altKey } = event;
  if (ctrlKey || metaKey || altKey) return null;
  if (key in MOVES) return shiftKey ? "extend" : "only";
  if (key === "Enter") return shiftKey ? null : "open";
  return key === " " && !isByPointer ? "toggle" : null;
}

/** The place after a key; beyond the ends where there is no such place. */
export function placeAfter(key: string, place: number): number {
  return place + (MOVES[key] ?? 0);
}
