/**
 * Dumps and downloads as the page knows them: one list for each model.
 *
 * Sends the orders, keeps what the kernel answers, puts a download together.
 */

import type {
  ExportedRows,
  FilePiece,
  JobMessage,
  ToKernel,
  WireBuffer,
} from "../protocol/messages.ts";
import { asBytes } from "../protocol/parse.ts";
import { Emitter } from "../util/emitter.ts";

export interface ExportJob {
  readonly job: number;
  readonly label: string;
  readonly format: string;
  readonly isDownload: boolean;
  state: JobMessage["state"];
  progress: number;
  message: string;
  paths: string[];
}

/** A downloaded file, whole. */
export interface Download {
  name: string;
  mime: string;
  parts: Uint8Array<ArrayBuffer>[];
}

export class ExportJobs {
  readonly onChange = new Emitter();
  readonly list: ExportJob[] = [];
  readonly #send: (message: ToKernel) => void;
  readonly #files = new Map<
    number,
    { parts: Uint8Array<ArrayBuffer>[]; size: number }
  >();
  readonly #done = new Map<number, (file: Download) => void>();
  // Several pages may talk to one kernel: their numbers should not meet.
  #next = Math.floor(Math.random() * 1e6) * 1000;

  constructor(send: (message: ToKernel) => void) {
    this.#send = send;
  }

  dump(format: string, rows: ExportedRows): void {
    const job = this.#add(`Dump ${formatName(format)}`, format, false);
    this.#send({ kind: "dump", job, formats: [format], ...rows });
  }

  /** Have a file made and sent; `onFile` gets it when it is whole. */
  download(format: string, rows: ExportedRows, onFile: (file: Download) => void): void {
    const job = this.#add(`Download ${formatName(format)}`, format, true);
    this.#done.set(job, onFile);
    this.#files.set(job, { parts: [], size: 0 });
    this.#send({ kind: "download", job, format, ...rows });
  }

  cancel(job: number): void {
    this.#send({ kind: "cancel", job });
  }

  dismiss(job: number): void {
    const index = this.list.findIndex((one) => one.job === job);
    if (index >= 0) this.list.splice(index, 1);
    this.onChange.emit();
  }

  take(message: JobMessage): void {
    const job = this.list.find((one) => one.job === message.job);
    // Another page's; or it failed here, and the kernel's answer comes after that.
    if (job?.state !== "running") return;
    job.state = message.state;
    job.progress = Math.max(0, Math.min(1, message.progress));
    job.message = message.message;
    job.paths = message.paths;
    if (job.state !== "running") this.#forget(message.job);
    this.onChange.emit();
  }

  takeFile(message: FilePiece, buffers: WireBuffer[]): void {
    const file = this.#files.get(message.job);
    if (!file) return;
    const piece = asBytes(buffers[0] ?? new ArrayBuffer(0)).slice();
    if (message.offset !== file.size) {
      this.#fail(message.job, "A part of the file was lost on its way. Try again.");
      this.cancel(message.job);
      return;
    }
    file.parts.push(piece);
    file.size += piece.length;
    if (file.size < message.total) {
      const job = this.list.find((one) => one.job === message.job);
      if (job) {
        job.message = "sending";
        job.progress = message.total ? file.size / message.total : 1;
        this.onChange.emit();
      }
      return;
    }
    const { name, mime } = message;
    this.#done.get(message.job)?.({ name, mime, parts: file.parts });
    this.#forget(message.job);
  }

  #add(label: string, format: string, isDownload: boolean): number {
    const job = this.#next++;
    this.list.push({
      job,
      label,
      format,
      isDownload,
      state: "running",
      progress: 0,
      message: "waiting for the kernel",
      paths: [],
    });
    this.onChange.emit();
    return job;
  }

  #fail(number: number, message: string): void {
    const job = this.list.find((one) => one.job === number);
    if (job) Object.assign(job, { state: "failed", message });
    this.#forget(number);
    this.onChange.emit();
  }

  #forget(job: number): void {
    this.#files.delete(job);
    this.#done.delete(job);
  }
}

/** A format's name on screen: mp4, CSV. */
export function formatName(format: string): string {
  return ["csv", "gif", "png"].includes(format) ? format.toUpperCase() : format;
}
