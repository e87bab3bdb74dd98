/** An evaluation beside its pictures: what its pairs say, and the numbers of policies. */

import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import type { EvaluationPanel } from "../side/evaluation-part.ts";
import { createDifferences } from "./differences.ts";
import { createPolicies } from "./policies.ts";

export function createEvaluation(
  session: Session,
  _signal: AbortSignal,
): EvaluationPanel {
  const { recorded } = session.store;
  const policies = make("div", {});
  const differences = make("div", {});
  let shown: unknown = null;
  return {
    el: make("div", {}, differences, policies),
    update() {
      const { compare } = recorded.manifest ?? {};
      if (!compare?.policies || !compare.against || !compare.pairs) return;
      const now = JSON.stringify([compare.policies, compare.against]);
      if (now === shown) return;
      shown = now;
      policies.replaceChildren(createPolicies(compare.policies));
      differences.replaceChildren(...compare.against.map(createDifferences));
    },
  };
}
