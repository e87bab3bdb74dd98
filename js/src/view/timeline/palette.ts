/** The page's colours and font, as a canvas takes them. */

import { make } from "../dom.ts";

const COLOURS = [
  "--rv-bg",
  "--rv-text",
  "--rv-raised",
  "--rv-muted",
  "--rv-line",
  "--rv-edge",
  "--rv-accent",
  "--rv-active",
  "--rv-danger",
  "--rv-reward",
  "--rv-reward-band",
  "--rv-return",
  "--rv-return-line",
  "--rv-data",
  "--rv-data-band",
  "--rv-series-3",
  "--rv-series-4",
  "--rv-terminated",
  "--rv-truncated",
  "--rv-buffer",
  "--rv-range",
] as const;

export type Colour = (typeof COLOURS)[number];

export interface Palette {
  readonly colours: Readonly<Record<Colour, string>>;
  /** Families, as in CSS. */
  readonly font: string;
}

export interface PaletteReader {
  /** To be somewhere in the viewer. */
  el: HTMLElement;
  /** The colours of now. */
  read(): Palette;
}

export function createPaletteReader(): PaletteReader {
  // A custom property is text; as a colour, light-dark() in it is resolved.
  const probes = COLOURS.map((name) => make("i", { style: `color: var(${name})` }));
  const el = make("span", { hidden: true }, ...probes);
  return {
    el,
    read() {
      const colours = {} as Record<Colour, string>;
      for (const [index, name] of COLOURS.entries())
        colours[name] = getComputedStyle(probes[index]!).color;
      return { colours, font: getComputedStyle(el).fontFamily };
    },
  };
}
