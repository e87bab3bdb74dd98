/** A picture of now as a PNG file, every pixel of it: to the clipboard, or saved. */

import type { Thumbnail, Thumbnails } from "../../decode/thumbnails.ts";
import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import { offer } from "../dump/download.ts";

export interface FrameCopy {
  /** Copy the picture of a slot; saves it where the clipboard takes no pictures. */
  copy(slot: number, row: number): Promise<Copied>;
  save(slot: number, row: number): Promise<Copied>;
}

/** What happened; "": there is no picture of that row. */
export type Copied = "copied" | "saved" | "";

/** `exact` decodes pictures at their full size. */
export function createFrameCopy(
  session: Session,
  exact: Thumbnails,
  signal: AbortSignal,
): FrameCopy {
  const pictureOf = (slot: number, row: number) =>
    new Promise<Thumbnail | null>((done) => {
      const at = session.store.recordedSlotAt(row, slot);
      if (at) exact.request(at.row, at.slot, done);
      else done(null);
    });
  const save = async (slot: number, row: number): Promise<Copied> => {
    const picture = await pictureOf(slot, row);
    if (!picture) return "";
    const bytes = new Uint8Array(await (await pngOf(picture)).arrayBuffer());
    const name = nameOf(session, slot, row);
    offer({ name, mime: "image/png", parts: [bytes] }, signal);
    return "saved";
  };
  return {
    save,
    async copy(slot, row) {
      if (typeof ClipboardItem === "undefined" || !navigator.clipboard?.write)
        return save(slot, row);
      let isThere = true;
      const png = pictureOf(slot, row).then((picture) => {
        isThere = picture !== null;
        if (!picture) throw new Error("no picture");
        return pngOf(picture);
      });
      try {
        // At once, with what will come: later it is not by the user's key any more.
        await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
        return "copied";
      } catch {
        return isThere ? save(slot, row) : "";
      }
    },
  };
}

function pngOf({ width, height, pixels }: Thumbnail): Promise<Blob> {
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d")!.putImageData(new ImageData(pixels, width), 0, 0);
  return new Promise((done, fail) =>
    canvas.toBlob((png) => (png ? done(png) : fail(new Error("no picture")))),
  );
}

function nameOf({ store }: Session, slot: number, row: number): string {
  const at = store.recordedSlotAt(row, slot);
  const { env, camera } = store.manifest!.slots[slot]!;
  const title = store.manifest!.title.replace(/[^\w.-]+/g, "_") || "frame";
  const cameras = new Set(store.manifest!.slots.map((one) => one.camera));
  const which = cameras.size > 1 ? `-${camera}` : "";
  return `${title}-env${env}${which}-row${at?.row ?? row}.png`;
}
