/** An evaluation beside its pictures: what its pairs say, and the numbers of policies. */

import type { EvaluationNumbers } from "../../protocol/messages.ts";
import { evaluationOf } from "../../recording/evaluated-pairs.ts";
import type { Session } from "../../session/session.ts";
import { make, onAbort } from "../dom.ts";
import { createOption, createSelect } from "../parts/inputs.ts";
import type { EvaluationPanel } from "../side/evaluation-part.ts";
import { createDifferences } from "./differences.ts";
import { numberOf } from "./numbers.ts";
import { createPairs, type PairsPanel } from "./pairs.ts";
import { createPolicies } from "./policies.ts";

export function createEvaluation(
  session: Session,
  signal: AbortSignal,
): EvaluationPanel {
  const { recorded } = session.store;
  const el = make("div", {});
  let [manifest, shown]: [unknown, string] = [null, ""];
  let pairs: PairsPanel[] = [];
  let built = new AbortController();
  onAbort(signal, () => built.abort());
  const build = (evaluation: EvaluationNumbers) => {
    built.abort();
    built = new AbortController();
    const sections = createSections(session, evaluation, built.signal);
    pairs = sections.pairs;
    el.replaceChildren(...sections.els, createPolicies(evaluation.policies));
  };
  return {
    el,
    update() {
      if (recorded.manifest !== manifest) {
        manifest = recorded.manifest;
        const evaluation = evaluationOf(recorded.manifest?.compare);
        const now = JSON.stringify(evaluation);
        if (evaluation && now !== shown) build(evaluation);
        shown = now;
      }
      for (const one of pairs) one.update();
    },
  };
}

/** A section for each policy but the first, of which one is shown. */
function createSections(
  session: Session,
  evaluation: EvaluationNumbers,
  signal: AbortSignal,
): { els: HTMLElement[]; pairs: PairsPanel[] } {
  const pairs: PairsPanel[] = [];
  const sections = evaluation.against.map((one, index) => {
    const section = createDifferences(one, index);
    if (numberOf(one.pairs)) {
      const panel = createPairs(session, evaluation, index + 1, signal);
      pairs.push(panel);
      section.append(panel.el);
    }
    section.hidden = index > 0;
    return section;
  });
  if (sections.length < 2) return { els: sections, pairs };
  const options = evaluation.against.map(({ policy, against }, index) =>
    createOption(index, `${policy} against ${against}`),
  );
  const select = createSelect(
    { class: "rv-input", "aria-label": "Compared policies" },
    options,
    (value) => {
      for (const [index, section] of sections.entries())
        section.hidden = index !== Number(value);
    },
    signal,
  );
  return { els: [make("div", { class: "rv-whose" }, select), ...sections], pairs };
}
