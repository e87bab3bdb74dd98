/** Dump and download buttons, and what became of them. */

import { type ExportJob, formatName } from "../../session/export-jobs.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";
import { offer } from "./download.ts";

const FORMATS = ["mp4", "csv"] as const;

export interface DumpPanel {
  el: HTMLElement;
  update(): void;
}

/** Null where there is no kernel to write files. */
export function createDumpPanel(
  session: Session,
  signal: AbortSignal,
): DumpPanel | null {
  const { jobs, clock, store } = session;
  if (!jobs) return null;
  const span = make("span", { class: "rv-span" });
  const list = make("ul", { class: "rv-jobs", "aria-live": "polite" });
  const rows = (): [number, number] => {
    // What is arranged in the page is no recording: then all of it is written.
    const whole = [
      store.recorded.manifest?.first_row ?? 0,
      store.recorded.steps.numRows,
    ];
    const [first, stop] = store.arrangement
      ? (whole as [number, number])
      : clock.bounds;
    const [from, to] = (store.arrangement ? null : clock.range) ?? [first, stop];
    return [Math.max(first, from), Math.min(stop, to)];
  };
  const buttons: HTMLButtonElement[] = [];
  const button = (
    label: string,
    className: string,
    act: () => void,
    ...content: Node[]
  ) => {
    const made = make(
      "button",
      {
        type: "button",
        class: `rv-button ${className}`,
        "aria-label": label,
        title: label,
      },
      ...content,
    );
    listen(made, "click", signal, act);
    buttons.push(made);
    return made;
  };
  const pairs = FORMATS.map((format) => {
    const name = formatName(format);
    return make(
      "span",
      { class: "rv-pair", role: "group", "aria-label": name },
      button(
        `Dump ${name}`,
        `rv-dump rv-dump-${format}`,
        () => jobs.dump(format, ...rows()),
        document.createTextNode(`Dump ${name}`),
      ),
      button(
        `Download ${name}`,
        `rv-download rv-download-${format}`,
        () => jobs.download(format, ...rows(), (file) => offer(file, signal)),
        icon("download"),
      ),
    );
  });
  const bar = make("div", { class: "rv-dumps" }, ...pairs, span);
  const el = make("div", { class: "rv-export" }, bar, list);
  const items = new Map<number, JobItem>();

  const update = () => {
    const [start, stop] = rows();
    const count = Math.max(0, stop - start);
    for (const one of buttons) one.disabled = count === 0 || session.isCut;
    const counted = `${formatCount(count)} row${count === 1 ? "" : "s"}`;
    setText(
      span,
      clock.range && !store.arrangement
        ? `rows ${formatCount(start)}\u2013${formatCount(stop - 1)}, ${counted}`
        : `whole recording, ${counted}`,
    );
    span.title = store.manifest?.dump_folder
      ? `Dumps go to ${store.manifest.dump_folder}`
      : "";
  };
  const updateJobs = () => {
    for (const [number, item] of items)
      if (!jobs.list.some((job) => job.job === number)) {
        item.el.remove();
        items.delete(number);
      }
    for (const job of jobs.list) {
      let item = items.get(job.job);
      if (!item) {
        item = createJobItem(job, session, signal);
        items.set(job.job, item);
        list.append(item.el);
      }
      item.update();
    }
  };
  jobs.onChange.on(updateJobs, signal);
  updateJobs();
  return { el, update };
}

interface JobItem {
  el: HTMLElement;
  update(): void;
}

function createJobItem(
  job: ExportJob,
  { jobs }: Session,
  signal: AbortSignal,
): JobItem {
  const text = make("span", { class: "rv-job-text" });
  const bar = make("progress", {
    class: "rv-progress",
    max: 1,
    "aria-label": job.label,
  });
  const cancel = make("button", { type: "button", class: "rv-button" }, "Cancel");
  const close = make(
    "button",
    {
      type: "button",
      class: "rv-button rv-bare",
      "aria-label": "Close",
      title: "Close",
    },
    icon("close"),
  );
  const paths = make("span", { class: "rv-paths" });
  listen(cancel, "click", signal, () => jobs?.cancel(job.job));
  listen(close, "click", signal, () => jobs?.dismiss(job.job));
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
  const copy = make(
    "button",
    {
      type: "button",
      class: "rv-button rv-bare",
      "aria-label": "Copy path",
      title: "Copy path",
    },
    icon("copy"),
  );
  listen(copy, "click", signal, async () => {
    try {
      await navigator.clipboard.writeText(path);
      copy.title = "Copied";
    } catch {
      // Refused on plain http: selected, so that Ctrl+C works.
      getSelection()?.selectAllChildren(code);
    }
  });
  return make("span", { class: "rv-path-line" }, code, copy);
}
