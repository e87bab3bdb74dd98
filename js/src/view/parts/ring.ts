/** Progress as a ring, the size of an icon. */

import { makeSvg } from "../dom.ts";

export interface Ring {
  el: SVGElement;
  /** `progress`: from 0 to 1. */
  update(progress: number): void;
}

const RADIUS = 6;
const AROUND = 2 * Math.PI * RADIUS;

export function createRing(): Ring {
  const circle = { cx: 8, cy: 8, r: RADIUS, fill: "none", "stroke-width": 2.5 };
  const done = makeSvg("circle", {
    ...circle,
    stroke: "currentColor",
    "stroke-dasharray": AROUND,
    transform: "rotate(-90 8 8)",
  });
  const el = makeSvg(
    "svg",
    { class: "rv-icon rv-ring", viewBox: "0 0 16 16", "aria-hidden": "true" },
    makeSvg("circle", { ...circle, stroke: "var(--rv-sunken)" }),
    done,
  );
  return {
    el,
    update: (progress) =>
      // At the start a little of it, so that it is seen to be there.
      done.setAttribute(
        "stroke-dashoffset",
        String(AROUND * (1 - Math.max(0.04, progress))),
      ),
  };
}
