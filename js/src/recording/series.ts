/**
 * A number by row, and its smallest and largest value in any run of rows.
 *
 * Extremes of blocks are kept, of blocks of blocks, and so on: a run of a hundred
 * thousand rows is looked up in some dozens of steps. Pure.
 */

/** Rows in a block, and blocks in a block of the next level. */
const FACTOR = 16;

interface Level {
  low: Float64Array;
  high: Float64Array;
}

export class Series {
  numRows = 0;
  /** What `look` found; NaN: no number. */
  low = Number.NaN;
  high = Number.NaN;
  #read: (row: number) => number = () => Number.NaN;
  readonly #levels: Level[] = [];

  /** The number of a row; NaN: there is none. */
  at(row: number): number {
    return row >= 0 && row < this.numRows ? this.#read(row) : Number.NaN;
  }

  /** Rows from here on are read anew. */
  forget(row: number): void {
    this.numRows = Math.min(this.numRows, row);
  }

  /** Take the rows up to `stop`; those before may be read by `read` too. */
  extend(read: (row: number) => number, stop: number): void {
    this.#read = read;
    const start = this.numRows;
    if (stop <= start) return;
    this.numRows = stop;
    let [from, to] = [Math.floor(start / FACTOR), Math.floor(stop / FACTOR)];
    for (let level = 0; to > 0; level++) {
      this.#levels[level] = withRoom(this.#levels[level], to);
      for (let block = from; block < to; block++) this.#fill(level, block);
      [from, to] = [Math.floor(from / FACTOR), Math.floor(to / FACTOR)];
    }
  }

  /** Look for the extremes of rows first..stop. */
  look(first: number, stop: number): void {
    this.low = this.high = Number.NaN;
    this.#gather(0, Math.max(0, first), Math.min(this.numRows, stop));
  }

  #fill(level: number, block: number): void {
    this.low = this.high = Number.NaN;
    this.#scan(level, block * FACTOR, (block + 1) * FACTOR);
    this.#levels[level]!.low[block] = this.low;
    this.#levels[level]!.high[block] = this.high;
  }

  /** Units of level 0 are rows, those of the next ones are blocks. */
  #gather(level: number, first: number, stop: number): void {
    const [from, to] = [Math.ceil(first / FACTOR), Math.floor(stop / FACTOR)];
    if (from >= to || level >= this.#levels.length) {
      this.#scan(level, first, stop);
      return;
    }
    this.#scan(level, first, from * FACTOR);
    this.#gather(level + 1, from, to);
    this.#scan(level, to * FACTOR, stop);
  }

  #scan(level: number, first: number, stop: number): void {
    const below = level ? this.#levels[level - 1]! : null;
    for (let unit = first; unit < stop; unit++) {
      const low = below ? below.low[unit]! : this.#read(unit);
      const high = below ? below.high[unit]! : low;
      if (Number.isFinite(low) && !(this.low <= low)) this.low = low;
      if (Number.isFinite(high) && !(this.high >= high)) this.high = high;
    }
  }
}

function withRoom(old: Level | undefined, length: number): Level {
  if (old && old.low.length >= length) return old;
  const capacity = Math.max(length, 2 * (old?.low.length ?? 0));
  const fresh = { low: new Float64Array(capacity), high: new Float64Array(capacity) };
  if (old) {
    fresh.low.set(old.low);
    fresh.high.set(old.high);
  }
  return fresh;
}
