/** The two-sided 95% quantile of the normal distribution. */
const Z = 1.959963984540054;

/** The 95% Wilson score interval of a rate, as `FrameCache.summary` has it. Pure. */
export function wilson(successes: number, count: number): [low: number, high: number] {
  const rate = successes / count;
  const square = Z ** 2 / count;
  const middle = rate + square / 2;
  const half = Z * Math.sqrt((rate * (1 - rate)) / count + square / (4 * count));
  return [
    Math.max(0, (middle - half) / (1 + square)),
    Math.min(1, (middle + half) / (1 + square)),
  ];
}
