/**
 * How rows and envs are arranged: chosen in a field, named in a line, and reset again.
 */

import {
  type Arrangement,
  alignEpisodes,
  compare,
} from "../../recording/arrangement.ts";
import type { Episode } from "../../recording/episodes.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";
import { formatCount } from "../format.ts";

export interface ArrangementPanel {
  /** The field, for the controls. */
  field: HTMLElement;
  /** The line above the pictures, while anything is arranged. */
  el: HTMLElement;
  update(): void;
}

const RECORDED = "rows";
const CHOSEN = "chosen";

export function createArrangementPanel(
  session: Session,
  signal: AbortSignal,
): ArrangementPanel {
  const { store, marks } = session;
  const select = make("select", {
    class: "rv-field rv-align",
    "aria-label": "Align tiles by",
    title: "Align tiles by",
  });
  const title = make("span", {});
  const back = make(
    "button",
    { type: "button", class: "rv-button rv-back-to-rows" },
    "Back to recorder rows",
  );
  const renewed = make("button", { type: "button", class: "rv-button rv-renew" });
  const el = make(
    "div",
    { class: "rv-arranged", role: "status", hidden: true },
    title,
    renewed,
    back,
  );
  // What the field made last; another arrangement is the list's.
  let made: { value: string; arrangement: Arrangement | null; numRows: number } = {
    value: RECORDED,
    arrangement: null,
    numRows: 0,
  };
  let known = "";

  const arrange = (value: string) => {
    const arrangement = value === RECORDED ? null : arrangementOf(session, value);
    made = { value, arrangement, numRows: store.recorded.steps.numRows };
    session.arrange(arrangement);
  };
  listen(select, "change", signal, () => arrange(select.value));
  listen(renewed, "click", signal, () => arrange(made.value));
  listen(back, "click", signal, () => arrange(RECORDED));
  const renew = () => {
    const options = optionsOf(session);
    const key = JSON.stringify(options);
    if (key === known) return;
    known = key;
    select.replaceChildren(
      ...options.map(([value, text]) => make("option", { value }, text)),
      make("option", { value: CHOSEN, hidden: true }, "chosen"),
    );
  };
  const update = () => {
    const { arrangement } = store;
    renew();
    const chosen = !arrangement
      ? RECORDED
      : arrangement === made.arrangement
        ? made.value
        : CHOSEN;
    if (select.value !== chosen) select.value = chosen;
    el.hidden = !arrangement;
    setText(title, arrangement?.title ?? "");
    // It stays as it was made: tiles should not move while the user watches them.
    const numNew = store.recorded.steps.numRows - made.numRows;
    renewed.hidden = !arrangement || chosen === CHOSEN || numNew <= 0;
    if (!renewed.hidden) setText(renewed, `Take in ${formatCount(numNew)} new rows`);
  };
  store.onManifest.on(update, signal);
  marks.onChange.on(update, signal);
  return { field: select, el, update };
}

function optionsOf({ store }: Session): [value: string, text: string][] {
  const options: [string, string][] = [
    [RECORDED, "by row"],
    ["episodes", "by episode start"],
  ];
  const { groups } = store.recorded.manifest ?? {};
  const { episodes } = store.recorded.steps;
  const { segments, hasSeeds } = knownOf(
    episodes.infoVersion,
    store.recorded.steps.episodes,
  );
  if ((groups?.length ?? 0) > 1) {
    options.push(["group:env", "compare by env"]);
    if (hasSeeds) options.push(["group:seed", "compare by seed"]);
  }
  if (segments.length > 1) {
    options.push(["segment:env", "segments by env"]);
    if (hasSeeds) options.push(["segment:seed", "segments by seed"]);
  }
  return options;
}

interface Known {
  segments: string[];
  hasSeeds: boolean;
}

const knownByEpisodes = new WeakMap<object, { infoVersion: number; known: Known }>();

/** The segments, as they began, and whether any seed is known; looked up once. */
function knownOf(
  infoVersion: number,
  episodes: Session["store"]["steps"]["episodes"],
): Known {
  const before = knownByEpisodes.get(episodes);
  if (before?.infoVersion === infoVersion) return before.known;
  const segments = new Set<string>();
  let hasSeeds = false;
  for (const info of episodes.infos()) {
    if (info.segment !== undefined) segments.add(info.segment);
    hasSeeds ||= info.seed !== undefined && info.seed !== null;
  }
  const known = { segments: [...segments], hasSeeds };
  knownByEpisodes.set(episodes, { infoVersion, known });
  return known;
}

function arrangementOf({ store }: Session, value: string): Arrangement {
  const { episodes } = store.recorded.steps;
  const groups = store.recorded.manifest?.groups ?? [];
  if (value === "episodes")
    return alignEpisodes(episodes, [...Array(episodes.numEnvs).keys()]);
  const [what, by] = value.split(":") as ["group" | "segment", "env" | "seed"];
  const groupOf = ({ env }: Episode) =>
    groups.find(([, first, count]) => env >= first && env < first + count);
  const lines =
    what === "group"
      ? groups.map(([name]) => ({
          name,
          has: (episode: Episode) => groupOf(episode)?.[0] === name,
        }))
      : knownOf(episodes.infoVersion, episodes).segments.map((name) => ({
          name,
          has: ({ env, index }: Episode) => episodes.info(env, index).segment === name,
        }));
  const keyOf = (episode: Episode) => {
    if (by === "env") return String(episode.env - (groupOf(episode)?.[1] ?? 0));
    const { seed } = episodes.info(episode.env, episode.index);
    return seed === undefined || seed === null ? null : String(seed);
  };
  return compare(episodes, lines, keyOf, by);
}
