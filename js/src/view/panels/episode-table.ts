/**
 * The list of all episodes: sorted, filtered, and never more than a screen of it drawn.
 *
 * Sorting and filtering take place in the page. A click goes to the episode.
 */

import type { EpisodeQuery } from "../../recording/episode-query.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton } from "./button.ts";
import { offer } from "./download.ts";
import { EpisodeList } from "./episode-list.ts";
import { createEpisodeRow, type EpisodeRow } from "./episode-row.ts";
import { EpisodeThumbnails } from "./episode-thumbnails.ts";
import { createFilterFields } from "./filter-fields.ts";
import { createSideBySide } from "./side-by-side.ts";
import { createSortHead, nextOrder } from "./sort-head.ts";
import { VirtualRows } from "./virtual-rows.ts";

export interface EpisodeTable {
  el: HTMLElement;
  toggle(isOpen?: boolean): void;
  update(): void;
  readonly isOpen: boolean;
}

/** While rows come, the list is made anew no more often. */
const RENEW_MS = 500;

export function createEpisodeTable(
  session: Session,
  signal: AbortSignal,
): EpisodeTable {
  const list = new EpisodeList(session.store);
  const fields = createFilterFields((changes) => change(changes), signal);
  const count = make("span", { class: "rv-facts", role: "status" });
  const head = createSortHead(
    (column) => change(nextOrder(list.query, column)),
    signal,
  );
  const rows = createRows(session, list, head.el, signal);
  let renewal: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", () => clearTimeout(renewal));

  const renew = () => {
    clearTimeout(renewal);
    renewal = undefined;
    list.renew();
    fields.setLabels(list.labels, list.query.label);
    head.update(list.query);
    rows.resize();
    setText(count, list.describe());
  };
  const change = (changes: Partial<EpisodeQuery>) => {
    list.change(changes);
    renew();
    rows.toTop();
    rows.draw();
  };
  const update = () => {
    if (el.hidden) return;
    if (list.isOutdated)
      renewal ??= setTimeout(() => {
        renew();
        rows.draw();
      }, RENEW_MS);
    rows.draw();
  };
  const toggle = (isOpen = el.hidden) => {
    el.hidden = !isOpen;
    if (!isOpen) return;
    renew();
    rows.draw();
    fields.focus();
  };

  const save = { label: "Save this list as CSV", content: icon("download") };
  const close = { label: "Close the episode list", content: icon("close") };
  const tools = make(
    "div",
    { class: "rv-line" },
    ...fields.els,
    count,
    make("span", { class: "rv-spacer" }),
    createButton(save, () => saveCsv(session, list, signal), signal),
    createButton(close, () => toggle(false), signal),
  );
  const onNone = (text: string) => setText(count, text);
  const sideBySide = createSideBySide({ session, list, renew, onNone }, signal);
  const el = make(
    "div",
    { class: "rv-episodes", role: "group", "aria-label": "Episode list", hidden: true },
    tools,
    sideBySide,
    rows.el,
  );
  return {
    el,
    toggle,
    update,
    get isOpen() {
      return !el.hidden;
    },
  };
}

function createRows(
  session: Session,
  list: EpisodeList,
  head: HTMLElement,
  signal: AbortSignal,
): VirtualRows<EpisodeRow> {
  const { store, clock } = session;
  const thumbnails = new EpisodeThumbnails(store, () => rows.draw(), signal);
  const goTo = (number: number) => {
    const { env, start } = store.recorded.steps.episodes.at(number);
    clock.pause();
    session.goTo(start, env);
  };
  const rows = new VirtualRows(
    {
      head,
      count: () => list.numbers.length,
      create: () => createEpisodeRow({ session, nameOf: list.nameOf, thumbnails }),
      update: (row, place) => row.update(list.numbers[place]!),
      onPick: (place) => goTo(list.numbers[place]!),
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
  }, signal);
  return rows;
}

function saveCsv({ store }: Session, list: EpisodeList, signal: AbortSignal): void {
  const name = `${store.recorded.manifest?.title || "rollout"}_episodes.csv`;
  const parts = [new TextEncoder().encode(list.csv())];
  offer({ name, mime: "text/csv", parts }, signal);
}
