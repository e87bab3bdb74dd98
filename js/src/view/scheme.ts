/**
 * Light or dark, as the page around the viewer is.
 *
 * Hosts have themes of their own, which need not be the system's: what is behind the
 * viewer shows which. JupyterLab and VS Code say it by attributes (widget.css).
 */

import { listen, onAbort } from "./dom.ts";

export type Scheme = "light" | "dark";

/** Give the root the scheme of what is behind it, until the signal. */
export function followScheme(
  root: HTMLElement,
  onChange: () => void,
  signal: AbortSignal,
): void {
  const update = () => {
    const scheme = schemeBehind(root) ?? "";
    if (root.dataset.scheme === scheme) return;
    root.dataset.scheme = scheme;
    onChange();
  };
  const themed = new MutationObserver(() => {
    update();
    onChange(); // colours may have changed within a scheme
  });
  for (const el of [document.documentElement, document.body])
    themed.observe(el, { attributes: true });
  onAbort(signal, () => themed.disconnect());
  const dark = matchMedia("(prefers-color-scheme: dark)");
  listen(dark, "change", signal, () => {
    update();
    onChange();
  });
  update();
}

/** The scheme of the nearest ground behind an element; null: nothing shows it. */
function schemeBehind(root: HTMLElement): Scheme | null {
  let el = parentOf(root);
  for (; el; el = parentOf(el)) {
    const colour = parseColour(getComputedStyle(el).backgroundColor);
    if (colour && colour[3] > 0.5) return isDark(colour) ? "dark" : "light";
  }
  // Without any ground the browser's own is shown, which follows the page's scheme.
  const declared = getComputedStyle(document.documentElement).colorScheme;
  if (declared === "dark" || declared === "light") return declared;
  return null;
}

/** The parent, out of a shadow tree too. */
function parentOf(el: Element): Element | null {
  const root = el.getRootNode();
  return el.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
}

type Colour = [red: number, green: number, blue: number, alpha: number];

/** Parse what getComputedStyle returns; null: another colour space. */
export function parseColour(text: string): Colour | null {
  const numbers = /^rgba?\(([^)]+)\)$/
    .exec(text)?.[1]
    ?.split(/[\s,/]+/)
    .map(Number);
  if (!numbers || numbers.length < 3 || numbers.some(Number.isNaN)) return null;
  return [numbers[0]!, numbers[1]!, numbers[2]!, numbers[3] ?? 1];
}

/** Whether white text is easier to read on it than black text. */
export function isDark([red, green, blue]: Colour): boolean {
  const [r, g, b] = [red, green, blue].map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b! < 0.179;
}
