/**
 * What other widgets in the page may do with a viewer, without the kernel.
 *
 * anywidget 0.11 hands it out: `const { exports } = await host.getWidget(ref)`. Rows,
 * envs and episodes are the recording's, however they are arranged now.
 */

import { TERMINATED, TRUNCATED } from "./protocol/messages.ts";
import type { Session } from "./session/session.ts";

/** Where to go: a row, or a step of an env's episode. */
export interface Target {
  row?: number;
  /** It is selected; of an episode: 0, unless it is given. */
  env?: number;
  episode?: number;
  /** Of the episode; its first, unless it is given. */
  step?: number;
}

export interface ViewerState {
  row: number;
  /** Of the first selected tile; null: none is selected. */
  env: number | null;
  /** The selected envs. */
  selection: number[];
  isPlaying: boolean;
  /** Times the recorded rate. */
  speed: number;
  numRows: number;
  numEnvs: number;
  /** The episode of `env`, or of env 0, at the row; null: there is none. */
  episode: number | null;
  /** Transitions since its start. */
  step: number;
}

export interface ExportedEpisode {
  env: number;
  index: number;
  /** First row, and the row after the last one. */
  start: number;
  stop: number;
  length: number;
  totalReward: number;
  terminated: boolean;
  truncated: boolean;
  /** Null: it is not known. */
  success: boolean | null;
  labels: Record<string, unknown>;
  segment: string | null;
}

export interface ViewerExports {
  /** Show a row, or a step of an episode; throws a RangeError where there is none. */
  goTo(target: number | Target): void;
  play(): void;
  pause(): void;
  /** Select envs; throws a RangeError where there are none such. */
  select(envs: number[]): void;
  state(): ViewerState;
  /** All episodes that have a step so far, in the order in which they began. */
  episodes(): ExportedEpisode[];
  /** Call on the next frame, and after each change; returns what ends it. */
  follow(callback: (state: ViewerState) => void): () => void;
}

export function exportsOf(session: Session, signal: AbortSignal): ViewerExports {
  const { clock, store, marks } = session;
  const checkEnv = (env: unknown, what: string) => {
    const { numEnvs } = store.recorded.steps;
    if (!isCount(env) || env >= numEnvs) throw outOf(`${what}: an env`, numEnvs, env);
  };
  const state = () => stateOf(session);
  return {
    goTo(target) {
      const place = typeof target === "number" ? { row: target } : (target ?? {});
      const { env = null } = place;
      if (env !== null) checkEnv(env, "goTo");
      clock.pause();
      session.goTo(rowOf(session, place), env);
    },
    play: () => clock.play(),
    pause: () => clock.pause(),
    select(envs) {
      for (const env of envs) checkEnv(env, "select");
      session.selectEnvs([...new Set(envs)]);
    },
    state,
    episodes: () => episodesOf(session),
    follow(callback) {
      const ended = new AbortController();
      // What is ended leaves no listener with the page, which may live for a day.
      signal.addEventListener("abort", () => ended.abort(), ended);
      let isDue = false;
      const call = () => {
        isDue = false;
        try {
          if (!ended.signal.aborted) callback(state());
        } catch (error) {
          console.error("[rollout_viewer] follow: its callback raised", error);
        }
      };
      const callSoon = () => {
        if (!isDue) requestAnimationFrame(call);
        isDue = true;
      };
      for (const changed of [clock.onChange, marks.onChange, store.onData])
        changed.on(callSoon, ended.signal);
      callSoon();
      return () => ended.abort();
    },
  };
}

function stateOf(session: Session): ViewerState {
  const { clock, store } = session;
  const { steps } = store.recorded;
  const { row } = session.place();
  const selection = session.selectedEnvs();
  const env = selection[0] ?? null;
  const at = row < steps.numRows ? steps.at(row, env ?? 0) : null;
  const isEpisode = at !== null && at.episode >= 0;
  return {
    row,
    env,
    selection,
    isPlaying: clock.isPlaying,
    speed: clock.speed,
    numRows: steps.numRows,
    numEnvs: steps.numEnvs,
    episode: isEpisode ? at.episode : null,
    step: isEpisode ? at.envStep : 0,
  };
}

/** The row of a target; throws a RangeError where there is none. */
function rowOf(
  { store }: Session,
  { row, env = 0, episode, step = 0 }: Target,
): number {
  const { steps } = store.recorded;
  if (row !== undefined) {
    if (!isCount(row) || row >= steps.numRows)
      throw outOf("goTo: a row", steps.numRows, row);
    return row;
  }
  if (!isCount(episode) || !isCount(step))
    throw new RangeError(
      `[rollout_viewer] goTo: expected a row, or an episode and a step, got ${describe({ row, env, episode, step })}`,
    );
  const found = steps.find(env, episode, step);
  if (found === null)
    throw new RangeError(
      `[rollout_viewer] goTo: env ${env} has no step ${step} in episode ${episode}`,
    );
  return found;
}

function episodesOf({ store }: Session): ExportedEpisode[] {
  const { episodes } = store.recorded.steps;
  const found: ExportedEpisode[] = [];
  for (let number = 0; number < episodes.count; number++) {
    if (!episodes.isListed(number)) continue;
    const { env, index, start, stop, length, total, ends } = episodes.at(number);
    const { labels, success, segment } = episodes.info(env, index);
    found.push({
      ...{ env, index, start, stop, length, totalReward: total },
      terminated: (ends & TERMINATED) !== 0,
      truncated: (ends & TRUNCATED) !== 0,
      success: success ?? null,
      labels: { ...labels },
      segment: segment ?? null,
    });
  }
  return found;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

function outOf(what: string, count: number, got: unknown): RangeError {
  return new RangeError(
    `[rollout_viewer] ${what} of 0 to ${count - 1} was expected, got ${describe(got)}`,
  );
}

function describe(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
