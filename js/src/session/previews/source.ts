/**
 * What stands in for exact pictures: asks the kernel for it, keeps and decodes it.
 *
 * The kernel is told what is looked at (`watch`): where the playhead moves it sends
 * videos of what is not here, where it rests the exact pictures.
 */

import type { PreviewSource, StandIn } from "../../playback/previews.ts";
import {
  CHUNK_ROWS,
  type DataMessage,
  type ToKernel,
  type WireBuffer,
} from "../../protocol/messages.ts";
import type { Session } from "../session.ts";
import { type Area, JPEG, supportedCodecs, VideoReader } from "./reader.ts";
import { type Video, Videos } from "./videos.ts";

type Wanted = [
  video: Video,
  shown: { index: number; slots: [slot: number, tile: number][] },
];
type Watch = Extract<ToKernel, { kind: "watch" }>;

/** The playhead rests when it stayed so long. */
const REST_MS = 150;
const AGAIN_MS = 1000;
const BLOCKS_AHEAD = 3;
/** Decoders at a time; tiles of an arrangement may need one each. */
const MAX_READERS = 24;
/** Of each view: more than it asks for while a picture waits to be drawn. */
const READS_KEPT = 8;
/** Of a `watch`, as the kernel takes it. */
const MAX_SLOTS = 1024;
const MAX_BLOCKS = 64;

export function createPreviews(session: Session): PreviewSource {
  return new Previews(session);
}

class Previews implements PreviewSource {
  readonly #session: Session;
  readonly #videos = new Videos();
  #readers: VideoReader[] = [];
  #numReads = 0;
  #codecs: readonly string[] | null = null;
  #row = -1;
  #movedAt = Number.NEGATIVE_INFINITY;
  /** All that was looked at was exact, and the kernel need not know of it. */
  #wasHere = true;
  #said = "";
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(session: Session) {
    this.#session = session;
    let recording = "";
    session.store.onReset.on(() => {
      const now = session.store.recorded.manifest?.session ?? "";
      if (now !== recording) this.#clear();
      recording = now;
    });
    void supportedCodecs().then((codecs) => {
      this.#codecs = codecs;
    });
  }

  take({ session, previews }: DataMessage, bytes: WireBuffer): void {
    // Of another recording, it is late.
    if (session === this.#session.store.recorded.manifest?.session)
      this.#videos.take(previews ?? [], asBytes(bytes));
  }

  has(row: number, slot: number): boolean {
    return this.#find(row, slot) !== null;
  }

  async read(row: number, slots: readonly number[]): Promise<readonly StandIn[]> {
    const wanted = new Map<Wanted[0], Wanted[1]>();
    for (const slot of slots) {
      const found = this.#find(row, slot);
      if (!found) continue;
      const { video, index, recorded } = found;
      const one = wanted.get(video) ?? { index, slots: [] };
      one.slots.push([slot, video.slots.indexOf(recorded)]);
      wanted.set(video, one);
    }
    const at = ++this.#numReads;
    const all: StandIn[] = [];
    const readOne = async ([video, { index, slots: shown }]: Wanted) => {
      const reader = this.#readerOf(video);
      const tiles = shown.map(([, tile]) => tile);
      const area = areaOf(video, tiles);
      const image = await reader.read({ index, area, at });
      if (reader.hasFailed) this.#forget(video);
      if (!image) return;
      for (const [slot, tile] of shown)
        all.push(standInOf(video, slot, tile, index, { image, area }));
    };
    const reads = [...wanted];
    while (reads.length) await Promise.all(reads.splice(0, MAX_READERS).map(readOne));
    this.#closeUnused();
    return all;
  }

  watch(slots: readonly number[]): void {
    const { clock, store } = this.#session;
    const now = performance.now();
    const row = clock.row;
    if (row !== this.#row) [this.#row, this.#movedAt] = [row, now];
    if (!this.#codecs || !slots.length || !store.numRows) return;
    const isResting =
      clock.isFollowing || (!clock.isPlaying && now - this.#movedAt >= REST_MS);
    const isHere = isResting
      ? store.hasRow(row, slots)
      : !store.missingFrom(row, slots, BLOCKS_AHEAD).length;
    if (isHere && this.#wasHere) return;
    this.#wasHere = isHere;
    const watch: Watch = {
      kind: "watch",
      codecs: this.#codecs,
      rate: clock.rate * clock.every,
      is_resting: isResting,
      num_slots: slots.length,
      reduction: this.#reduction,
      rows: isResting ? this.#rowsAt(row, slots) : [],
      blocks: isResting ? [] : this.#blocksFrom(row, slots),
    };
    // How much there is of a video changes with each message.
    const text = JSON.stringify({
      ...watch,
      blocks: watch.blocks.map(([block, , , ...shown]) => [block, shown]),
    });
    const isMoving = clock.isPlaying || watch.rows.length || watch.blocks.length;
    const isDue = isMoving && now - this.#saidAt >= AGAIN_MS;
    if (text === this.#said && !isDue) return;
    [this.#said, this.#saidAt] = [text, now];
    this.#session.send?.(watch);
  }

  /** Of the view whose pictures are largest. */
  get #reduction(): number {
    const players = [...this.#session.visibleSlots.keys()] as { reduction?: number }[];
    return Math.min(...players.map(({ reduction = 1 }) => reduction));
  }

  /** What is in sight in a row and is not exact: as the recorder knows it. */
  #rowsAt(row: number, slots: readonly number[]): Watch["rows"] {
    const { store } = this.#session;
    return slots
      .filter((slot) => !store.has(row, slot))
      .slice(0, MAX_SLOTS)
      .map((slot) => store.recordedSlotAt(row, slot)!)
      .map((at) => [Math.floor(at.row / CHUNK_ROWS), at.slot, at.row % CHUNK_ROWS]);
  }

  /** Blocks from a row on of which neither is here, the nearest first. */
  #blocksFrom(row: number, slots: readonly number[]): number[][] {
    const { store } = this.#session;
    const { numRows } = store.recorded.steps;
    const shown = new Map<number, number[]>();
    for (const [block, slot] of store.missingFrom(row, slots, BLOCKS_AHEAD)) {
      const count = Math.min(numRows - block * CHUNK_ROWS, CHUNK_ROWS);
      const video = this.#videos.get(block, slot);
      // One that is here and is asked for all the same: the kernel sends exact ones.
      if (!video?.isDamaged && (video?.packets.length ?? 0) >= count) continue;
      shown.set(block, [...(shown.get(block) ?? []), slot]);
    }
    return [...shown].slice(0, MAX_BLOCKS).map(([block, missing]) => {
      const video = this.#videos.get(block, missing[0]!);
      const here = [video?.number ?? 0, video?.packets.length ?? 0];
      return [block, ...here, ...missing.slice(0, MAX_SLOTS)];
    });
  }

  #find(row: number, slot: number) {
    const { store, viewOptions } = this.#session;
    if (viewOptions.quality === "exact") return null;
    const at = store.recordedSlotAt(row, slot);
    const video = at && this.#videos.get(Math.floor(at.row / CHUNK_ROWS), at.slot);
    const index = at ? at.row % CHUNK_ROWS : 0;
    if (!video || video.isDamaged || index >= video.packets.length) return null;
    return { video, index, recorded: at.slot };
  }

  #readerOf(video: Video): VideoReader {
    const found =
      this.#readers.find((reader) => reader.video === video) ?? new VideoReader(video);
    this.#readers = [found, ...this.#readers.filter((one) => one !== found)];
    return found;
  }

  /** Close decoders and pictures of rows that were drawn long ago. */
  #closeUnused(): void {
    const numViews = Math.max(this.#session.visibleSlots.size, 1);
    const before = this.#numReads - READS_KEPT * numViews + 1;
    this.#readers = this.#readers.filter((reader) => !reader.closeBefore(before));
    for (const reader of this.#readers.slice(MAX_READERS)) reader.rest();
  }

  /** One that this browser does not decode, though it said so: get another. */
  #forget(video: Video): void {
    const { codec } = video;
    if (codec === JPEG) {
      video.isDamaged = true; // there is no other codec
      return;
    }
    this.#codecs = this.#codecs?.filter((one) => one !== codec) ?? null;
    this.#videos.forget(codec);
  }

  #clear(): void {
    this.#videos.clear();
    for (const reader of this.#readers.splice(0)) reader.close();
  }
}

function asBytes(bytes: WireBuffer): Uint8Array<ArrayBuffer> {
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  const { buffer, byteOffset, byteLength } = bytes;
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** The part of a video's pictures that has some of its tiles. */
function areaOf({ width, height, columns }: Video, tiles: readonly number[]): Area {
  const xs = tiles.map((tile) => (tile % columns) * width);
  const ys = tiles.map((tile) => Math.floor(tile / columns) * height);
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return [x, y, Math.max(...xs) + width - x, Math.max(...ys) + height - y];
}

function standInOf(
  video: Video,
  slot: number,
  tile: number,
  index: number,
  { image, area }: { image: ImageBitmap; area: Area },
): StandIn {
  const hasPicture = ((video.shown[tile]! >>> index) & 1) === 1;
  const [left, top, width, height] = areaOf(video, [tile]);
  const from = [left - area[0], top - area[1], width, height] as const;
  return {
    slot,
    draw(context, ...to) {
      context.imageSmoothingEnabled = true;
      if (hasPicture) context.drawImage(image, ...from, ...to);
    },
  };
}
