/** Numbers as text. */

const MINUS = "\u2212";

/** A reward: at most three decimals, no trailing zeros, a real minus. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "\u2013" : String(value);
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 0.001 || size >= 1e6)
      ? size.toExponential(2)
      : size >= 1000
        ? size.toFixed(0)
        : size >= 100 || Number.isInteger(value)
          ? String(Math.round(size * 10) / 10)
          : String(Math.round(size * 1000) / 1000);
  return value < 0 ? MINUS + text : text;
}

const COMPACT = new Intl.NumberFormat("en", {
  notation: "compact",
  maximumSignificantDigits: 3,
});

/** The end of a scale, in six characters or so: "\u2212196k", "2.1e-5". */
export function formatShort(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e4 && size < 1e15)
    return COMPACT.format(value).replace("-", MINUS).replace("K", "k");
  const isPlain = size === 0 || (size >= 0.001 && size < 1e4);
  if (isPlain) return formatValue(Number(value.toPrecision(3)));
  const write = (digits: number) =>
    value.toExponential(digits).replace(/^-/, MINUS).replace("+", "");
  // Of a longer text, the end of the exponent would be out of sight.
  return write(1).length <= 6 ? write(1) : write(0);
}

/** A change: with its sign, also if it is up. */
export function formatSigned(value: number): string {
  return value > 0 ? `+${formatValue(value)}` : formatValue(value);
}

/** Bytes in MB or kB. */
export function formatBytes(bytes: number): string {
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Counts with narrow spaces between thousands. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

export function formatSpeed(speed: number): string {
  const fractions: Record<number, string> = { 0.125: "1/8", 0.25: "1/4", 0.5: "1/2" };
  return `${fractions[speed] ?? speed}\u00d7`;
}

/** A return, and how many rewards of it are no numbers: "3 (1 NaN)". */
export function formatReturn(total: number, numNan: number): string {
  return numNan ? `${formatValue(total)} (${numNan} NaN)` : formatValue(total);
}
