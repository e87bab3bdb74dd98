/** The icons of buttons: each is one path. */

const PATHS = {
  previousEnd: "M13 3v10L8 8zM7.6 3v10l-5-5z",
  nextEnd: "M3 3v10l5-5zM8.4 3v10l5-5z",
  first: "M3 3h1.6v10H3zM13 3v10L6 8z",
  back: "M9.8 3v10L3.5 8zM11.4 3H13v10h-1.6z",
  play: "M4 2.6v10.8L13 8z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  forward: "M6.2 3v10l6.3-5zM3 3h1.6v10H3z",
  last: "M11.4 3H13v10h-1.6zM3 3v10l7-5z",
  loop: "M11 1.5 14 4l-3 2.5V4.7H5.2A2.2 2.2 0 0 0 3 6.9V8H1.6V6.9a3.6 3.6 0 0 1 3.6-3.6H11zM5 14.5 2 12l3-2.5v1.8h5.8A2.2 2.2 0 0 0 13 9.1V8h1.4v1.1a3.6 3.6 0 0 1-3.6 3.6H5z",
  markIn: "M4 2h4v1.5H5.5v9H8V14H4z",
  markOut: "M12 2H8v1.5h2.5v9H8V14h4z",
  bookmark: "M4 2h8v12l-4-3-4 3z",
  download:
    "M7.2 2h1.6v6.2l2.3-2.3 1.1 1.1L8 11.2 3.8 7l1.1-1.1 2.3 2.3zM3 12.5h10V14H3z",
  close: "m4 2.9 4 4 4-4L13.1 4l-4 4 4 4-1.1 1.1-4-4-4 4L2.9 12l4-4-4-4z",
  copy: "M5 2h8v9H5zM6.4 3.4v6.2h5.2V3.4zM3 5v8h7v1.4H1.6V5z",
  full: "M2 2h5v1.5H3.5V7H2zM9 2h5v5h-1.5V3.5H9zM2 9h1.5v3.5H7V14H2zM12.5 9H14v5H9v-1.5h3.5z",
  inspect:
    "M2 2.5h12V4H2zM2 5.8h5v1.5H2zM2 9h5v1.5H2zM2 12.2h5v1.5H2zM9 5.8h5v1.5H9zM9 9h5v1.5H9zM9 12.2h5v1.5H9z",
  overlays: "M2 3h12v10H2zM3.4 4.4v7.2h9.2V4.4zM4.4 8.6h4.4v2H4.4z",
  zoomIn: "M7.3 3h1.4v4.3H13v1.4H8.7V13H7.3V8.7H3V7.3h4.3z",
  zoomOut: "M3 7.3h10v1.4H3z",
  grid: "M2.5 2.5h4.6v4.6H2.5zM8.9 2.5h4.6v4.6H8.9zM2.5 8.9h4.6v4.6H2.5zM8.9 8.9h4.6v4.6H8.9z",
} as const;

export type IconName = keyof typeof PATHS;

/** A 16 x 16 picture in the colour of the text. */
export function icon(name: IconName): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}
