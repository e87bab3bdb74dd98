/**
 * What has come of a recording, and what must have been sent: counts, as in a `beat`.
 *
 * Of `num_rows`, `about` and `marks` it counts what came without a gap. Messages may be
 * lost, come twice or late, so that each is either news, or passed over.
 */

import type { Beat, DataMessage, Manifest } from "../protocol/messages.ts";

export interface Counts {
  manifest: number;
  num_rows: number;
  about: number;
  marks: number;
}

const NOTHING: Counts = { manifest: 0, num_rows: 0, about: 0, marks: 0 };
const NAMES = Object.keys(NOTHING) as (keyof Counts)[];

export class Received {
  /** Of the manifest; "" before one came. */
  session = "";
  counts: Counts = { ...NOTHING };
  #sent: Counts = { ...NOTHING };
  /** Something came that belongs to a manifest that did not. */
  #isLost = false;

  /** Everything will be sent again. */
  forget(): void {
    this.session = "";
    this.counts = { ...NOTHING };
    this.#sent = { ...NOTHING };
    this.#isLost = false;
  }

  /** Whether something that must have been sent is not here. */
  get isLacking(): boolean {
    return this.#isLost || NAMES.some((name) => this.counts[name] < this.#sent[name]);
  }

  /** Take a manifest; returns whether it is news. */
  takeManifest({ session, number = 0, num_rows }: Manifest): boolean {
    if (number < this.counts.manifest) return false;
    if (session !== this.session) {
      this.session = session;
      this.counts = { ...NOTHING };
      this.#sent = { ...NOTHING };
    }
    this.counts.manifest = number;
    this.#isLost = false;
    this.#expect({ manifest: number, num_rows });
    return true;
  }

  /** Whether a data message or a beat is of this recording. */
  isOfSession(session: string | undefined): boolean {
    const is = this.session !== "" && (session ?? this.session) === this.session;
    if (!is) this.#isLost = true;
    return is;
  }

  /** Take what a data message says of rows, after the store has taken them. */
  takeRows({ num_rows }: DataMessage, numHere: number): void {
    this.counts.num_rows = numHere;
    this.#expect({ num_rows });
  }

  /** Without what is in it of annotations that are older than those here. */
  takeAnnotations(data: DataMessage): DataMessage {
    const { about, marks, episodes, infos, bookmarks, ...others } = data;
    const news: DataMessage = others;
    if (marks === undefined || marks >= this.counts.marks) {
      if (bookmarks) news.bookmarks = bookmarks;
      this.counts.marks = marks ?? this.counts.marks;
    }
    const [start, stop] = about ?? [0, this.counts.about + 1];
    // After a gap, or not: it is the newest that is known of these episodes.
    if (stop > this.counts.about && episodes && infos)
      Object.assign(news, { episodes, infos });
    if (about && start <= this.counts.about)
      this.counts.about = Math.max(this.counts.about, stop);
    this.#expect({ about: about ? stop : 0, marks: marks ?? 0 });
    return news;
  }

  /** The kernel was sent `counts`, and repeats its beats until it has them. */
  noteSaid(): void {
    this.#isLost = false;
  }

  takeBeat({ manifest, num_rows, about, marks }: Beat): void {
    this.#expect({ manifest, num_rows, about, marks });
  }

  #expect(sent: Partial<Counts>): void {
    for (const name of NAMES)
      this.#sent[name] = Math.max(this.#sent[name], sent[name] ?? 0);
  }
}
