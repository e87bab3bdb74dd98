/**
 * Frames as 32-bit words: applies deltas, and returns what they changed. Pure.
 *
 * A frame is `height * width * 3` bytes RGB, row by row, in a buffer of whole words.
 * Only what changed is written and drawn: a rectangle.
 */

/** Pixels x0..x1, y0..y1, ends exclusive; empty where x1 <= x0 or y1 <= y0. */
export interface Rect {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

export function makeFrame(width: number, height: number): Frame {
  const words = new Uint32Array(Math.ceil((width * height * 3) / 4));
  return { width, height, words, bytes: new Uint8Array(words.buffer) };
}

export function emptyRect(): Rect {
  return { x0: 0, y0: 0, x1: 0, y1: 0 };
}

export function fullRect(frame: { width: number; height: number }): Rect {
  return { x0: 0, y0: 0, x1: frame.width, y1: frame.height };
}

export function isEmpty(rect: Rect): boolean {
  return rect.x1 <= rect.x0 || rect.y1 <= rect.y0;
}

export function union(a: Rect, b: Rect): Rect {
  if (isEmpty(a)) return b;
  if (isEmpty(b)) return a;
  return {
    x0: Math.min(a.x0, b.x0),
    y0: Math.min(a.y0, b.y0),
    x1: Math.max(a.x1, b.x1),
    y1: Math.max(a.y1, b.y1),
  };
}

/** Xor `delta` into the frame; returns what changed. */
export function xorInto(frame: Frame, delta: Uint32Array): Rect {
  const { words } = frame;
  // From both ends first: most deltas are zeros but for a band.
  const from = skipZeros(delta, 0, words.length);
  const to = skipZerosBack(delta, from, words.length);
  return eachRow(frame, from, to, (first, stop) => {
    const i = skipZeros(delta, first, stop);
    if (i === stop) return null;
    const j = skipZerosBack(delta, i, stop);
    for (let k = i; k < j; k++) words[k]! ^= delta[k]!;
    return [i, j];
  });
}

/** Make the frame `base ^ delta` (base null: `delta`); returns what changed. */
export function replace(
  frame: Frame,
  base: Frame | null,
  delta: Uint32Array,
  within: Rect,
): Rect {
  if (isEmpty(within)) return within;
  const { words } = frame;
  const stride = (frame.width * 3) / 4;
  const from = Math.floor(within.y0 * stride);
  const to = Math.min(words.length, Math.ceil(within.y1 * stride));
  if (base === null) {
    const top = skipEqual(delta, words, from, to);
    return eachRow(frame, top, skipEqualBack(delta, words, top, to), (first, stop) => {
      const i = skipEqual(delta, words, first, stop);
      if (i === stop) return null;
      const j = skipEqualBack(delta, words, i, stop);
      for (let k = i; k < j; k++) words[k] = delta[k]!;
      return [i, j];
    });
  }
  const start = base.words;
  return eachRow(frame, from, to, (first, stop) => {
    let i = first;
    while (i < stop && ((start[i]! ^ delta[i]! ^ words[i]!) | 0) === 0) i++;
    if (i === stop) return null;
    let j = stop;
    while (((start[j - 1]! ^ delta[j - 1]! ^ words[j - 1]!) | 0) === 0) j--;
    for (let k = i; k < j; k++) words[k] = start[k]! ^ delta[k]!;
    return [i, j];
  });
}

// -- four words at a time: these loops are most of what playing costs

export function skipZeros(a: Uint32Array, from: number, to: number): number {
  let i = from;
  while (i + 3 < to && (a[i]! | a[i + 1]! | a[i + 2]! | a[i + 3]! | 0) === 0) i += 4;
  while (i < to && a[i] === 0) i++;
  return i;
}

export function skipZerosBack(a: Uint32Array, from: number, to: number): number {
  let i = to;
  while (i - 4 >= from && (a[i - 1]! | a[i - 2]! | a[i - 3]! | a[i - 4]! | 0) === 0)
    i -= 4;
  while (i > from && a[i - 1] === 0) i--;
  return i;
}

function skipEqual(a: Uint32Array, b: Uint32Array, from: number, to: number): number {
  let i = from;
  while (
    i + 3 < to &&
    ((a[i]! ^ b[i]!) |
      (a[i + 1]! ^ b[i + 1]!) |
      (a[i + 2]! ^ b[i + 2]!) |
      (a[i + 3]! ^ b[i + 3]!)) ===
      0
  )
    i += 4;
  while (i < to && a[i] === b[i]) i++;
  return i;
}

function skipEqualBack(
  a: Uint32Array,
  b: Uint32Array,
  from: number,
  to: number,
): number {
  let i = to;
  while (
    i - 4 >= from &&
    ((a[i - 1]! ^ b[i - 1]!) |
      (a[i - 2]! ^ b[i - 2]!) |
      (a[i - 3]! ^ b[i - 3]!) |
      (a[i - 4]! ^ b[i - 4]!)) ===
      0
  )
    i -= 4;
  while (i > from && a[i - 1] === b[i - 1]) i--;
  return i;
}

/**
 * Call `visit(first, stop)` for the words of each row between two words; it returns
 * the words that changed. Each word belongs to one row: where rows do not end on a
 * word, the rectangle is full width and has one row more.
 */
function eachRow(
  frame: Frame,
  from: number,
  to: number,
  visit: (first: number, stop: number) => [number, number] | null,
): Rect {
  const stride = (frame.width * 3) / 4;
  const isAligned = Number.isInteger(stride);
  let [x0, x1, y0, y1] = [frame.width, 0, -1, 0];
  const lastRow = Math.min(frame.height, Math.ceil(to / stride));
  for (let y = Math.floor(from / stride); y < lastRow; y++) {
    const start = Math.ceil(y * stride);
    const first = Math.max(start, from);
    const stop = Math.min(Math.ceil((y + 1) * stride), to);
    if (first >= stop) continue;
    const changed = visit(first, stop);
    if (!changed) continue;
    if (y0 < 0) y0 = y;
    y1 = y + 1;
    const left = (((changed[0] - start) * 4) / 3) | 0;
    const right = Math.ceil(((changed[1] - start) * 4) / 3);
    if (left < x0) x0 = left;
    if (right > x1) x1 = right;
  }
  if (y0 < 0) return emptyRect();
  if (isAligned) return { x0, y0, x1: Math.min(x1, frame.width), y1 };
  return {
    x0: 0,
    y0: Math.max(0, y0 - 1),
    x1: frame.width,
    y1: Math.min(frame.height, y1 + 1),
  };
}
