/**
 * Pixels as 32-bit words: which changed, and RGB to RGBA for a canvas. Pure.
 *
 * A frame is `height * width * 3` bytes RGB, row by row, in a buffer of whole words.
 * Only what changed is written and drawn, so both are told as a rectangle.
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

function skipZeros(a: Uint32Array, from: number, to: number): number {
  let i = from;
  while (i + 3 < to && (a[i]! | a[i + 1]! | a[i + 2]! | a[i + 3]! | 0) === 0) i += 4;
  while (i < to && a[i] === 0) i++;
  return i;
}

function skipZerosBack(a: Uint32Array, from: number, to: number): number {
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

/** Size of a frame on a canvas that shows every pixel of `reduction` x `reduction`. */
export function reducedSize(size: number, reduction: number): number {
  return Math.ceil(size / reduction);
}

/** Return the rectangle in reduced pixels that covers `rect`, snapped for speed. */
export function reduceRect(frame: Frame, rect: Rect, reduction: number): Rect {
  if (isEmpty(rect)) return emptyRect();
  // Four pixels are three words: whole groups are expanded word by word.
  const snap = reduction === 2 ? 2 : reduction === 1 ? 4 : 1;
  const width = reducedSize(frame.width, reduction);
  const x0 = Math.floor(rect.x0 / reduction);
  const x1 = Math.ceil(rect.x1 / reduction);
  return {
    x0: x0 - (x0 % snap),
    y0: Math.floor(rect.y0 / reduction),
    x1: Math.min(width, Math.ceil(x1 / snap) * snap),
    y1: Math.min(reducedSize(frame.height, reduction), Math.ceil(rect.y1 / reduction)),
  };
}

/**
 * Write a rectangle (in reduced pixels) of the frame as RGBA into `out`, row by row.
 *
 * Reduction 1 copies every pixel exactly; above it a pixel is the mean of its square
 * (at reduction 2, of means rounded down: at most one level too dark).
 */
export function expand(
  frame: Frame,
  rect: Rect,
  reduction: number,
  out: Uint32Array,
): void {
  const isAligned = frame.width % 4 === 0;
  if (reduction === 1 && isAligned) expandWords(frame, rect, out);
  else if (reduction === 1) expandBytes(frame, rect, out);
  else if (reduction === 2 && isAligned && frame.height % 2 === 0)
    halveWords(frame, rect, out);
  else reduceBytes(frame, rect, reduction, out);
}

const OPAQUE = 0xff000000;

function expandWords(frame: Frame, rect: Rect, out: Uint32Array): void {
  const { words } = frame;
  const stride = (frame.width * 3) >> 2;
  let j = 0;
  for (let y = rect.y0; y < rect.y1; y++) {
    let i = y * stride + ((rect.x0 * 3) >> 2);
    const stop = y * stride + ((rect.x1 * 3) >> 2);
    for (; i < stop; i += 3, j += 4) {
      const a = words[i]!;
      const b = words[i + 1]!;
      const c = words[i + 2]!;
      out[j] = a | OPAQUE;
      out[j + 1] = (a >>> 24) | (b << 8) | OPAQUE;
      out[j + 2] = (b >>> 16) | (c << 16) | OPAQUE;
      out[j + 3] = (c >>> 8) | OPAQUE;
    }
  }
}

function expandBytes(frame: Frame, rect: Rect, out: Uint32Array): void {
  const { bytes, width } = frame;
  let j = 0;
  for (let y = rect.y0; y < rect.y1; y++) {
    let i = (y * width + rect.x0) * 3;
    for (let x = rect.x0; x < rect.x1; x++, i += 3)
      out[j++] = OPAQUE | (bytes[i + 2]! << 16) | (bytes[i + 1]! << 8) | bytes[i]!;
  }
}

/** Mean of two words byte by byte, rounded down. */
function mean(a: number, b: number): number {
  return (a & b) + (((a ^ b) & 0xfefefefe) >>> 1);
}

function halveWords(frame: Frame, rect: Rect, out: Uint32Array): void {
  const { words } = frame;
  const stride = (frame.width * 3) >> 2;
  let j = 0;
  for (let y = rect.y0; y < rect.y1; y++) {
    let i = 2 * y * stride + ((rect.x0 * 6) >> 2);
    const stop = 2 * y * stride + ((rect.x1 * 6) >> 2);
    for (; i < stop; i += 3, j += 2) {
      const a = mean(words[i]!, words[i + stride]!);
      const b = mean(words[i + 1]!, words[i + stride + 1]!);
      const c = mean(words[i + 2]!, words[i + stride + 2]!);
      out[j] = mean(a, (a >>> 24) | (b << 8)) | OPAQUE;
      out[j + 1] = mean((b >>> 16) | (c << 16), c >>> 8) | OPAQUE;
    }
  }
}

function reduceBytes(
  frame: Frame,
  rect: Rect,
  reduction: number,
  out: Uint32Array,
): void {
  const { bytes, width, height } = frame;
  let j = 0;
  for (let y = rect.y0; y < rect.y1; y++) {
    const top = y * reduction;
    const bottom = Math.min(top + reduction, height);
    for (let x = rect.x0; x < rect.x1; x++) {
      const left = x * reduction;
      const right = Math.min(left + reduction, width);
      let [r, g, b] = [0, 0, 0];
      for (let v = top; v < bottom; v++) {
        const stop = (v * width + right) * 3;
        for (let i = (v * width + left) * 3; i < stop; i += 3) {
          r += bytes[i]!;
          g += bytes[i + 1]!;
          b += bytes[i + 2]!;
        }
      }
      const half = 1 / ((bottom - top) * (right - left));
      out[j++] =
        OPAQUE |
        (Math.round(b * half) << 16) |
        (Math.round(g * half) << 8) |
        Math.round(r * half);
    }
  }
}
