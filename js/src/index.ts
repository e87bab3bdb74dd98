/** The bundle: a widget for notebooks; in an HTML export it starts by itself. */

import { startStandalone } from "./standalone.ts";
import { createWidget } from "./widget.ts";

startStandalone(globalThis.document);

export default createWidget;
