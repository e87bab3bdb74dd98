/** The menu of a page without a kernel: what the browser can write by itself. */

import { countChanges, labelsFileOf } from "../../session/labels-file.ts";
import type { Session } from "../../session/session.ts";
import type { Grid } from "../grid/grid.ts";
import { createMenuButton, type MenuEntry } from "../parts/menu.ts";
import type { Toasts } from "../parts/toast.ts";
import {
  type Choice,
  choicesOf,
  chosenOf,
  countRows,
  type What,
} from "./chosen-rows.ts";
import { offer } from "./download.ts";
import type { DumpPanel } from "./dump.ts";
import { createMp4Saving } from "./save-mp4.ts";
import { csvOfSteps } from "./step-table.ts";

export function createSaveMenu(
  session: Session,
  grid: Grid,
  toasts: Toasts,
  signal: AbortSignal,
): DumpPanel {
  const { readPicture } = grid;
  const mp4 = createMp4Saving({ session, toasts, readPicture, signal });
  let what: What | null = null;
  const createChoice = (choice: Choice): MenuEntry => ({
    text: choice.text,
    hint: countRows(choice.rows),
    isOn: choice.what === chosenOf(session, what)?.what,
    isRadio: true,
    staysOpen: true,
    choose: () => {
      what = choice.what;
    },
  });
  const saveTable = () => {
    const choice = chosenOf(session, what);
    if (!choice) return;
    const text = csvOfSteps(session.store.recorded.steps, choice.rows);
    const { start, stop } = choice.rows;
    const name = nameOf(session, `r${start}-${stop}.csv`);
    offer({ name, mime: "text/csv", parts: [new TextEncoder().encode(text)] }, signal);
  };
  const entries = (): MenuEntry[] => [
    "What",
    ...choicesOf(session).map(createChoice),
    "",
    { text: "Save CSV", hint: "step table", choose: saveTable },
    {
      text: "Save PNG",
      hint: "this picture",
      choose: () => void grid.saveFrame(),
    },
    createLabelsEntry(session, signal),
    createMp4Entry(),
  ];
  const createMp4Entry = (): MenuEntry => {
    const choice = chosenOf(session, what);
    return {
      text: "Save mp4",
      hint: mp4.whyNot || "pictures",
      isDisabled: mp4.whyNot !== "" || !choice,
      choose: () => {
        if (!choice) return;
        const { start, stop } = choice.rows;
        void mp4.save(choice, nameOf(session, `r${start}-${stop}.mp4`));
      },
    };
  };
  const label = "Save";
  const menu = createMenuButton({ label, iconName: "download", entries }, signal);
  menu.text.textContent = label;
  const tool = { el: menu.el, short: 8, away: 14, entries };
  return { tools: [tool], update: () => {} };
}

/** Saves what the user marked and labelled here: the page itself cannot be changed. */
function createLabelsEntry(session: Session, signal: AbortSignal): MenuEntry {
  const file = labelsFileOf(session);
  const count = countChanges(file);
  const save = () => {
    const text = new TextEncoder().encode(`${JSON.stringify(file, null, 1)}\n`);
    const name = nameOf(session, "labels.json");
    offer({ name, mime: "application/json", parts: [text] }, signal);
  };
  return {
    text: "Save labels",
    hint: count ? `${count} changed, for rv.import_labels` : "none changed here",
    isDisabled: count === 0,
    choose: save,
  };
}

function nameOf({ store }: Session, end: string): string {
  const title = store.recorded.manifest?.title || "rollout";
  return `${title.replace(/[^\w.-]+/g, "_")}_${end}`;
}
