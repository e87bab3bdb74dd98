/** Whether the window moves to a screen of another density, or the browser zooms. */

/** Call back when `devicePixelRatio` changes, until the signal. */
export function onDensity(callback: () => void, signal: AbortSignal): void {
  let density = devicePixelRatio;
  const check = () => {
    if (signal.aborted || density === devicePixelRatio) return;
    density = devicePixelRatio;
    callback();
    watch();
  };
  const watch = () => {
    // A query names the density that is left: a new one each time.
    const query = matchMedia(`(resolution: ${density}dppx)`);
    query.addEventListener("change", check, { once: true, signal });
  };
  watch();
  // Some browsers only resize the window.
  addEventListener("resize", check, { signal });
}
