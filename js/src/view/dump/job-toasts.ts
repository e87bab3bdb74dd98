/** Dumps and downloads as messages: how far they are, where the files are, what failed. */

import type { ExportJob, ExportJobs } from "../../session/export-jobs.ts";
import { copyText } from "../clipboard.ts";
import type { ToastAction, Toasts } from "../parts/toast.ts";

/** A path is read, and may be copied. */
const DONE_MS = 20_000;

/** Show each job until the signal, and what becomes of it. */
export function showJobs(jobs: ExportJobs, toasts: Toasts, signal: AbortSignal): void {
  const shown = new Map<number, string>();
  // What ended before this view was made is no news.
  for (const { job, state } of jobs.list)
    if (state !== "running") shown.set(job, state);
  const update = () => {
    for (const job of jobs.list) {
      const state = `${job.state} ${job.progress} ${job.message}`;
      if (shown.get(job.job) === job.state || shown.get(job.job) === state) continue;
      shown.set(job.job, job.state === "running" ? state : job.state);
      showJob(job, jobs, toasts);
    }
  };
  jobs.onChange.on(update, signal);
  update();
}

export const percentOf = ({ progress }: ExportJob) => `${Math.round(100 * progress)} %`;

function showJob(job: ExportJob, jobs: ExportJobs, toasts: Toasts): void {
  const key = `job-${job.job}`;
  const { label, message, progress } = job;
  switch (job.state) {
    case "running": {
      const text = [label, percentOf(job), message].filter(Boolean).join(" \u00b7 ");
      // It stays until the kernel answers.
      const stop = { text: "Cancel", stays: true, do: () => jobs.cancel(job.job) };
      toasts.show({ kind: "progress", text, progress, key, actions: [stop] });
      break;
    }
    case "failed":
      toasts.show({ kind: "error", text: `${message} (${label} failed.)`, key });
      break;
    case "cancelled":
      toasts.show({ text: `${label}: ${message}`, key });
      break;
    case "done":
      toasts.show({ kind: "done", ...describeDone(job), key, shownMs: DONE_MS });
  }
}

function describeDone({ label, isDownload, message, paths }: ExportJob) {
  if (isDownload) return { text: `${label}: ${message}` };
  const code = paths.join("\n");
  const copy: ToastAction = { text: "Copy path", do: () => void copyText(code) };
  return { text: `${label}: written`, code, actions: paths.length ? [copy] : [] };
}
