/**
 * What the user writes: the note of a bookmark, labels of an episode, and all bookmarks.
 *
 * Opened at a row; its fields are about that row also while the playhead moves on.
 */

import { nameOfEnv } from "../../recording/env-names.ts";
import { textOfLabel } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount } from "../format.ts";
import { icon } from "../icons.ts";

export interface Annotations {
  el: HTMLElement;
  /** Open at a row, with the focus in the note. */
  open(row: number): void;
  close(): void;
  update(): void;
  readonly isOpen: boolean;
}

const OFFERED = ["success", "failure"] as const;

export function createAnnotations(
  session: Session,
  leave: () => void,
  signal: AbortSignal,
): Annotations {
  const { store, clock, marks } = session;
  let row = 0;
  let shown = "";
  const where = make("b", {});
  const note = make("input", {
    type: "text",
    class: "rv-field rv-note-field",
    autocomplete: "off",
    maxlength: 500,
    placeholder: "note",
    "aria-label": "Note of this bookmark",
  });
  const button = (label: string, act: () => void, content: Node | string = label) => {
    const made = make(
      "button",
      { type: "button", class: "rv-button", "aria-label": label, title: label },
      content,
    );
    listen(made, "click", signal, act);
    return made;
  };
  const close = () => {
    el.hidden = true;
    leave();
  };
  const remove = button("Remove bookmark", () => {
    if (marks.bookmarks.includes(row)) marks.toggleBookmark(row);
    close();
  });
  const whose = make("b", {});
  const chips = make("span", { class: "rv-chips" });
  const own = make("input", {
    type: "text",
    class: "rv-field rv-own-label",
    autocomplete: "off",
    maxlength: 60,
    placeholder: "custom label",
    "aria-label": "Custom label for this episode",
  });
  const list = make("ul", { class: "rv-bookmarks", "aria-label": "Bookmarks" });
  const labelling = make("div", { class: "rv-line" }, whose, chips, own);
  const el = make(
    "div",
    { class: "rv-notes", role: "group", "aria-label": "Marks", hidden: true },
    make(
      "div",
      { class: "rv-line" },
      where,
      note,
      remove,
      button("Close marks", close, icon("close")),
    ),
    labelling,
    list,
  );

  /** The episode that labels are for; null: no tile is selected, or several are. */
  const episodeHere = (): [env: number, index: number] | null => {
    const { steps } = store.recorded;
    const envs = steps.numEnvs === 1 ? [0] : session.selectedEnvs();
    const env = envs[0];
    if (env === undefined || envs.length > 1 || row >= steps.numRows) return null;
    const { episode } = steps.at(row, env);
    return episode < 0 ? null : [env, episode];
  };
  const toggle = (name: string, isSet: boolean) => {
    const here = episodeHere();
    if (here && name) session.label(...here, name, isSet ? true : null);
  };
  listen(note, "change", signal, () => session.note(row, note.value.trim()));
  listen(note, "keydown", signal, ({ key }: KeyboardEvent) => {
    if (key === "Escape") note.value = marks.notes.get(row) ?? "";
    if (key === "Enter" || key === "Escape") close();
  });
  listen(own, "keydown", signal, (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.stopPropagation(); // the next one is typed here
    toggle(own.value.trim(), true);
    own.value = "";
  });
  listen(list, "click", signal, (event: MouseEvent) => {
    const to = (event.target as HTMLElement).closest("button")?.dataset.to;
    if (to === undefined) return;
    open(Number(to), false);
    clock.pause();
    session.goTo(row, session.selectedEnvs()[0] ?? null);
  });

  const createChip = (name: string, value: unknown) => {
    const isSet = value !== undefined;
    const made = make(
      "button",
      {
        type: "button",
        class: "rv-button rv-chip",
        "aria-pressed": String(isSet),
        "data-label": name,
      },
      isSet ? textOfLabel([name, value]) : name,
    );
    listen(made, "click", signal, () => toggle(name, !isSet));
    return made;
  };
  const showLabels = () => {
    const here = episodeHere();
    const [kind, number] = here ? nameOfEnv(store.recorded.manifest, here[0]) : ["", 0];
    setText(
      whose,
      here
        ? `${kind} ${number}, episode ${here[1]}`
        : "Select one tile to label its episode",
    );
    own.hidden = chips.hidden = !here;
    const labels = here ? store.recorded.steps.episodes.labels(...here) : {};
    const key = JSON.stringify([here, labels]);
    if (key === shown) return;
    shown = key;
    const focused = (document.activeElement as HTMLElement | null)?.dataset.label;
    const names = new Set<string>([...OFFERED, ...Object.keys(labels)]);
    chips.replaceChildren(...[...names].map((name) => createChip(name, labels[name])));
    if (focused)
      chips
        .querySelector<HTMLElement>(`[data-label="${CSS.escape(focused)}"]`)
        ?.focus();
  };
  const showList = () => {
    const lines = marks.bookmarks.map((one) => {
      const said = marks.notes.get(one);
      return [one, `row ${formatCount(one)}${said ? ` \u00b7 ${said}` : ""}`] as const;
    });
    const key = JSON.stringify(lines);
    if (list.dataset.key !== key) {
      list.dataset.key = key;
      list.replaceChildren(
        ...lines.map(([to, text]) =>
          make(
            "li",
            {},
            make("button", { type: "button", class: "rv-button", "data-to": to }, text),
          ),
        ),
      );
    }
    for (const one of list.querySelectorAll("button"))
      setAttribute(one, "aria-current", String(Number(one.dataset.to) === row));
  };
  const update = () => {
    if (el.hidden) return;
    setText(where, `row ${formatCount(row)}`);
    remove.disabled = !marks.bookmarks.includes(row);
    showLabels();
    showList();
  };
  const open = (at: number, isTyped = true) => {
    row = at;
    el.hidden = false;
    note.value = marks.notes.get(row) ?? "";
    update();
    if (isTyped) note.focus();
  };
  return {
    el,
    open,
    close,
    update,
    get isOpen() {
      return !el.hidden;
    },
  };
}
