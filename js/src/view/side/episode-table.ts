/**
 * The list of all episodes: sorted, filtered, and never more than a screen of it drawn.
 *
 * Sorting and filtering take place in the page. A click moves the playhead there.
 */

import type { EpisodeQuery } from "../../recording/episode-query.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { offer } from "../dump/download.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import { EpisodeList } from "./episode-list.ts";
import { createEpisodeRow } from "./episode-row.ts";
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
    if (list.isOutdated)
      renewal ??= setTimeout(() => {
        renew();
        rows.draw();
      }, RENEW_MS);
    rows.draw();
  };
  const onOpen = (isAsked: boolean) => {
    renew();
    rows.draw();
    if (isAsked) fields.focus();
  };

  const save = () => saveCsv(session, list, signal);
  const tools = make(
    "div",
    { class: "rv-line" },
    ...fields.els,
    count,
    make("span", { class: "rv-spacer" }),
    createButton(icon("download"), named("Save this list as CSV"), save, signal),
  );
  const onNone = (text: string) => setText(count, text);
  const sideBySide = createSideBySide({ session, list, renew, onNone }, signal);
  const el = make(
    "div",
    { class: "rv-episodes", role: "group", "aria-label": "Episode list" },
    tools,
    sideBySide,
    rows.el,
  );
  return { el, onOpen, update };
}

function createRows(
  session: Session,
  list: EpisodeList,
  head: HTMLElement,
  signal: AbortSignal,
): VirtualRows {
  const { store, clock } = session;
  const thumbnails = createEpisodeThumbnails(store, () => rows.draw(), signal);
  const rows = createVirtualRows(
    {
      head,
      count: () => list.numbers.length,
      create: () => createEpisodeRow({ session, list, thumbnails }),
      onPick: (place) => {
        const { env, start } = store.recorded.steps.episodes.at(list.numbers[place]!);
        clock.pause();
        session.goTo(start, env);
      },
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
