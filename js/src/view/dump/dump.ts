/** Dump and download buttons, and what became of them. */

import { formatName } from "../../session/export-jobs.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import { offer } from "./download.ts";
import { createJobList } from "./job-list.ts";

const FORMATS = ["mp4", "csv"] as const;

export interface DumpPanel {
  /** The buttons, for the head. */
  field: HTMLElement;
  /** What became of them. */
  el: HTMLElement;
  update(): void;
}

/** Null where there is no kernel to write files. */
export function createDumpPanel(
  session: Session,
  signal: AbortSignal,
): DumpPanel | null {
  const { jobs, store } = session;
  if (!jobs) return null;
  const buttons: HTMLButtonElement[] = [];
  const createPair = (format: (typeof FORMATS)[number]) => {
    const name = formatName(format);
    const dump = createButton(
      `Dump ${name}`,
      { class: `rv-dump rv-dump-${format}`, ...named(`Dump ${name}`) },
      () => jobs.dump(format, ...rowsToWrite(session)),
      signal,
    );
    const download = createButton(
      icon("download"),
      { class: `rv-download rv-download-${format}`, ...named(`Download ${name}`) },
      () =>
        jobs.download(format, ...rowsToWrite(session), (file) => offer(file, signal)),
      signal,
    );
    buttons.push(dump, download);
    const group = { class: "rv-pair", role: "group", "aria-label": name };
    return make("span", group, dump, download);
  };
  const span = make("span", { class: "rv-span" });
  const field = make("span", { class: "rv-dumps" }, ...FORMATS.map(createPair), span);
  const el = make("div", { class: "rv-export" }, createJobList(jobs, signal));
  const update = () => {
    const [start, stop] = rowsToWrite(session);
    for (const one of buttons) one.disabled = stop <= start || session.isCut;
    setText(span, describeRows(session, start, stop));
    const folder = store.manifest?.dump_folder;
    span.title = folder ? `Dumps go to ${folder}` : "";
  };
  return { field, el, update };
}

/** The marked range; without one all of the recording. */
function rowsToWrite({ clock, store }: Session): [start: number, stop: number] {
  if (store.arrangement) {
    // What is arranged in the page is no recording: then all of it is written.
    const { manifest, steps } = store.recorded;
    return [manifest?.first_row ?? 0, steps.numRows];
  }
  const [first, stop] = clock.bounds;
  const [from, to] = clock.range ?? clock.bounds;
  return [Math.max(first, from), Math.min(stop, to)];
}

function describeRows({ clock, store }: Session, start: number, stop: number): string {
  const count = Math.max(0, stop - start);
  const counted = `${formatCount(count)} row${count === 1 ? "" : "s"}`;
  return clock.range && !store.arrangement
    ? `rows ${formatCount(start)}\u2013${formatCount(stop - 1)}, ${counted}`
    : `whole recording, ${counted}`;
}
