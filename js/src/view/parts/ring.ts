/** Progress as a ring, the size of an icon. */

export interface Ring {
  el: SVGElement;
  /** `progress`: from 0 to 1. */
  update(progress: number): void;
}

const RADIUS = 6;
const AROUND = 2 * Math.PI * RADIUS;

export function createRing(): Ring {
  const el = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  el.setAttribute("class", "rv-icon rv-ring");
  el.setAttribute("viewBox", "0 0 16 16");
  el.setAttribute("aria-hidden", "true");
  const circle = `cx="8" cy="8" r="${RADIUS}" fill="none" stroke-width="2.5"`;
  el.innerHTML =
    `<circle ${circle} stroke="var(--rv-sunken)"/>` +
    `<circle ${circle} stroke="currentColor" stroke-dasharray="${AROUND}" ` +
    'transform="rotate(-90 8 8)"/>';
  const done = el.lastElementChild!;
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
