/** One track: its head with name, value and of whom it is, and its canvas. */

import { type Scalar, scalarKey } from "../../recording/scalars.ts";
import type { Series } from "../../recording/series.ts";
import type { Session } from "../../session/session.ts";
import type { Track } from "../../session/view-options.ts";
import { make, setAttribute, setText } from "../dom.ts";
import { formatShort, formatValue } from "../format.ts";
import { drawTrack, lookOfLine } from "./draw-track.ts";
import { emptySheet, type Paper } from "./sheet.ts";
import { createTrackMenu } from "./track-menu.ts";
import {
  kindOf,
  nameOfScalar,
  seriesOf,
  type TrackSeries,
  textOfWhom,
  whomOf,
} from "./whom.ts";

export interface TrackView {
  el: HTMLElement;
  /** Look up anew of whom it is, and what is known of it. */
  refresh(track: Track): void;
  /** Write the values of a row. */
  update(row: number): void;
  /** Take its height from the page. */
  measure(): void;
  draw(paper: Paper): void;
  /** Its values in a row, in words. */
  describe(row: number): string;
  /** Of whom it is, in words. */
  readonly whom: string;
  /** What its first line draws. */
  readonly main: Series | null;
  remove(): void;
}

export function createTrack(session: Session, scalar: Scalar): TrackView {
  const closed = new AbortController();
  const kind = kindOf(scalar);
  const name = make("span", { class: "rv-track-name" });
  const value = make("span", { class: "rv-value" });
  const menu = createTrackMenu(session, scalar, closed.signal);
  const lines = make("ul", { class: "rv-track-lines" });
  const fault = make("span", { class: "rv-wrong rv-track-fault", role: "alert" });
  const [top, bottom] = [make("span", {}), make("span", {})];
  const scale = make("div", { class: "rv-scale", "aria-hidden": "true" }, top, bottom);
  const canvas = make("canvas", { class: "rv-trace", "aria-hidden": "true" });
  const plot = make("div", { class: "rv-strip" }, canvas, fault);
  const key = make("i", { class: `rv-key rv-key-${kind}` });
  const head = make(
    "div",
    { class: "rv-track-head" },
    make("div", { class: "rv-track-line" }, key, name, value),
    menu.el,
    lines,
    scale,
  );
  const el = make(
    "div",
    { class: "rv-track", role: "listitem", "data-scalar": scalarKey(scalar) },
    head,
    plot,
  );
  let series: TrackSeries = { lines: [], band: null };
  let whom = "";
  let values: HTMLElement[] = [];
  let height = 0;

  const refreshLines = () => {
    const names = series.lines.length > 1 ? series.lines.map((line) => line.name) : [];
    if (lines.dataset.names === names.join("\n")) return;
    lines.dataset.names = names.join("\n");
    values = names.map(() => make("span", { class: "rv-value" }));
    lines.replaceChildren(
      ...names.map((text, index) => createLine(text, index, values[index]!)),
    );
    lines.hidden = !names.length;
    key.hidden = names.length > 0;
  };
  return {
    el,
    refresh(track) {
      const found = whomOf(session, track.over);
      session.scalars.want(scalar);
      series = seriesOf(session, track, found);
      whom = textOfWhom(found, session);
      const text = nameOfScalar(scalar, session);
      setText(name, text);
      setAttribute(name, "title", text);
      setText(menu.text, whom);
      setAttribute(menu.button, "aria-label", `${whom}, track ${text}`);
      setAttribute(menu.button, "title", `Of whom ${text} is, and where its track is`);
      setText(fault, session.scalars.fault(scalar));
      refreshLines();
    },
    update(row) {
      const numbers = series.lines.map(({ mean }) => formatValue(mean.at(row)));
      setText(value, numbers.length === 1 ? numbers[0]! : "");
      for (const [index, one] of values.entries()) setText(one, numbers[index] ?? "");
    },
    measure() {
      height = plot.clientHeight;
    },
    draw(paper) {
      const sheet = height ? emptySheet(canvas, height, paper) : null;
      const drawn = sheet && drawTrack(sheet, series, kind);
      setText(top, drawn ? formatShort(drawn.max) : "");
      setText(bottom, drawn ? formatShort(drawn.min) : "");
    },
    describe(row) {
      const numbers = series.lines.map(({ name, mean }) => {
        const text = formatValue(mean.at(row));
        return series.lines.length > 1 ? `${name} ${text}` : text;
      });
      return `${nameOfScalar(scalar, session)} ${numbers.join(", ")}`;
    },
    get whom() {
      return whom;
    },
    get main() {
      return series.lines[0]?.mean ?? null;
    },
    remove() {
      closed.abort();
      el.remove();
    },
  };
}

/** The name of a compared recording, its line's look, and its value. */
function createLine(name: string, index: number, value: HTMLElement): HTMLElement {
  const { colour, dash } = lookOfLine(index);
  const key = make("i", {
    class: "rv-key",
    "data-dash": dash.length ? String(dash) : null,
    style: `--rv-key: var(${colour})`,
  });
  const text = make("span", { class: "rv-track-name", title: name }, name);
  return make("li", { class: "rv-track-line" }, key, text, value);
}
