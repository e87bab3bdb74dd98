/** What the envs of a row have together, computed once a row. */

/** Returns a scalar's number; NaN: there is none. */
export type Reader = (row: number, env: number) => number;

/** Mean, extremes and deviation over the envs that have a number, by row. */
export class Spread {
  mean = new Float32Array(0);
  low = new Float32Array(0);
  high = new Float32Array(0);
  deviation = new Float32Array(0);
  numRows = 0;

  /** Rows from here on are worked out anew. */
  forget(row: number): void {
    this.numRows = Math.min(this.numRows, row);
  }

  extend(read: Reader, numEnvs: number, stop: number): void {
    if (stop <= this.numRows) return;
    this.mean = withRoom(this.mean, stop);
    this.low = withRoom(this.low, stop);
    this.high = withRoom(this.high, stop);
    this.deviation = withRoom(this.deviation, stop);
    for (let row = this.numRows; row < stop; row++) this.#work(read, numEnvs, row);
    this.numRows = stop;
  }

  #work(read: Reader, numEnvs: number, row: number): void {
    // Welford's way: no digits are lost where numbers are large and alike.
    let [count, mean, squares] = [0, 0, 0];
    let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let env = 0; env < numEnvs; env++) {
      const number = read(row, env);
      if (!Number.isFinite(number)) continue;
      count++;
      const away = number - mean;
      mean += away / count;
      squares += away * (number - mean);
      if (number < low) low = number;
      if (number > high) high = number;
    }
    this.mean[row] = count ? mean : Number.NaN;
    this.low[row] = count ? low : Number.NaN;
    this.high[row] = count ? high : Number.NaN;
    this.deviation[row] = count ? Math.sqrt(squares / count) : Number.NaN;
  }
}

/** Return `old`, or a copy of it with room for `length` numbers. */
export function withRoom(old: Float32Array, length: number): Float32Array<ArrayBuffer> {
  if (old.length >= length) return old as Float32Array<ArrayBuffer>;
  const fresh = new Float32Array(Math.max(length, 2 * old.length));
  fresh.set(old);
  return fresh;
}
