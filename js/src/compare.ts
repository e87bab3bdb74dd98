/**
 * What an evaluation found out: its numbers and its pairs, in the Compare tab.
 *
 * A part of its own, which few pages need: view/side/evaluation-part.ts loads it.
 */

export { createEvaluation } from "./view/evaluation/evaluation.ts";
