/** Hands each message of the kernel to the part of the session that it is for. */

import type { Clock } from "../playback/clock.ts";
import type { PreviewSource } from "../playback/previews.ts";
import type { FromKernel, WireBuffer } from "../protocol/messages.ts";
import type { Answers } from "./answers.ts";
import type { ExportJobs } from "./export-jobs.ts";
import type { Feed } from "./feed.ts";
import { type AnnotationParts, takeAnnotations } from "./marks.ts";
import type { Navigation } from "./navigation.ts";
import { type CountedParts, countsOf } from "./player-stats.ts";

export interface DispatchParts extends AnnotationParts, CountedParts, Navigation {
  /** Of the page; "": a kernel of any version will do. */
  version: string;
  clock: Clock;
  feed: Feed;
  answers: Answers;
  previews: PreviewSource | null;
  /** Null where there is no kernel. */
  jobs: ExportJobs | null;
  fail(error: unknown): void;
}

/** Take a message; throws where it cannot be used. */
export function dispatch(
  message: FromKernel,
  buffers: WireBuffer[],
  parts: DispatchParts,
): void {
  const { feed, jobs, version } = parts;
  if (message.kind === "manifest") checkVersion(message.version, version);
  // First: what is drawn when data came is drawn with them.
  if (message.kind === "data" && message.previews)
    parts.previews?.take(message, buffers[5]!);
  if (feed.take(message, buffers)) {
    const news = message.kind === "data" && feed.newAnnotations(message);
    if (news) takeAnnotations(news, parts);
    return;
  }
  switch (message.kind) {
    case "job":
      jobs?.take(message);
      break;
    case "file":
      jobs?.takeFile(message, buffers);
      break;
    case "goto":
      parts.clock.pause();
      // A playhead that is there already keeps the arrangement.
      if (message.row !== parts.place().row) parts.goTo(message.row, null);
      break;
    case "details":
      parts.details.take(message, buffers);
      break;
    case "column":
      parts.scalars.take(message, buffers);
      break;
    case "part":
    case "parting":
      parts.answers.take(message, buffers);
      break;
    case "stats":
      parts.send?.({ kind: "stats", counts: countsOf(parts) });
      break;
    case "error":
      parts.fail(message.message);
      break;
    default:
      throw new Error(
        `[rollout_viewer] unknown message kind: ${(message as { kind: unknown }).kind}`,
      );
  }
}

function checkVersion(kernel: string, page: string): void {
  if (page && kernel !== page)
    throw new Error(
      `This page is of rollout_viewer ${page}, the kernel of ${kernel}: ` +
        "restart the kernel and reload the page.",
    );
}
