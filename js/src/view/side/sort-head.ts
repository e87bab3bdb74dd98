/** The head of the episode table: a click on a column sorts by it. */

import {
  COLUMNS,
  type Column,
  type EpisodeQuery,
} from "../../recording/episode-query.ts";
import { make, setAttribute } from "../dom.ts";
import { createButton } from "../parts/inputs.ts";

export interface SortHead {
  el: HTMLElement;
  update(query: EpisodeQuery): void;
}

export function createSortHead(
  onSort: (column: Column) => void,
  signal: AbortSignal,
): SortHead {
  const headers = COLUMNS.map((column) => {
    const sorter = createButton(
      column,
      { class: "rv-sort", "data-column": column },
      () => onSort(column),
      signal,
    );
    const el = make(
      "div",
      { role: "columnheader", class: `rv-cell rv-of-${column}` },
      sorter,
    );
    return { column, el };
  });
  return {
    el: make(
      "div",
      { role: "row", class: "rv-episode-row rv-episode-head" },
      make("div", { role: "columnheader", class: "rv-cell rv-of-thumb" }),
      ...headers.map(({ el }) => el),
    ),
    update(query) {
      const order = query.isDescending ? "descending" : "ascending";
      for (const { column, el } of headers)
        setAttribute(el, "aria-sort", column === query.column ? order : "none");
    },
  };
}

/** The order after a click on a column: best first, then worst, then as they began. */
export function nextOrder(query: EpisodeQuery, column: Column): Partial<EpisodeQuery> {
  const isNumber = column === "return" || column === "length";
  if (query.column !== column) return { column, isDescending: isNumber };
  if (query.isDescending === isNumber) return { isDescending: !isNumber };
  return { column: null, isDescending: false };
}
