/** CSS pixels of an element, where the host shows it larger or smaller than it is. */

/**
 * Where a point of the window lies in an element, in the element's own CSS pixels.
 *
 * Hosts enlarge their pages by `zoom` and `transform`: then a rectangle is measured in
 * pixels of the window, and what is inside it was laid out in others.
 */
export function pointIn(
  el: HTMLElement,
  clientX: number,
  clientY: number,
): { x: number; y: number } {
  const box = el.getBoundingClientRect();
  return {
    x: (clientX - box.left) * (el.offsetWidth / (box.width || 1)),
    y: (clientY - box.top) * (el.offsetHeight / (box.height || 1)),
  };
}

/** Window pixels for each of an element's own CSS pixels; 1 in most hosts. */
export function scaleOf(el: HTMLElement): number {
  const { width } = el.getBoundingClientRect();
  return el.offsetWidth && width ? width / el.offsetWidth : 1;
}
