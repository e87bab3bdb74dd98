/** Making elements. */

type Child = Node | string | null;
type Listener = (event: never) => void;

/**
 * Make an element: `make("button", { class: "rv-button", title: "Play" }, icon)`.
 *
 * Attributes that are false or null are left out, true ones are empty.
 */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | null> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    // A page's policy may forbid the attribute; it never forbids the property.
    if (name === "style") element.style.cssText = String(value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Make an element of an SVG. */
export function makeSvg(
  tag: string,
  attributes: Record<string, string | number>,
  ...children: Node[]
): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes))
    element.setAttribute(name, String(value));
  element.append(...children);
  return element as SVGElement;
}

/** Listen until the signal. */
export function listen(
  target: EventTarget,
  type: string,
  signal: AbortSignal,
  listener: Listener,
  options: AddEventListenerOptions = {},
): void {
  target.addEventListener(type, listener as EventListener, { ...options, signal });
}

export function onAbort(signal: AbortSignal, stop: () => void): void {
  signal.addEventListener("abort", stop);
}

/** Call when an element has its size, and another one, until the signal. */
export function onResize(
  elements: Iterable<Element>,
  signal: AbortSignal,
  call: () => void,
): void {
  const observer = new ResizeObserver(call);
  for (const element of elements) observer.observe(element);
  onAbort(signal, () => observer.disconnect());
}

/** Set text only where it changed: text that does not change is not laid out anew. */
export function setText(element: Element, text: string): void {
  if (element.textContent === text) return;
  // The text that is there, where there is one: a new node costs twice the layout.
  (element.firstChild ?? element).textContent = text;
}

/** Set an attribute only where it changed. */
export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
