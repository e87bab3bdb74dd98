/**
 * The list of all episodes: sorted, filtered, and never more than a screen of it drawn.
 *
 * Sorting and filtering take place in the page. A click goes to the episode.
 */

import { Thumbnails } from "../../decode/thumbnails.ts";
import { WorkerPool } from "../../decode/worker-pool.ts";
import { showChosen } from "../../recording/arrangement.ts";
import { nameOfEnv } from "../../recording/env-names.ts";
import {
  ANY,
  bestOf,
  COLUMNS,
  type Column,
  csvOf,
  type EpisodeQuery,
  failuresOf,
  labelNames,
  labelText,
  OUTCOMES,
  outcomeOf,
  query,
} from "../../recording/episode-query.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setAttribute, setText } from "../dom.ts";
import { formatCount, formatValue } from "../format.ts";
import { icon } from "../icons.ts";
import { offer } from "./dump.ts";

export interface EpisodeTable {
  el: HTMLElement;
  toggle(isOpen?: boolean): void;
  update(): void;
  readonly isOpen: boolean;
}

const MOST_TILES = 64;
const ROW_PX = 34;
const THUMB_PX = 28;
/** Rows beyond the edges that are drawn too, so that scrolling shows no gap. */
const BEYOND = 4;
/** While rows come, the list is made anew no more often. */
const RENEW_MS = 500;

/** Which episodes of the list are shown side by side. */
type Choice = "best" | "worst" | "in list order" | "failures";

interface TableLine {
  el: HTMLElement;
  go: HTMLButtonElement;
  thumb: HTMLCanvasElement;
  cells: Record<Column, HTMLElement>;
  drawn: string;
}

export function createEpisodeTable(
  session: Session,
  signal: AbortSignal,
): EpisodeTable {
  const { store, clock, marks } = session;
  let filter: EpisodeQuery = ANY;
  let numbers: Int32Array = new Int32Array(0);
  let active = 0;
  let thumbnails: Thumbnails | null = null;
  let knownLabels = "";
  let made = "";
  let renewal: ReturnType<typeof setTimeout> | undefined;
  const nameOf = (env: number) => nameOfEnv(store.recorded.manifest, env).join(" ");

  const field = (label: string, options: readonly (readonly [string, string])[]) =>
    make(
      "select",
      { class: "rv-field", "aria-label": label, title: label },
      ...options.map(([value, text]) => make("option", { value }, text)),
    );
  const text = make("input", {
    type: "search",
    class: "rv-field rv-filter",
    placeholder: "filter",
    autocomplete: "off",
    "aria-label": "Filter episodes by words",
  });
  const outcome = field("Outcome", [
    ["", "any outcome"],
    ...OUTCOMES.map((one) => [one, one] as const),
  ]);
  const label = field("Label", [["", "any label"]]);
  const count = make("span", { class: "rv-facts", role: "status" });
  const button = (name: string, act: () => void, content: Node | string = name) => {
    const one = make(
      "button",
      { type: "button", class: "rv-button", "aria-label": name, title: name },
      content,
    );
    listen(one, "click", signal, act);
    return one;
  };
  const headers = COLUMNS.map((column) => {
    const sorter = make(
      "button",
      { type: "button", class: "rv-button rv-sort", "data-column": column },
      column,
    );
    listen(sorter, "click", signal, () => sortBy(column));
    return make(
      "div",
      { role: "columnheader", class: `rv-cell rv-of-${column}` },
      sorter,
    );
  });
  const head = make(
    "div",
    { role: "row", class: "rv-episode-row rv-episode-head" },
    make("div", { role: "columnheader", class: "rv-cell rv-of-thumb" }),
    ...headers,
  );
  const body = make("div", { role: "rowgroup", class: "rv-episode-body" });
  const scroller = make(
    "div",
    { class: "rv-episode-scroll", role: "table", "aria-label": "Episodes" },
    head,
    body,
  );
  const howMany = make("input", {
    type: "number",
    class: "rv-field rv-how-many",
    min: 1,
    max: MOST_TILES,
    value: 8,
    "aria-label": "How many episodes side by side",
    title: "How many episodes side by side",
  });
  const sideBySide = make(
    "div",
    { class: "rv-line", role: "group", "aria-label": "Side by side" },
    make("span", { class: "rv-facts" }, "side by side:"),
    howMany,
    button("best", () => show("best")),
    button("worst", () => show("worst")),
    button("in list order", () => show("in list order")),
    button("failures", () => show("failures")),
    make("span", { class: "rv-facts" }, "of this list"),
  );
  const show = (which: Choice) => {
    const { episodes } = store.recorded.steps;
    renew();
    const most = Math.max(
      1,
      Math.min(MOST_TILES, Math.round(Number(howMany.value) || 8)),
    );
    const chosen =
      which === "failures"
        ? failuresOf(episodes, numbers).slice(0, MOST_TILES)
        : which === "in list order"
          ? [...numbers.subarray(0, most)]
          : bestOf(episodes, numbers, most, which === "best");
    if (!chosen.length) {
      setText(
        count,
        `no ${which === "failures" ? "failures" : "episodes"} in this list`,
      );
      return;
    }
    const title = titleOf(chosen.length, which);
    session.arrange(
      showChosen(episodes, chosen, title, (env) =>
        nameOfEnv(store.recorded.manifest, env),
      ),
    );
  };
  const tools = make(
    "div",
    { class: "rv-line" },
    text,
    outcome,
    label,
    count,
    make("span", { class: "rv-spacer" }),
    button("Save this list as CSV", () => save(), icon("download")),
    button("Close the episode list", () => toggle(false), icon("close")),
  );
  const el = make(
    "div",
    { class: "rv-episodes", role: "group", "aria-label": "Episode list", hidden: true },
    tools,
    sideBySide,
    scroller,
  );
  const lines: TableLine[] = [];

  // -- filter and order

  const change = (changes: Partial<EpisodeQuery>) => {
    filter = { ...filter, ...changes };
    active = 0;
    renew();
    scroller.scrollTop = 0;
    draw();
  };
  const sortBy = (column: Column) => {
    // Best first, then worst first, then as they began.
    const isNumber = column === "return" || column === "length";
    if (filter.column !== column) change({ column, isDescending: isNumber });
    else if (filter.isDescending === isNumber) change({ isDescending: !isNumber });
    else change({ column: null, isDescending: false });
  };
  listen(text, "input", signal, () => change({ text: text.value }));
  listen(outcome, "change", signal, () => change({ outcome: outcome.value as never }));
  listen(label, "change", signal, () => change({ label: label.value }));
  const save = () => {
    const csv = csvOf(store.recorded.steps.episodes, numbers, nameOf);
    const name = `${store.recorded.manifest?.title || "rollout"}_episodes.csv`;
    offer({ name, mime: "text/csv", parts: [new TextEncoder().encode(csv)] }, signal);
  };

  const renew = () => {
    clearTimeout(renewal);
    renewal = undefined;
    const { episodes } = store.recorded.steps;
    made = keyOf();
    const names = labelNames(episodes);
    if (names.join("\n") !== knownLabels) {
      knownLabels = names.join("\n");
      const chosen = names.includes(filter.label) ? filter.label : "";
      label.replaceChildren(
        make("option", { value: "" }, "any label"),
        ...names.map((name) => make("option", { value: name }, name)),
      );
      label.value = chosen;
      filter = { ...filter, label: chosen };
    }
    numbers = query(episodes, filter, nameOf);
    active = Math.max(0, Math.min(active, numbers.length - 1));
    const of =
      numbers.length < episodes.count ? ` of ${formatCount(episodes.count)}` : "";
    setText(count, `${formatCount(numbers.length)}${of} episodes`);
    setAttribute(scroller, "aria-rowcount", String(numbers.length + 1));
    body.style.height = `${numbers.length * ROW_PX}px`;
    for (const [index, header] of headers.entries()) {
      const isSorted = COLUMNS[index] === filter.column;
      const order = filter.isDescending ? "descending" : "ascending";
      setAttribute(header, "aria-sort", isSorted ? order : "none");
    }
  };
  const keyOf = () => {
    const { episodes, numRows } = store.recorded.steps;
    // Rows change the running ones only; the head of a long recording stays.
    return `${episodes.count}:${episodes.infoVersion}:${numRows}:${store.recorded.manifest?.session}`;
  };

  // -- what is drawn

  const createLine = (): TableLine => {
    const thumb = make("canvas", { class: "rv-thumb", "aria-hidden": "true" });
    const go = make("button", { type: "button", class: "rv-go" }, thumb);
    const cells = {} as Record<Column, HTMLElement>;
    for (const column of COLUMNS)
      cells[column] = make("div", { role: "cell", class: `rv-cell rv-of-${column}` });
    const line = make(
      "div",
      { role: "row", class: "rv-episode-row" },
      make("div", { role: "cell", class: "rv-cell rv-of-thumb" }, go),
      ...Object.values(cells),
    );
    return { el: line, go, thumb, cells, drawn: "" };
  };
  const draw = () => {
    const height = scroller.clientHeight - head.offsetHeight;
    if (height <= 0) return; // closed, or not laid out now
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(
      numbers.length,
      Math.ceil((scroller.scrollTop + height) / ROW_PX) + BEYOND,
    );
    const wanted = Math.max(0, last - first);
    while (lines.length < wanted) {
      const line = createLine();
      lines.push(line);
      body.append(line.el);
    }
    for (const [index, line] of lines.entries()) {
      // A place keeps its line while it is in sight: it keeps the focus, too.
      const place =
        first + ((((index - first) % lines.length) + lines.length) % lines.length);
      line.el.hidden = place >= last;
      if (!line.el.hidden) drawLine(line, place);
    }
  };
  const drawLine = (line: TableLine, place: number) => {
    const { episodes } = store.recorded.steps;
    const number = numbers[place]!;
    const { env, index, start, stop, length, total } = episodes.at(number);
    const info = episodes.info(env, index);
    const here = session.place();
    const has = here.row >= start && here.row < stop;
    const isHere =
      has && here.env === env && (marks.selection.length > 0 || episodes.numEnvs === 1);
    const ended = outcomeOf(episodes, number);
    const key = JSON.stringify([place, number, ended, length, total, isHere, info]);
    setAttribute(line.go, "tabindex", place === active ? "0" : "-1");
    drawThumb(line, env, ended === "running" ? start : stop - 1, start);
    if (line.drawn === key) return;
    line.drawn = key;
    line.el.style.transform = `translateY(${place * ROW_PX}px)`;
    line.el.dataset.place = String(place);
    line.el.dataset.env = String(env);
    line.el.dataset.episode = String(index);
    setAttribute(line.el, "aria-rowindex", String(place + 2));
    setAttribute(line.el, "aria-current", String(isHere));
    const name = nameOf(env);
    setAttribute(line.go, "aria-label", `Go to ${name} episode ${index}`);
    const texts: Record<Column, string> = {
      env: name,
      episode: String(index),
      return: formatValue(total),
      length: formatCount(length),
      outcome: ended,
      segment: info.segment ?? "",
      labels: labelText(info),
    };
    for (const column of COLUMNS) setText(line.cells[column], texts[column]);
    line.cells.labels.title = texts.labels;
    line.cells.segment.title = texts.segment;
    line.cells.outcome.dataset.outcome = ended;
  };
  const drawThumb = (line: TableLine, env: number, row: number, start: number) => {
    const slots = store.recorded.manifest?.slots ?? [];
    const slot = Math.max(
      slots.findIndex((one) => one.env === env),
      slots.findIndex((one) => one.shared),
    );
    line.thumb.hidden = slot < 0;
    if (slot < 0) return;
    thumbnails ??= new Thumbnails(store, new WorkerPool(1, signal), {
      cacheSize: 400,
      reduction: ({ height }) => height / (THUMB_PX * devicePixelRatio),
    });
    let shown = row;
    let thumb = thumbnails.get(shown, slot, draw);
    // The terminal picture was not recorded: the one before it is the last.
    for (; thumb === null && shown > start && shown > row - 3; ) {
      shown--;
      thumb = thumbnails.get(shown, slot, draw);
    }
    const key = thumb ? `${slot}:${shown}` : "";
    if (line.thumb.dataset.key === key) return;
    line.thumb.dataset.key = key;
    line.thumb.width = thumb?.width ?? 1; // setting it clears
    if (!thumb) return;
    line.thumb.height = thumb.height;
    const image = new ImageData(thumb.pixels, thumb.width, thumb.height);
    line.thumb.getContext("2d")?.putImageData(image, 0, 0);
  };

  // -- going there

  const goTo = (place: number) => {
    const number = numbers[place];
    if (number === undefined) return;
    active = place;
    const { env, start } = store.recorded.steps.episodes.at(number);
    clock.pause();
    session.goTo(start, env);
    draw();
  };
  listen(body, "click", signal, (event: MouseEvent) => {
    const line = (event.target as HTMLElement).closest<HTMLElement>(".rv-episode-row");
    if (line?.dataset.place) goTo(Number(line.dataset.place));
  });
  const MOVES: Record<string, number> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: 8,
    PageUp: -8,
    Home: Number.NEGATIVE_INFINITY,
    End: Number.POSITIVE_INFINITY,
  };
  listen(body, "keydown", signal, (event: KeyboardEvent) => {
    const by = MOVES[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // here they move in the list
    active = Math.max(0, Math.min(numbers.length - 1, active + by));
    const top = active * ROW_PX;
    const height = scroller.clientHeight - head.offsetHeight;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW_PX > scroller.scrollTop + height)
      scroller.scrollTop = top + ROW_PX - height;
    draw();
    lines.find((line) => line.el.dataset.place === String(active))?.go.focus();
  });
  listen(scroller, "scroll", signal, draw, { passive: true });

  const update = () => {
    if (el.hidden) return;
    if (made !== keyOf())
      renewal ??= setTimeout(() => {
        renew();
        draw();
      }, RENEW_MS);
    draw();
  };
  const toggle = (isOpen = el.hidden) => {
    el.hidden = !isOpen;
    if (!isOpen) return;
    renew();
    draw();
    text.focus({ preventScroll: true });
  };
  let recording = "";
  store.onReset.on(() => {
    const now = store.recorded.manifest?.session ?? "";
    if (now === recording) return; // only arranged anew
    recording = now;
    thumbnails?.clear();
    numbers = new Int32Array(0);
    made = "";
  }, signal);
  const resized = new ResizeObserver(draw);
  resized.observe(scroller);
  signal.addEventListener("abort", () => {
    clearTimeout(renewal);
    resized.disconnect();
  });
  return {
    el,
    toggle,
    update,
    get isOpen() {
      return !el.hidden;
    },
  };
}

function titleOf(count: number, choice: Choice): string {
  if (choice === "failures") return `${count} failures`;
  return choice === "in list order"
    ? `${count} episodes in list order`
    : `${count} ${choice} episodes`;
}
