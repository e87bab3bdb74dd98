/** Which scalars the timeline draws, and of whom: two lists to choose from. */

import type { DataField } from "../../protocol/messages.ts";
import { keyOf, type Scalar } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import type { Look } from "../../session/view-options.ts";
import { listen, make, setText } from "../dom.ts";

/** Reward and return, as a recording begins to be looked at. */
const BOTH = "reward+return";
const OVERS = [
  ["tile", "selected tile"],
  ["range", "mean, min to max"],
  ["deviation", "mean \u00b1 deviation"],
] as const;
/** Longer arrays are not offered number by number. */
const MAX_NUMBERS = 32;

/** Whether the spread over all envs is drawn, and not one of them. */
export function isSpread({ over }: Look): boolean {
  return over !== "tile";
}

/** The scalars that a choice stands for, the one in front first. */
export function scalarsOf(trace: string): Scalar[] {
  const names = trace === BOTH ? ["reward", "return"] : [trace];
  return names.map((text) => {
    const found = /^(.*)\[(\d+)\]$/.exec(text);
    return found
      ? { name: found[1]!, index: Number(found[2]) }
      : { name: text === "reward" ? "reward" : "return", index: -1 };
  });
}

/** As people read it: the only number of an array is called like the array. */
export function nameOfScalar(scalar: Scalar, { store }: Session): string {
  const shape = store.manifest?.data?.find((one) => one.name === scalar.name)?.shape;
  const isAlone = shape?.every((n) => n === 1);
  return isAlone ? scalar.name : keyOf(scalar);
}

export function choiceOf(session: Session, signal: AbortSignal) {
  const { looks, store } = session;
  const trace = make("select", {
    class: "rv-pick rv-pick-trace",
    "aria-label": "Trace",
    title: "What is drawn",
  });
  const over = make(
    "select",
    { class: "rv-pick", "aria-label": "Of", title: "Of whom it is drawn" },
    ...OVERS.map(([value, text]) => make("option", { value }, text)),
  );
  listen(trace, "change", signal, () => looks.set({ trace: trace.value }));
  listen(over, "change", signal, () => looks.set({ over: over.value }));
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
    if (trace.value !== looks.now.trace) trace.value = looks.now.trace;
    if (over.value !== looks.now.over) over.value = looks.now.over;
    over.hidden = store.steps.numEnvs < 2;
    setText(fault, session.columns.fault(scalarsOf(looks.now.trace)[0]!));
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
