/** The icons of buttons: Lucide's, 24 x 24, drawn as lines in the colour of the text. */

import stepBack from "lucide:arrow-left-to-line";
import stepForward from "lucide:arrow-right-to-line";
import bookmark from "lucide:bookmark";
import camera from "lucide:camera";
import check from "lucide:check";
import down from "lucide:chevron-down";
import previousEnd from "lucide:chevron-first";
import nextEnd from "lucide:chevron-last";
import right from "lucide:chevron-right";
import up from "lucide:chevron-up";
import error from "lucide:circle-alert";
import done from "lucide:circle-check";
import copy from "lucide:copy";
import cpu from "lucide:cpu";
import download from "lucide:download";
import more from "lucide:ellipsis";
import help from "lucide:keyboard";
import overlays from "lucide:layers";
import grid from "lucide:layout-grid";
import link from "lucide:link";
import full from "lucide:maximize";
import inspect from "lucide:panel-right";
import pause from "lucide:pause";
import play from "lucide:play";
import plus from "lucide:plus";
import loop from "lucide:repeat";
import search from "lucide:search";
import first from "lucide:skip-back";
import last from "lucide:skip-forward";
import back from "lucide:step-back";
import forward from "lucide:step-forward";
import label from "lucide:tag";
import trash from "lucide:trash";
import warning from "lucide:triangle-alert";
import undo from "lucide:undo-2";
import close from "lucide:x";
import zoomIn from "lucide:zoom-in";
import zoomOut from "lucide:zoom-out";
import { makeSvg } from "./dom.ts";

const BODIES = {
  back,
  bookmark,
  camera,
  check,
  close,
  copy,
  cpu,
  done,
  down,
  download,
  error,
  first,
  forward,
  full,
  grid,
  help,
  inspect,
  label,
  last,
  link,
  loop,
  markIn: stepBack,
  markOut: stepForward,
  more,
  nextEnd,
  overlays,
  pause,
  play,
  plus,
  previousEnd,
  right,
  search,
  trash,
  undo,
  up,
  warning,
  zoomIn,
  zoomOut,
} as const;

export type IconName = keyof typeof BODIES;

/** A 16 x 16 picture in the colour of the text. */
export function icon(name: IconName): SVGElement {
  const attributes = {
    class: "rv-icon",
    viewBox: "0 0 24 24",
    fill: "none",
    stroke: "currentColor",
    "stroke-width": "2",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
    "aria-hidden": "true",
  };
  const shapes = BODIES[name].map((shape) =>
    typeof shape === "string" ? makeSvg("path", { d: shape }) : makeSvg(...shape),
  );
  return makeSvg("svg", attributes, ...shapes);
}
