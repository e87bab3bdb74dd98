/** Which scalars the timeline draws, and of which envs: two lists. */

import type { DataField } from "../../protocol/messages.ts";
import type { Scalar } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import { listen, make, setText } from "../dom.ts";

/** Reward and return: the default. */
const BOTH = "reward+return";
const OVERS = [
  ["tile", "selected tile"],
  ["range", "mean, min to max"],
  ["deviation", "mean \u00b1 deviation"],
] as const;
/** Longer arrays are not offered number by number. */
const MAX_NUMBERS = 32;

/** The scalars of a choice, the one in front first. */
export function scalarsOf(trace: string): Scalar[] {
  const names = trace === BOTH ? ["reward", "return"] : [trace];
  return names.map((text) => {
    const found = /^(.*)\[(\d+)\]$/.exec(text);
    return found
      ? { name: found[1]!, index: Number(found[2]) }
      : { name: text === "reward" ? "reward" : "return", index: -1 };
  });
}

export function createTracePicker(session: Session, signal: AbortSignal) {
  const { viewOptions, store } = session;
  const trace = make("select", {
    class: "rv-input rv-pick rv-pick-trace",
    "aria-label": "Trace",
    title: "What is drawn",
  });
  const over = make(
    "select",
    { class: "rv-input rv-pick", "aria-label": "Of", title: "Of whom it is drawn" },
    ...OVERS.map(([value, text]) => make("option", { value }, text)),
  );
  listen(trace, "change", signal, () => viewOptions.set({ trace: trace.value }));
  listen(over, "change", signal, () => viewOptions.set({ over: over.value }));
  const fault = make("span", { class: "rv-wrong", role: "alert" });
  let offered = "";
  const update = () => {
    const options = optionsOf(store.manifest?.data ?? []);
    const next = JSON.stringify(options);
    if (next !== offered) {
      offered = next;
      trace.replaceChildren(
        ...options.map(([value, text]) => make("option", { value }, text)),
      );
    }
    if (trace.value !== viewOptions.now.trace) trace.value = viewOptions.now.trace;
    if (over.value !== viewOptions.now.over) over.value = viewOptions.now.over;
    over.hidden = store.steps.numEnvs < 2;
    setText(fault, session.scalars.fault(scalarsOf(viewOptions.now.trace)[0]!));
  };
  return { el: make("span", { class: "rv-choice" }, trace, over, fault), update };
}

function optionsOf(data: readonly DataField[]): [value: string, text: string][] {
  const options: [string, string][] = [
    [BOTH, "reward and return"],
    ["reward", "reward"],
    ["return", "return"],
  ];
  for (const { name, shape } of data) {
    const count = shape.reduce((product, n) => product * n, 1);
    if (count > MAX_NUMBERS) continue;
    for (let index = 0; index < count; index++)
      options.push([`${name}[${index}]`, count > 1 ? `${name}[${index}]` : name]);
  }
  return options;
}
