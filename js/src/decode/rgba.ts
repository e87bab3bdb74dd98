/**
 * RGB frames to RGBA for a canvas, at full size or reduced. Pure.
 *
 * Four pixels are three words, so whole groups are expanded word by word.
 */

import { emptyRect, type Frame, isEmpty, type Rect } from "./pixels.ts";

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
