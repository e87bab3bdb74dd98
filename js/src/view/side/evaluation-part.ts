/** What an evaluation found out (src/compare.ts): a part that is loaded when it is seen. */

import type { Session } from "../../session/session.ts";
import { make } from "../dom.ts";
import { importPart, storedPart } from "../load-part.ts";

export interface EvaluationPanel {
  el: HTMLElement;
  update(): void;
}

export interface ComparePart {
  createEvaluation(session: Session, signal: AbortSignal): EvaluationPanel;
}

const NAME = "compare";
const REFUSED =
  "The policy of this page refuses the part that shows the numbers of the evaluation. " +
  "result.table and result.paired have them.";

/** Shows nothing where nothing was evaluated. */
export function createEvaluationPart(
  session: Session,
  signal: AbortSignal,
): EvaluationPanel {
  const { answers, store } = session;
  const el = make("div", { class: "rv-evaluation" });
  let panel: EvaluationPanel | null = null;
  let isLoading = false;
  const load = async () => {
    const asked = () => answers.get({ kind: "part", name: NAME })?.buffers[0];
    const packed = storedPart(NAME) ?? asked();
    if (!packed || isLoading) return;
    isLoading = true;
    try {
      const { createEvaluation } = await importPart<ComparePart>(packed as BlobPart);
      panel = createEvaluation(session, signal);
      el.append(panel.el);
      panel.update();
    } catch {
      el.append(make("p", { class: "rv-note" }, REFUSED));
    }
  };
  const update = () => {
    const hasNumbers = store.recorded.manifest?.compare?.policies !== undefined;
    if (el.hidden === hasNumbers) el.hidden = !hasNumbers;
    if (!hasNumbers) return;
    if (panel) panel.update();
    else void load();
  };
  answers.onChange.on(() => el.isConnected && el.checkVisibility() && update(), signal);
  return { el, update };
}
