/**
 * The list of all episodes: sorted, filtered, and never more than a screen of it drawn.
 *
 * Sorting and filtering take place in the page. Moving to an episode shows its start;
 * several that are selected are shown side by side.
 */

import { ANY, type EpisodeQuery } from "../../recording/episode-query.ts";
import type { Session } from "../../session/session.ts";
import { make, onAbort, setText } from "../dom.ts";
import { offer } from "../dump/download.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import { EpisodeList } from "./episode-list.ts";
import { createEpisodeRow } from "./episode-row.ts";
import { EpisodeSelection } from "./episode-selection.ts";
import { createEpisodeThumbnails } from "./episode-thumbnails.ts";
import { createFilterFields } from "./filter-fields.ts";
import { createSideBySide } from "./side-by-side.ts";
import { createSortHead, nextOrder } from "./sort-head.ts";
import { createVirtualRows, type VirtualRows } from "./virtual-rows.ts";

export interface EpisodeTable {
  el: HTMLElement;
  /** It became visible, by the user where `isAsked`. */
  onOpen(isAsked: boolean): void;
  update(): void;
}

/** While rows come, the list is made anew no more often. */
const RENEW_MS = 500;

/** `openTile`: show the selected tile alone. */
export function createEpisodeTable(
  session: Session,
  openTile: () => void,
  signal: AbortSignal,
): EpisodeTable {
  const list = new EpisodeList(session.store);
  const selection = new EpisodeSelection(session, list, openTile);
  const onChange = (changes: Partial<EpisodeQuery>) => change(changes);
  const fields = createFilterFields({ onChange, onEnter: () => rows.enter() }, signal);
  const count = make("span", { class: "rv-facts" });
  const head = createSortHead(
    (column) => change(nextOrder(list.query, column)),
    signal,
  );
  const rows = createRows({ session, list, selection, head: head.el }, signal);
  const nothing = createNothing(list, () => change(ANY), signal);
  let renewal: ReturnType<typeof setTimeout> | undefined;
  onAbort(signal, () => clearTimeout(renewal));

  const renew = () => {
    clearTimeout(renewal);
    renewal = undefined;
    list.renew();
    fields.update(list.query, list.labels, list.isJudged);
    head.update(list.query);
    rows.el.hidden = !list.numbers.length;
    rows.el.dataset.absent = list.absent;
    nothing.update();
    rows.resize();
  };
  const draw = () => {
    rows.draw();
    const { count: selected } = selection;
    setText(count, list.describe() + (selected > 1 ? `, ${selected} selected` : ""));
  };
  const change = (changes: Partial<EpisodeQuery>) => {
    list.change(changes);
    renew();
    rows.toTop();
    draw();
  };
  const update = () => {
    if (list.isOutdated)
      renewal ??= setTimeout(() => {
        renew();
        draw();
      }, RENEW_MS);
    draw();
  };
  const onOpen = (isAsked: boolean) => {
    renew();
    draw();
    if (isAsked) fields.focus();
  };

  const save = () => saveCsv(session, list, signal);
  const csv = createButton(
    icon("download"),
    { class: "rv-edged", ...named("Save this list as CSV") },
    save,
    signal,
  );
  const sideBySide = createSideBySide({ session, list, renew }, signal);
  const el = make(
    "div",
    { class: "rv-episodes", role: "group", "aria-label": "Episode list" },
    make(
      "div",
      { class: "rv-episode-tools" },
      make("div", { class: "rv-line" }, fields.search, csv),
      make("div", { class: "rv-line" }, ...fields.menus),
      make("div", { class: "rv-line rv-episode-count" }, count, ...sideBySide),
    ),
    rows.el,
    nothing.el,
  );
  return { el, onOpen, update };
}

interface RowsParts {
  session: Session;
  list: EpisodeList;
  selection: EpisodeSelection;
  head: HTMLElement;
}

function createRows(
  { session, list, selection, head }: RowsParts,
  signal: AbortSignal,
): VirtualRows {
  const { store } = session;
  const thumbnails = createEpisodeThumbnails(store, () => rows.draw(), signal);
  const rows = createVirtualRows(
    {
      head,
      count: () => list.numbers.length,
      create: () => createEpisodeRow({ session, list, selection, thumbnails }),
      onPick: (place, how) => selection.pick(place, how),
    },
    signal,
  );
  let recording = "";
  store.onReset.on(() => {
    const now = store.recorded.manifest?.session ?? "";
    if (now === recording) return; // only arranged anew
    recording = now;
    thumbnails.clear();
    list.clear();
    selection.clear();
  }, signal);
  return rows;
}

/** Shown where no episode is listed: why, and the way back. */
function createNothing(list: EpisodeList, clear: () => void, signal: AbortSignal) {
  const text = make("p", {});
  const button = createButton("Clear filter", { class: "rv-edged" }, clear, signal);
  const el = make("div", { class: "rv-nothing" }, text, button);
  return {
    el,
    update() {
      el.hidden = list.numbers.length > 0;
      button.hidden = !list.isFiltered;
      setText(text, list.isFiltered ? "No episode matches." : "No episodes yet.");
    },
  };
}

function saveCsv({ store }: Session, list: EpisodeList, signal: AbortSignal): void {
  const name = `${store.recorded.manifest?.title || "rollout"}_episodes.csv`;
  const parts = [new TextEncoder().encode(list.csv())];
  offer({ name, mime: "text/csv", parts }, signal);
}
