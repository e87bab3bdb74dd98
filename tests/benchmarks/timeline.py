"""Steps of zooming and panning the timeline of a long recording of many envs.

The bundle runs in an empty page, and is sent numbers without pictures as a kernel
sends them: what is measured is the timeline alone. A step is from a wheel event to
the end of the frame that shows it.
"""

from __future__ import annotations

import pathlib
from typing import Any

from playwright.sync_api import Browser

from rollout_viewer import __version__
from rollout_viewer._page.bundle import read_bundle

NUM_ENVS = 64

PAGE = """<!doctype html>
<style>%(css)s</style><script type="text/plain" id="bundle">%(script)s</script>"""

# Shows a recording of numbers; resolves once all of them are in the page.
SHOW_JS = """async ([version, numRows, numEnvs]) => {
  const text = document.querySelector('#bundle').textContent;
  const url = URL.createObjectURL(new Blob([text], {type: 'text/javascript'}));
  const widget = (await import(url)).default();
  const values = {playhead: 0, playing: false, speed: 1, loop: 'off', selection: [],
                  bookmarks: [], _observed: [], _key: ''};
  let take;
  const on = (name, listener) => { if (name === 'msg:custom') take = listener; };
  const model = {get: name => values[name], on, set() {}, off() {}, send() {},
                 save_changes() {}};
  const el = document.createElement('div');
  document.body.append(el);
  widget.initialize({model});
  widget.render({model, el});
  take({kind: 'manifest', protocol: 1, version, session: 'x', num_rows: numRows,
        first_row: 0, num_envs: numEnvs, fps: 60, slots: [], is_live: false,
        follow: false, num_lost: 0, num_evicted: 0, title: '', dump_folder: null,
        columns: null}, []);
  const count = 5000;
  for (let start = 0; start < numRows; start += count) {
    const size = count * numEnvs;
    const [kinds, ends] = [new Uint8Array(size), new Uint8Array(size)];
    const [rewards, steps] = [new Float64Array(size), new Uint32Array(size)];
    for (let i = 0; i < size; i++) {
      const [row, env] = [start + Math.floor(i / numEnvs), i % numEnvs];
      const step = (row + 7 * env) % 200;
      kinds[i] = step ? 1 : 0;
      ends[i] = step === 199 ? 1 + env % 2 : 0;
      rewards[i] = step ? Math.sin(row / 500 + env) + 0.2 * Math.random() : NaN;
      steps[i] = step;
    }
    take({kind: 'data', seq: start, num_rows: numRows, start, count},
         [kinds, ends, rewards, steps]);
    await new Promise(done => setTimeout(done));
  }
}"""

# Milliseconds of each of `count` steps, there and back again.
STEP_JS = """async ([isZoom, count]) => {
  const strip = document.querySelector('.rv-track .rv-strip');
  const box = strip.getBoundingClientRect();
  const found = [];
  for (let i = 0; i < count; i++) {
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    const from = performance.now();
    strip.dispatchEvent(new WheelEvent('wheel', {
      bubbles: true, cancelable: true, ctrlKey: isZoom, shiftKey: !isZoom,
      clientX: box.left + 0.37 * box.width, clientY: box.top + 5,
      deltaY: i % 40 < 20 ? -60 : 60}));
    await new Promise(done => requestAnimationFrame(() => {
      const {port1, port2} = new MessageChannel();
      port1.onmessage = done;
      port2.postMessage(0);
    }));
    found.push(performance.now() - from);
  }
  return found;
}"""


def measure_steps(
    browser: Browser, folder: pathlib.Path, num_rows: int, viewport: Any
) -> dict[str, list[float]]:
    """Return the milliseconds of steps of "zoom" and "pan"."""
    script = read_bundle("widget.js", "bench").replace("</script", r"<\/script")
    path = folder / "timeline.html"
    path.write_text(
        PAGE % {"css": read_bundle("widget.css", "bench"), "script": script}
    )
    context = browser.new_context(viewport=viewport)
    page = context.new_page()
    page.goto(path.as_uri())
    page.evaluate(SHOW_JS, [__version__, num_rows, NUM_ENVS])
    page.wait_for_timeout(1000)  # the last of it is drawn
    found = {"zoom": page.evaluate(STEP_JS, [True, 160])}
    page.evaluate(STEP_JS, [True, 10])  # panned where it is zoomed
    found["pan"] = page.evaluate(STEP_JS, [False, 160])
    context.close()
    return found
