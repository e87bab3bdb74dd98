/** The line above the plot: which numbers are drawn, of which env, and their choice. */

import { nameOfEnv } from "../../recording/env-names.ts";
import type { Session } from "../../session/session.ts";
import { make, setText } from "../dom.ts";
import { formatValue } from "../format.ts";
import { createTracePicker } from "./trace-picker.ts";
import {
  kindOf,
  nameOfScalar,
  tracedEnv,
  tracedScalars,
  traceReader,
} from "./traced.ts";

export function createLegend(session: Session, signal: AbortSignal) {
  const { store, clock, viewOptions } = session;
  const envName = make("span", { class: "rv-who" });
  const keys = make("span", { class: "rv-keys" });
  const picker = createTracePicker(session, signal);
  const el = make(
    "div",
    { class: "rv-legend" },
    envName,
    keys,
    picker.el,
    make("span", { class: "rv-spacer" }),
    make("span", { class: "rv-key rv-key-terminated" }, "terminated"),
    make("span", { class: "rv-key rv-key-truncated" }, "truncated"),
  );

  /** Where the number of each scalar is written. */
  let values: HTMLElement[] = [];
  const makeKeys = () => {
    const scalars = tracedScalars(session);
    values = scalars.map(() => make("span", { class: "rv-value" }));
    keys.replaceChildren(
      ...scalars.map((scalar, index) =>
        make(
          "span",
          { class: `rv-key rv-key-${kindOf(scalar)}` },
          `${nameOfScalar(scalar, session)} `,
          values[index]!,
        ),
      ),
    );
  };
  makeKeys();
  viewOptions.onChange.on(makeKeys, signal);

  const update = () => {
    const env = tracedEnv(session);
    const { numEnvs } = store.steps;
    const name = nameOfEnv(store.manifest, env ?? 0).join(" ");
    setText(envName, env === null && numEnvs > 1 ? `mean of ${numEnvs} envs` : name);
    for (const [index, scalar] of tracedScalars(session).entries()) {
      const value = values[index];
      if (value) setText(value, formatValue(traceReader(session, scalar)(clock.row)));
    }
    picker.update();
  };
  return { el, update };
}
