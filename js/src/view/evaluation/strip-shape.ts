/** The bars and marks of paired differences, as paths. Pure. */

export interface Bar {
  /** NaN: it is not known. */
  difference: number;
  flip: number;
  /** False: the page does not have its episodes. */
  isHere: boolean;
}

export interface StripShape {
  better: string;
  worse: string;
  /** The bars of pairs that are not here. */
  missing: string;
  gained: string;
  lost: string;
  /** Where no difference is. */
  zero: number;
}

/** Above and below the bars, for marks. */
const MARKS_PX = 9;
/** Bars as wide as this have a gap between them. */
const GAPPED_PX = 3;
/** Of narrower bars the marks have no points, and are a band where there are many. */
const MARKED_PX = 4;
/** The smallest difference is seen. */
const LEAST_PX = 1;

/** Bars of a width and height in pixels, from left to right. */
export function shapeOf(
  bars: readonly Bar[],
  width: number,
  height: number,
): StripShape {
  const finite = bars.map((bar) => Math.abs(bar.difference)).filter(Number.isFinite);
  const most = finite.reduce((a, b) => Math.max(a, b), 0) || 1;
  const zero = Math.round(height / 2);
  const reach = zero - MARKS_PX;
  const pitch = width / Math.max(1, bars.length);
  const thick = pitch >= GAPPED_PX ? pitch - 1 : pitch;
  const parts = { better: "", worse: "", missing: "", gained: "", lost: "" };
  for (const [place, { difference, flip, isHere }] of bars.entries()) {
    const x = place * pitch;
    const share = Math.min(1, Math.max(-1, difference / most));
    if (share) {
      const long = Math.sign(share) * Math.max(LEAST_PX, Math.abs(share) * reach);
      const name = isHere ? (share > 0 ? "better" : "worse") : "missing";
      parts[name] += `M${at(x)} ${zero}v${at(-long)}h${at(thick)}v${at(long)}z`;
    }
    if (!flip) continue;
    const name = flip > 0 ? "gained" : "lost";
    if (pitch < MARKED_PX) {
      const y = flip > 0 ? 2 : height - 6;
      parts[name] += `M${at(x)} ${y}h${at(pitch)}v4h${at(-pitch)}z`;
      continue;
    }
    const half = Math.min(4, pitch / 2);
    const [top, tip] = flip > 0 ? [7, 0.5] : [height - 7, height - 0.5];
    const middle = x + thick / 2;
    parts[name] += `M${at(middle - half)} ${top}h${at(2 * half)}L${at(middle)} ${tip}z`;
  }
  return { ...parts, zero };
}

/** The place of the bar at a pixel. */
export function barAt(x: number, width: number, count: number): number {
  return Math.max(0, Math.min(count - 1, Math.floor((x / width) * count)));
}

function at(number: number): string {
  return String(Math.round(number * 100) / 100);
}
