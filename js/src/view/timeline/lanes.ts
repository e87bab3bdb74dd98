/** The lanes around the tracks: the ruler with bookmarks, segments, episode ends. */

import { nameOfEnv } from "../../recording/env-names.ts";
import { marksOf } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import {
  drawBookmarks,
  drawEnds,
  drawRuler,
  drawSegments,
  type Ends,
} from "./draw-marks.ts";
import { emptySheet, type Paper, type Sheet } from "./sheet.ts";
import { chosenEnv } from "./whom.ts";

export interface Lanes {
  ruler: HTMLElement;
  segments: HTMLElement;
  ends: HTMLElement;
  /** Look up anew what they show. */
  refresh(): void;
  draw(paper: Paper): void;
}

/** As in timeline.css, in CSS pixels. */
const RULER_PX = 26;
const LANE_PX = 18;

export function createLanes(session: Session, add: HTMLElement): Lanes {
  const { store, marks } = session;
  const ruler = createLane("rv-ruler", "rows", add);
  const segments = createLane("rv-lane rv-segments", "segments");
  const ends = createLane("rv-lane rv-ends", "episode ends");
  ends.name.title =
    "Bar: terminated. Hollow square: truncated. Red: failed, or labelled so.";
  const failuresNow = createFailures(session);
  let found: Ends = { rows: [], bits: () => 0, failures: [] };
  let bookmarks: readonly number[] = [];
  const drawIn = (
    canvas: HTMLCanvasElement,
    height: number,
    paper: Paper,
    draw: (sheet: Sheet) => void,
  ) => {
    const sheet = emptySheet(canvas, height, paper);
    if (sheet) draw(sheet);
  };
  return {
    ruler: ruler.el,
    segments: segments.el,
    ends: ends.el,
    refresh() {
      const env = chosenEnv(session);
      const { steps, manifest } = store;
      const isOne = env !== null && steps.numEnvs > 1;
      const name = isOne ? nameOfEnv(manifest, env).join(" ") : "";
      setText(ends.name, isOne ? `ends of ${name}` : "episode ends");
      segments.el.hidden = !manifest?.segments?.length;
      bookmarks = session.shownRows(marks.bookmarks).sort((a, b) => a - b);
      found = {
        rows: steps.endRows,
        bits: (row) => steps.ends(row, env),
        failures: failuresNow(env),
      };
    },
    draw(paper) {
      drawIn(ruler.canvas, RULER_PX, paper, (sheet) => {
        drawRuler(sheet);
        drawBookmarks(sheet, bookmarks);
      });
      drawIn(ends.canvas, LANE_PX, paper, (sheet) => drawEnds(sheet, found));
      const named = store.manifest?.segments ?? [];
      if (named.length)
        drawIn(segments.canvas, LANE_PX, paper, (sheet) => drawSegments(sheet, named));
    },
  };
}

function createLane(
  className: string,
  text: string,
  beside: HTMLElement | null = null,
) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const name = make("span", { class: "rv-gutter-name" }, text);
  const gutter = make("div", { class: "rv-gutter" }, name, beside);
  const strip = make("div", { class: "rv-strip" }, canvas);
  return { el: make("div", { class: className }, gutter, strip), canvas, name };
}

/** Return what finds the rows at which episodes that failed, or are labelled so, ended. */
function createFailures({ store }: Session): (env: number | null) => readonly number[] {
  let known = "";
  let rows: number[] = [];
  return (env) => {
    const { episodes } = store.steps;
    const { count, infoVersion } = episodes;
    const next = `${store.recorded.manifest?.session} ${count} ${infoVersion} ${env}`;
    if (next === known) return rows;
    known = next;
    const found = new Set<number>();
    for (let number = 0; infoVersion && number < count; number++) {
      const of = episodes.env[number]!;
      if (env !== null && of !== env) continue;
      if ("failure" in (marksOf(episodes.info(of, episodes.index[number]!)) ?? {}))
        found.add(episodes.stop[number]! - 1);
    }
    rows = [...found].sort((a, b) => a - b);
    return rows;
  };
}
