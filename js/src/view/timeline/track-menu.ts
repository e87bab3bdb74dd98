/** Menus of tracks: of whom one is, where it is, and which others there are. */

import type { DataField } from "../../protocol/messages.ts";
import { parseScalar, type Scalar } from "../../recording/scalars.ts";
import type { Session } from "../../session/session.ts";
import {
  addTrack,
  hasTrack,
  moveTrack,
  removeTrack,
  setOver,
} from "../../session/tracks.ts";
import type { Over } from "../../session/view-options.ts";
import { make, setAttribute } from "../dom.ts";
import { icon } from "../icons.ts";
import { createButton, named } from "../parts/inputs.ts";
import {
  createMenu,
  createMenuButton,
  type MenuButton,
  type MenuEntry,
} from "../parts/menu.ts";
import { chosenEnv, comparedGroups, nameOfScalar } from "./whom.ts";

/** Longer arrays are not offered number by number. */
const MAX_NUMBERS = 32;

/** The button that says of whom a track is, and its menu. */
export function createTrackMenu(
  session: Session,
  scalar: Scalar,
  signal: AbortSignal,
): MenuButton {
  const label = `Track ${nameOfScalar(scalar, session)}`;
  return createMenuButton(
    {
      label,
      className: "rv-bare rv-track-whom",
      entries: () => [
        ...overEntries(session, scalar),
        ...placeEntries(session, scalar),
      ],
    },
    signal,
  );
}

function overEntries(session: Session, scalar: Scalar): MenuEntry[] {
  if (session.store.steps.numEnvs < 2) return [];
  const now = session.viewOptions.now.tracks.find((track) =>
    isSameScalar(track, scalar),
  );
  const isCompared = comparedGroups(session).length > 0;
  const entry = (over: Over, text: string, hint = ""): MenuEntry => ({
    text,
    hint,
    isRadio: true,
    isOn: now?.over === over,
    choose: () => setOver(session, scalar, over),
  });
  const isSelected = chosenEnv(session) !== null;
  return [
    "Of whom",
    entry("tile", "Selected tile", isSelected ? "" : "none is selected"),
    isCompared ? entry("lines", "Each recording") : entry("mean", "Mean of all"),
    entry("range", "Mean and range of all"),
    entry("deviation", "Mean and deviation of all"),
    "",
  ];
}

function placeEntries(session: Session, scalar: Scalar): MenuEntry[] {
  const { tracks } = session.viewOptions.now;
  const at = tracks.findIndex((track) => isSameScalar(track, scalar));
  return [
    {
      text: "Move up",
      icon: "up",
      isDisabled: at <= 0,
      choose: () => moveTrack(session, scalar, -1),
    },
    {
      text: "Move down",
      icon: "down",
      isDisabled: at === tracks.length - 1,
      choose: () => moveTrack(session, scalar, 1),
    },
    { text: "Remove", icon: "close", choose: () => removeTrack(session, scalar) },
  ];
}

const isSameScalar = (track: { scalar: Scalar }, { name, index }: Scalar) =>
  track.scalar.name === name && track.scalar.index === index;

/** The "+" that offers every number that has no track. */
export function createAddButton(session: Session, signal: AbortSignal): HTMLElement {
  const menu = createMenu("Add a track", () => addEntries(session), signal);
  let wasOpen = false;
  const button = createButton(
    icon("plus"),
    { ...named("Add a track"), class: "rv-bare rv-add-track", "aria-haspopup": "menu" },
    () => (wasOpen ? menu.close() : menu.open(button)),
    signal,
  );
  // A press outside of an open menu closes it before the click comes.
  button.addEventListener("pointerdown", () => {
    wasOpen = menu.isOpen;
  });
  button.addEventListener("keydown", () => {
    wasOpen = menu.isOpen;
  });
  setAttribute(button, "aria-expanded", "false");
  return make("span", { class: "rv-menu-at" }, button, menu.el);
}

function addEntries(session: Session): MenuEntry[] {
  const offered = scalarsIn(session.store.manifest?.data ?? []);
  const left = offered.filter((scalar) => !hasTrack(session, scalar));
  if (!left.length) return ["Every number has a track"];
  return left.map((scalar) => ({
    text: nameOfScalar(scalar, session),
    choose: () => addTrack(session, scalar),
  }));
}

/** Every scalar that can be drawn. */
function scalarsIn(data: readonly DataField[]): Scalar[] {
  const own = data.flatMap(({ name, shape }) => {
    const count = shape.reduce((product, n) => product * n, 1);
    if (count > MAX_NUMBERS) return [];
    return Array.from({ length: count }, (_, index) => ({ name, index }));
  });
  return [parseScalar("reward"), parseScalar("return"), ...own];
}
