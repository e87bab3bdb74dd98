/** The tracks of the timeline: which scalars are drawn, of whom, in which order. */

import { type Scalar, scalarKey } from "../recording/scalars.ts";
import type { Session } from "./session.ts";
import type { Over, Track } from "./view-options.ts";

type WithTracks = Pick<Session, "viewOptions">;

const isOf = (scalar: Scalar) => (track: Track) =>
  scalarKey(track.scalar) === scalarKey(scalar);

export function hasTrack({ viewOptions }: WithTracks, scalar: Scalar): boolean {
  return viewOptions.now.tracks.some(isOf(scalar));
}

/** Draw a scalar below the others; one that is drawn stays where it is. */
export function addTrack(session: WithTracks, scalar: Scalar): void {
  if (hasTrack(session, scalar)) return;
  const { viewOptions } = session;
  const { name, index } = scalar;
  const track: Track = { scalar: { name, index }, over: "tile" };
  viewOptions.set({ tracks: [...viewOptions.now.tracks, track] });
}

export function removeTrack({ viewOptions }: WithTracks, scalar: Scalar): void {
  const is = isOf(scalar);
  viewOptions.set({ tracks: viewOptions.now.tracks.filter((track) => !is(track)) });
}

/** Choose of whom a track is. */
export function setOver({ viewOptions }: WithTracks, scalar: Scalar, over: Over): void {
  const is = isOf(scalar);
  const tracks = viewOptions.now.tracks;
  viewOptions.set({
    tracks: tracks.map((track) => (is(track) ? { ...track, over } : track)),
  });
}

/** Move a track up (-1) or down (1) by one; the first and the last stay. */
export function moveTrack(
  { viewOptions }: WithTracks,
  scalar: Scalar,
  by: -1 | 1,
): void {
  const tracks = [...viewOptions.now.tracks];
  const at = tracks.findIndex(isOf(scalar));
  const other = tracks[at + by];
  if (at < 0 || !other) return;
  [tracks[at + by], tracks[at]] = [tracks[at]!, other];
  viewOptions.set({ tracks });
}
