/** The head of the episode list: a click on a column sorts by it. */

import {
  COLUMNS,
  type Column,
  type EpisodeQuery,
} from "../../recording/episode-query.ts";
import { make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";

export interface SortHead {
  el: HTMLElement;
  update(query: EpisodeQuery): void;
}

/** Where columns are narrow. */
const SHORT: Partial<Record<Column, string>> = { episode: "ep", length: "len" };

export function createSortHead(
  onSort: (column: Column) => void,
  signal: AbortSignal,
): SortHead {
  const headers = COLUMNS.map((column) => {
    const sorter = createButton(
      make("span", {}, SHORT[column] ?? column),
      { class: "rv-sort", "data-column": column, ...nameOf(column) },
      () => onSort(column),
      signal,
    );
    sorter.append(icon("up"), icon("down"));
    const attributes = { role: "columnheader", class: `rv-cell rv-of-${column}` };
    return { column, el: make("div", attributes, sorter) };
  });
  const [env, episode, ...others] = headers.map(({ el }) => el);
  const unsorted = (className: string, name: string) =>
    make(
      "div",
      { role: "columnheader", class: className },
      make("span", { class: "rv-spoken" }, name),
    );
  return {
    el: make(
      "div",
      { role: "row", class: "rv-episode-row rv-episode-head" },
      unsorted("rv-cell rv-of-thumb", "last picture"),
      ...[env!, episode!],
      unsorted("rv-cell rv-of-spark", "course"),
      ...others,
    ),
    update(query) {
      const order = query.isDescending ? "descending" : "ascending";
      for (const { column, el } of headers)
        setAttribute(el, "aria-sort", column === query.column ? order : "none");
    },
  };
}

/** A name for where there is no room for what is written. */
function nameOf(column: Column): Record<string, string> {
  return SHORT[column] ? { title: column } : named(column);
}

/** The order after a click on a column: best first, then worst, then as they began. */
export function nextOrder(query: EpisodeQuery, column: Column): Partial<EpisodeQuery> {
  const isNumber = column === "return" || column === "length";
  if (query.column !== column) return { column, isDescending: isNumber };
  if (query.isDescending === isNumber) return { isDescending: !isNumber };
  return { column: null, isDescending: false };
}
