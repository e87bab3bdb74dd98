/** One line of the episode table: a button with a picture, and a cell for each column. */

import {
  COLUMNS,
  type Column,
  labelText,
  outcomeOf,
} from "../../recording/episode-query.ts";
import type { Episode } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatCount, formatReturn } from "../format.ts";
import type { EpisodeList } from "./episode-list.ts";
import type { EpisodeThumbnails } from "./episode-thumbnails.ts";
import type { VirtualRow } from "./virtual-rows.ts";

export interface EpisodeRowOptions {
  session: Session;
  list: EpisodeList;
  thumbnails: EpisodeThumbnails;
}

export function createEpisodeRow({
  session,
  list,
  thumbnails,
}: EpisodeRowOptions): VirtualRow {
  const thumb = make("canvas", { class: "rv-thumb", "aria-hidden": "true" });
  const button = make("button", { type: "button", class: "rv-go" }, thumb);
  const cells = {} as Record<Column, HTMLElement>;
  for (const column of COLUMNS)
    cells[column] = make("div", { role: "cell", class: `rv-cell rv-of-${column}` });
  const el = make(
    "div",
    { role: "row", class: "rv-episode-row" },
    make("div", { role: "cell", class: "rv-cell rv-of-thumb" }, button),
    ...Object.values(cells),
  );
  let drawn = "";
  const update = (place: number) => {
    const number = list.numbers[place]!;
    const { episodes } = session.store.recorded.steps;
    const episode = episodes.at(number);
    const { env, index, start, stop, length, total, numNan } = episode;
    const info = episodes.info(env, index);
    const name = list.nameOf(env);
    const isHere = hasPlayhead(session, episode);
    const ended = outcomeOf(episodes, number);
    const row = ended === "running" ? start : stop - 1;
    thumbnails.draw(thumb, { env, row, start });
    const key = JSON.stringify([
      ...[number, name, ended, length, total, numNan, isHere, info],
    ]);
    if (drawn === key) return;
    drawn = key;
    el.dataset.env = String(env);
    el.dataset.episode = String(index);
    setAttribute(el, "aria-current", String(isHere));
    setAttribute(button, "aria-label", `Go to ${name} episode ${index}`);
    const texts: Record<Column, string> = {
      env: name,
      episode: String(index),
      return: formatReturn(total, numNan),
      length: formatCount(length),
      outcome: ended,
      segment: info.segment ?? "",
      labels: labelText(info),
    };
    for (const column of COLUMNS) setText(cells[column], texts[column]);
    cells.labels.title = texts.labels;
    cells.segment.title = texts.segment;
    cells.outcome.dataset.outcome = ended;
    cells.return.dataset.nan = String(numNan > 0);
    cells.return.title = numNan ? texts.return : "";
  };
  return { el, button, update };
}

/** Whether the playhead is in an episode, and its env is the one that is selected. */
function hasPlayhead(session: Session, { env, start, stop }: Episode): boolean {
  const { marks, store } = session;
  const here = session.place();
  const isSelected =
    marks.selection.length > 0 || store.recorded.steps.episodes.numEnvs === 1;
  return isSelected && here.env === env && here.row >= start && here.row < stop;
}
