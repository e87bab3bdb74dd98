/** One line of the episode list: a picture, its return as a line, and its columns. */

import {
  COLUMNS,
  type Column,
  labelText,
  outcomeOf,
  textOfOutcome,
} from "../../recording/episode-query.ts";
import { type Episode, verdictOf } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount, formatReturn } from "../format.ts";
import { formatFixed } from "./aligned.ts";
import type { EpisodeList } from "./episode-list.ts";
import type { EpisodeSelection } from "./episode-selection.ts";
import type { EpisodeThumbnails } from "./episode-thumbnails.ts";
import { createTags } from "./label-tags.ts";
import { createSparkLine } from "./spark-line.ts";
import type { VirtualRow } from "./virtual-rows.ts";

export interface EpisodeRowOptions {
  session: Session;
  list: EpisodeList;
  selection: EpisodeSelection;
  thumbnails: EpisodeThumbnails;
}

export function createEpisodeRow(options: EpisodeRowOptions): VirtualRow {
  const { session, list, selection, thumbnails } = options;
  const { store } = session;
  const thumb = make("canvas", { class: "rv-thumb", "aria-hidden": "true" });
  const spark = createSparkLine();
  const cells = createCells();
  const [env, episode, ...others] = COLUMNS.map((column) => cells[column].el);
  const el = make(
    "div",
    { role: "row", class: "rv-episode-row" },
    make("div", { role: "gridcell", class: "rv-cell rv-of-thumb" }, thumb),
    ...[env!, episode!],
    make("div", { role: "gridcell", class: "rv-cell rv-of-spark" }, spark.el),
    ...others,
  );
  let drawn = "";
  const update = (place: number) => {
    const number = list.numbers[place]!;
    const { episodes } = store.recorded.steps;
    const one = episodes.at(number);
    const ended = outcomeOf(episodes, number);
    const row = ended === "running" ? one.start : one.stop - 1;
    thumbnails.draw(thumb, { env: one.env, row, start: one.start });
    setAttribute(el, "aria-current", String(hasPlayhead(session, one)));
    setAttribute(el, "aria-selected", String(selection.has(number)));
    const { length, total, numNan } = one;
    const { infoVersion } = episodes;
    const now = [number, ended, length, total, numNan, infoVersion, list.decimals];
    const key = now.join();
    if (drawn === key) return;
    drawn = key;
    el.dataset.env = String(one.env);
    el.dataset.episode = String(one.index);
    spark.update(store.recorded.steps.total(one.env), one.start, one.stop);
    const info = episodes.info(one.env, one.index);
    cells.env.write(list.nameOf(one.env));
    cells.episode.write(String(one.index));
    cells.return.write(formatFixed(total, list.decimals));
    cells.length.write(formatCount(length));
    cells.outcome.write(textOfOutcome(ended));
    const verdict = verdictOf(info);
    cells.success.write(verdict);
    setAttribute(cells.success.el.firstElementChild!, "data-label", verdict);
    cells.segment.write(info.segment ?? "");
    cells.segment.el.title = info.segment ?? "";
    cells.labels.el.replaceChildren(...createTags(info.labels));
    cells.labels.el.title = labelText(info);
    setAttribute(cells.outcome.el.firstElementChild!, "data-outcome", ended);
    setAttribute(cells.return.el, "data-nan", String(numNan > 0));
    cells.return.el.title = numNan ? formatReturn(total, numNan) : "";
  };
  return { el, update };
}

interface Cell {
  el: HTMLElement;
  write(text: string): void;
}

function createCells(): Record<Column, Cell> {
  const cells = {} as Record<Column, Cell>;
  for (const column of COLUMNS) {
    const mark = column === "outcome" ? make("i", { class: "rv-end" }) : null;
    const text = make("span", column === "success" ? { class: "rv-tag" } : {});
    const attributes = { role: "gridcell", class: `rv-cell rv-of-${column}` };
    const el = make("div", attributes, mark, text);
    cells[column] = { el, write: (now) => setText(text, now) };
  }
  return cells;
}

/** Whether the playhead is in an episode, and its env is the one that is selected. */
function hasPlayhead(session: Session, { env, start, stop }: Episode): boolean {
  const { marks, store } = session;
  const here = session.place();
  const isSelected =
    marks.selection.length > 0 || store.recorded.steps.episodes.numEnvs === 1;
  return isSelected && here.env === env && here.row >= start && here.row < stop;
}
