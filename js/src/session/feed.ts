/**
 * The page's side of the conversation: hello, acknowledgements, what is missing.
 *
 * One per model. Without `send` (an HTML export) it only fills the store. Asks for a
 * chunk after it was missing for a while, since most of them are on their way; for what
 * else was lost, at longer and longer intervals.
 */

import type { Clock } from "../playback/clock.ts";
import {
  CHUNK_ROWS,
  type DataMessage,
  type FromKernel,
  PROTOCOL,
  type ToKernel,
  type WireBuffer,
} from "../protocol/messages.ts";
import type { ChunkGap } from "../recording/chunk-cache.ts";
import type { Store } from "../recording/store.ts";
import { Received } from "./received.ts";

const MISSING_FOR_MS = 150;
/** What is nowhere near the blocks that came will not come by itself soon. */
const FAR_FOR_MS = 40;
const NEAR_BLOCKS = 16;
const MISSING_TAIL_FOR_MS = 600;
const ASK_AGAIN_MS = 1000;
/** Something lost is asked for so late, and then twice as late, up to the longest. */
const LOST_FOR_MS = 1000;
const LONGEST_LOST_MS = 30_000;
/** Messages that do not parse, one after the other, before this is an error. */
const MAX_BROKEN = 3;
/** A first hello may be delayed by a running cell where a later one gets through. */
const HELLO_REPEAT_MS = 250;
/** So long nothing at all came, though it was asked for: messages may never come. */
const SILENT_MS = 10_000;
/** Blocks to have ahead of the playhead; and how many chunks to ask for at once. */
const BLOCKS_AHEAD = 3;
const MAX_ASKED = 256;

export interface FeedOptions {
  store: Store;
  clock: Clock;
  send: ((message: ToKernel) => void) | null;
  version: string;
  now?: () => number;
}

export class Feed {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #send: ((message: ToKernel) => void) | null;
  readonly #version: string;
  readonly #now: () => number;
  readonly #missingSince = new Map<number, number>();
  readonly #askedAt = new Map<number, number>();
  /** Identifies this page; `#beginning` counts its hellos from the start. */
  readonly #page = Math.random().toString(36).slice(2);
  #beginning = 0;
  #saidHello = Number.NEGATIVE_INFINITY;
  #beganAt = Number.POSITIVE_INFINITY;
  #numKnown = 0;
  /** When new rows were recorded last, for "live". */
  lastRowsAt = Number.NEGATIVE_INFINITY;
  readonly #received = new Received();
  /** What was here when something came last, since when, and when to ask for the rest. */
  #here = "";
  #askAt = Number.POSITIVE_INFINITY;
  #askAfter = LOST_FOR_MS;
  #numBroken = 0;
  #wanted = "[]";
  #wantedAt = Number.NEGATIVE_INFINITY;
  #isHidden = false;
  /** The host drops the buffers of messages: the kernel sends them as text. */
  isTextual = false;

  constructor({ store, clock, send, version, now }: FeedOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#send = send;
    this.#version = version;
    this.#now = now ?? (() => performance.now());
    store.onReset.on(() => {
      this.#missingSince.clear();
      this.#askedAt.clear();
    });
  }

  /** Ask for everything from the beginning. */
  hello(): void {
    this.#beginning++;
    this.#isHidden = false;
    this.#received.forget();
    this.#beganAt = this.#now();
    this.#sayHello();
  }

  /** Whether the recording was asked for long ago, and none of its rows came. */
  get isUnanswered(): boolean {
    return this.#store.isAwaited && this.#now() - this.#beganAt > SILENT_MS;
  }

  /** No view shows the recording: nothing needs to be sent. */
  hide(): void {
    if (this.#isHidden) return;
    this.#isHidden = true;
    this.#send?.({ kind: "hidden", page: this.#page });
  }

  /** A view shows it again. */
  show(): void {
    if (!this.#isHidden) return;
    this.#isHidden = false;
    this.#sayHello();
  }

  #sayHello(): void {
    this.#saidHello = this.#now();
    const [version, page, beginning] = [this.#version, this.#page, this.#beginning];
    this.#send?.({
      ...({ kind: "hello", protocol: PROTOCOL, version, page, beginning } as const),
      ...(this.isTextual && { as_text: true }),
    });
  }

  /** Take a manifest or data message; returns false for any other kind. */
  take(message: FromKernel, buffers: WireBuffer[]): boolean {
    const store = this.#store;
    switch (message.kind) {
      case "manifest": {
        if (!this.#received.takeManifest(message)) return true;
        const isNew = store.recorded.manifest?.session !== message.session;
        store.setManifest(message);
        this.#clock.fps = message.fps;
        if (isNew) {
          this.#numKnown = message.num_rows;
          this.#clock.setBounds(message.first_row, message.first_row);
          if (message.follow) this.#clock.follow();
        }
        return true;
      }
      case "beat":
        if (this.#received.isOfSession(message.session))
          this.#received.takeBeat(message);
        if (!this.#isHidden) this.#sayWhatIsHere();
        return true;
      case "data": {
        if (!buffers.length && this.#send) {
          this.#askForText();
          return true;
        }
        if (!this.#received.isOfSession(message.session)) return true;
        const before = store.numRows;
        // What was there when the page came is no news.
        if (message.num_rows > this.#numKnown) {
          this.#numKnown = message.num_rows;
          this.lastRowsAt = this.#now();
        }
        if (!this.#add(message, buffers)) return true;
        this.#send?.({ kind: "ack", seq: message.seq });
        if (store.numRows !== before) {
          this.#clock.setBounds(store.firstRow, store.numRows);
        }
        return true;
      }
      default:
        return false;
    }
  }

  /** A message came without its buffers: ask for all of them anew, as text. */
  #askForText(): void {
    if (this.isTextual) return; // sent before the kernel knew
    this.isTextual = true;
    this.hello();
  }

  /** What is news of a data message's annotations. */
  newAnnotations(message: DataMessage): DataMessage | null {
    const { session } = this.#received;
    const isNow = session !== "" && (message.session ?? session) === session;
    return isNow ? this.#received.takeAnnotations(message) : null;
  }

  /** Fill the store; returns false for a message that was damaged on its way. */
  #add(message: DataMessage, buffers: WireBuffer[]): boolean {
    try {
      this.#store.addData(message, buffers);
      this.#numBroken = 0;
    } catch (error) {
      if (!this.#send || ++this.#numBroken >= MAX_BROKEN) throw error;
      return false;
    }
    this.#received.takeRows(message, this.#store.recorded.steps.numRows);
    return true;
  }

  #sayWhatIsHere(): void {
    const { session, counts } = this.#received;
    this.#send?.({ kind: "have", page: this.#page, session, ...counts });
    this.#received.noteSaid();
  }

  /** Ask for what was lost, where nothing has come of it for a while. */
  #askForLost(now: number): void {
    const here = JSON.stringify(this.#received.counts);
    if (here !== this.#here || !this.#received.isLacking) {
      this.#here = here;
      this.#askAfter = LOST_FOR_MS;
      this.#askAt = now + LOST_FOR_MS;
    } else if (now >= this.#askAt) {
      this.#askAfter = Math.min(2 * this.#askAfter, LONGEST_LOST_MS);
      this.#askAt = now + this.#askAfter;
      this.#sayWhatIsHere();
    }
  }

  /** Ask for chunks around the playhead that should be here; call it now and then. */
  askForMissing(slots: readonly number[]): void {
    const store = this.#store;
    const now = this.#now();
    if (this.#isHidden) return;
    this.#askForLost(now);
    if (!store.manifest && now - this.#saidHello > HELLO_REPEAT_MS) this.#sayHello();
    if (!this.#send || !store.numRows) return;
    const lastBlock = Math.floor((store.recorded.steps.numRows - 1) / CHUNK_ROWS);
    const missing = store.missingFrom(this.#clock.row, slots, BLOCKS_AHEAD);
    this.#sayWhatIsWanted(missing, slots, now);
    const keys = new Set<number>();
    const due = missing.filter(([number, slot]) => {
      const key = number * 65536 + slot;
      keys.add(key);
      const since = this.#missingSince.get(key) ?? now;
      this.#missingSince.set(key, since);
      const wait =
        number === lastBlock
          ? MISSING_TAIL_FOR_MS
          : this.#isNear(number, slot)
            ? MISSING_FOR_MS
            : FAR_FOR_MS;
      const asked = this.#askedAt.get(key) ?? Number.NEGATIVE_INFINITY;
      return now - since >= wait && now - asked >= ASK_AGAIN_MS;
    });
    for (const key of [...this.#missingSince.keys()])
      if (!keys.has(key)) this.#missingSince.delete(key);
    if (!due.length) return;
    const chunks = due.slice(0, MAX_ASKED);
    for (const [number, slot] of chunks) this.#askedAt.set(number * 65536 + slot, now);
    this.#send({ kind: "need", chunks });
  }

  /** Have missing pictures rendered, and no others: at a change, and each second. */
  #sayWhatIsWanted(
    missing: readonly ChunkGap[],
    slots: readonly number[],
    now: number,
  ): void {
    if (!this.#store.manifest?.renders) return;
    const indices = new Map<string, number>();
    for (const slot of slots) {
      const at = this.#store.recordedSlotAt(this.#clock.row, slot);
      const block = at && Math.floor(at.row / CHUNK_ROWS);
      if (at) indices.set(`${block}:${at.slot}`, at.row % CHUNK_ROWS);
    }
    const wanted = missing
      .slice(0, MAX_ASKED)
      .map(
        ([block, slot]) =>
          [block, slot, indices.get(`${block}:${slot}`) ?? 0] as [
            number,
            number,
            number,
          ],
      );
    const text = JSON.stringify(wanted);
    const isDue = wanted.length > 0 && now - this.#wantedAt >= ASK_AGAIN_MS;
    if (text === this.#wanted && !isDue) return;
    [this.#wanted, this.#wantedAt] = [text, now];
    this.#send?.({ kind: "need", chunks: [], wanted });
  }

  /** Whether a block is likely to be on its way: blocks come in order. */
  #isNear(block: number, slot: number): boolean {
    for (let before = block - 1; before >= block - NEAR_BLOCKS && before >= 0; before--)
      if (this.#store.chunks.has(before * CHUNK_ROWS, slot)) return true;
    return block < NEAR_BLOCKS;
  }
}
