/** Dumps and downloads as they proceed, and the paths of what was written. */

import type { ExportJob, ExportJobs } from "../../session/export-jobs.ts";
import { make, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";

interface JobItem {
  el: HTMLElement;
  update(): void;
}

export function createJobList(jobs: ExportJobs, signal: AbortSignal): HTMLElement {
  const el = make("ul", { class: "rv-jobs", "aria-live": "polite" });
  const items = new Map<number, JobItem>();
  const update = () => {
    for (const [number, item] of items)
      if (!jobs.list.some((job) => job.job === number)) {
        item.el.remove();
        items.delete(number);
      }
    for (const job of jobs.list) {
      let item = items.get(job.job);
      if (!item) {
        item = createJobItem(job, jobs, signal);
        items.set(job.job, item);
        el.append(item.el);
      }
      item.update();
    }
  };
  jobs.onChange.on(update, signal);
  update();
  return el;
}

function createJobItem(job: ExportJob, jobs: ExportJobs, signal: AbortSignal): JobItem {
  const text = make("span", { class: "rv-job-text" });
  const bar = make("progress", {
    class: "rv-progress",
    max: 1,
    "aria-label": job.label,
  });
  const cancel = createButton("Cancel", {}, () => jobs.cancel(job.job), signal);
  const close = createButton(
    icon("close"),
    { class: "rv-bare", ...named("Close") },
    () => jobs.dismiss(job.job),
    signal,
  );
  const paths = make("span", { class: "rv-paths" });
  const el = make("li", { class: "rv-job" }, text, bar, paths, cancel, close);
  return {
    el,
    update() {
      const isRunning = job.state === "running";
      el.dataset.state = job.state;
      el.setAttribute("role", job.state === "failed" ? "alert" : "status");
      bar.hidden = cancel.hidden = !isRunning;
      close.hidden = isRunning;
      bar.value = job.progress;
      const isWritten = job.state === "done" && !job.isDownload;
      setText(text, isWritten ? job.label : `${job.label}: ${job.message}`);
      paths.hidden = !isWritten;
      if (isWritten && !paths.childElementCount)
        paths.replaceChildren(...job.paths.map((path) => createPath(path, signal)));
    },
  };
}

/** A path that can be selected and copied. */
function createPath(path: string, signal: AbortSignal): HTMLElement {
  const code = make("code", { class: "rv-path", title: path }, path);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(path);
      button.title = "Copied";
    } catch {
      // Refused on plain http: selected, so that Ctrl+C works.
      getSelection()?.selectAllChildren(code);
    }
  };
  const button = createButton(
    icon("copy"),
    { class: "rv-bare", ...named("Copy path") },
    copy,
    signal,
  );
  return make("span", { class: "rv-path-line" }, code, button);
}
