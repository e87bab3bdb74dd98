/** The dump buttons, and the menu of what is written, as what, and where to. */

import { type ExportJobs, formatName } from "../../session/export-jobs.ts";
import type { Session } from "../../session/session.ts";
import { copyText } from "../clipboard.ts";
import { make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import { createMenuButton, type MenuEntry } from "../parts/menu.ts";
import { createRing } from "../parts/ring.ts";
import type { Toasts } from "../parts/toast.ts";
import type { Tool } from "../parts/toolbar.ts";
import {
  type Choice,
  choicesOf,
  chosenOf,
  countRows,
  type What,
} from "./chosen-rows.ts";
import { offer } from "./download.ts";
import { percentOf, showJobs } from "./job-toasts.ts";

const DUMPED = ["mp4", "csv"] as const;
/** What a browser can keep as one file. */
const DOWNLOADED = ["mp4", "csv", "gif", "webm", "png", "npz"] as const;

export interface DumpPanel {
  /** For the head. */
  tools: Tool[];
  update(): void;
}

/** Dumps and downloads that a kernel writes. */
export function createDumpPanel(
  session: Session,
  jobs: ExportJobs,
  toasts: Toasts,
  signal: AbortSignal,
): DumpPanel {
  let what: What | null = null;
  const chosen = () => chosenOf(session, what);
  const dump = (format: string) => {
    const choice = chosen();
    if (choice) jobs.dump(format, choice.rows);
  };
  const download = (format: string) => {
    const choice = chosen();
    if (choice) jobs.download(format, choice.rows, (file) => offer(file, signal));
  };
  const isPossible = () => chosen() !== null && !session.isCut;
  const entries = (): MenuEntry[] => {
    const item = (format: string, does: string, run: (format: string) => void) => ({
      text: `${does} ${formatName(format)}`,
      isDisabled: !isPossible(),
      choose: () => run(format),
    });
    const folder = session.store.manifest?.dump_folder;
    return [
      "What",
      ...choicesOf(session).map((choice) => createChoice(choice)),
      folder ? `To ${folder}` : "To the logger",
      ...DUMPED.map((format) => item(format, "Dump", dump)),
      "To this browser",
      ...DOWNLOADED.map((format) => item(format, "Download", download)),
      ...pathEntries(jobs),
    ];
  };
  const createChoice = (choice: Choice): MenuEntry => ({
    text: choice.text,
    hint: countRows(choice.rows),
    isOn: choice.what === chosen()?.what,
    isRadio: true,
    staysOpen: true,
    choose: () => {
      what = choice.what;
    },
  });
  const [mp4, csv] = DUMPED.map((format) => createDump(format, jobs, dump, signal));
  const menu = createMenuButton(
    { label: "Dump or download", className: "rv-dump-more", entries },
    signal,
  );
  showJobs(jobs, toasts, signal);
  return {
    tools: [
      { el: mp4!.el, short: 8, away: 14, entries },
      { el: csv!.el, away: 3 },
      { el: menu.el, away: 14 },
    ],
    update() {
      const choice = chosen();
      const rows = choice ? `${choice.text}, ${countRows(choice.rows)}` : "";
      for (const one of [mp4!, csv!]) one.update(isPossible(), rows);
    },
  };
}

/** A button that shows, as a ring, how far its dump is. */
function createDump(
  format: string,
  jobs: ExportJobs,
  dump: (format: string) => void,
  signal: AbortSignal,
) {
  const name = `Dump ${formatName(format)}`;
  const ring = createRing();
  const rest = icon("download");
  const text = make("span", { class: "rv-long" }, name);
  const el = createButton(
    rest,
    { class: `rv-dump rv-dump-${format}`, ...named(name) },
    () => dump(format),
    signal,
  );
  el.append(text);
  const showProgress = () => {
    const job = jobs.list.find(
      (one) => one.format === format && one.state === "running",
    );
    const wanted = job ? ring.el : rest;
    if (el.firstElementChild !== wanted) el.firstElementChild!.replaceWith(wanted);
    if (job) ring.update(job.progress);
    setAttribute(el, "aria-label", job ? `${name}, ${percentOf(job)}` : name);
  };
  jobs.onChange.on(showProgress, signal);
  showProgress();
  return {
    el,
    update(isPossible: boolean, rows: string) {
      el.disabled = !isPossible;
      setAttribute(el, "data-tip", rows ? `${name}: ${rows}` : name);
    },
  };
}

/** The files that were written last. */
function pathEntries(jobs: ExportJobs): MenuEntry[] {
  const paths = jobs.list.flatMap((job) => (job.isDownload ? [] : job.paths)).slice(-3);
  if (!paths.length) return [];
  const copies = paths.map((path) => ({
    text: path.split(/[\\/]/).at(-1) ?? path,
    icon: "copy" as const,
    choose: () => void copyText(path),
  }));
  return ["Copy the path of", ...copies];
}
