"""A recording of counting frames in a notebook, and its viewer as a person uses it."""

import base64
import re
import time

import numpy as np

from rollout_viewer.testing import counting_frames

NUM_ROWS, NUM_ENVS, HEIGHT, WIDTH = 40, 4, 48, 64

RECORD = f"""
import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

frames = counting_frames({NUM_ROWS}, {NUM_ENVS}, height={HEIGHT}, width={WIDTH})
cache = rv.FrameCache(fps=20)
for row in range({NUM_ROWS}):
    is_reset = np.full({NUM_ENVS}, row == 0)
    cache.append(frames[row], reward=np.ones({NUM_ENVS}), reset=is_reset)
"""
SHOW = "viewer = rv.view(cache)\nviewer"

# The pixels of a canvas, or of the pictures of all tiles in sight, cell beside cell in
# the columns of the grid. As they are, not as they are scaled on screen; transparent
# pixels stay so. Returns width, height and RGBA in base64.
PIXELS_JS = """el => {
  const canvasOf = (width, height) =>
    Object.assign(document.createElement('canvas'), { width, height });
  const draw = el => {
    if (el instanceof HTMLCanvasElement) {
      const copy = canvasOf(el.width, el.height);
      copy.getContext('2d').drawImage(el, 0, 0);
      return copy;
    }
    const [columns, width, height, gap] = ['columns', 'cellWidth', 'cellHeight', 'gap']
      .map(name => Number(el.dataset[name]));
    const canvases = [...el.querySelectorAll('canvas')];
    const numRows = gap ? (canvases[0].height + gap) / (height + gap)
      : Math.ceil(canvases.length / columns);
    const grid = canvasOf(columns * width, numRows * height);
    const context = grid.getContext('2d');
    for (let place = 0; place < columns * numRows; place++) {
      const [column, row] = [place % columns, Math.floor(place / columns)];
      const [x, y] = [column * width, row * height];
      if (gap) {
        context.drawImage(canvases[0], column * (width + gap), row * (height + gap),
          width, height, x, y, width, height);
        continue;
      }
      const one = canvases.find(canvas => Number(canvas.dataset.place) === place);
      if (one) context.drawImage(one, x + Math.floor((width - one.width) / 2),
        y + Math.floor((height - one.height) / 2));
    }
    return grid;
  };
  const drawn = draw(el);
  const {data} = drawn.getContext('2d').getImageData(0, 0, drawn.width, drawn.height);
  let text = '';
  for (let i = 0; i < data.length; i += 8192)
    text += String.fromCharCode(...data.subarray(i, i + 8192));
  return [drawn.width, drawn.height, btoa(text)];
}"""


class Viewer:
    """What a person sees of one viewer of counting frames, and does with it."""

    def __init__(self, notebook, index=0):
        self.page = notebook.page
        self.root = notebook.page.locator(".rollout-viewer").nth(index)
        self.root.wait_for(state="attached")

    def wait(self, name, value):
        """Wait until the attribute data-<name> of the root is `value`."""
        self.page.wait_for_function(
            "([root, name, value]) => root.dataset[name] === value",
            arg=[self.root.element_handle(), name, str(value)],
        )

    def wait_until_loaded(self, num_rows=NUM_ROWS):
        """Wait until everything that was recorded is in the page."""
        self.wait("numRows", num_rows)
        self.page.wait_for_function(
            "root => ['ready', 'live'].includes(root.dataset.state)",
            arg=self.root.element_handle(),
        )

    @property
    def row(self):
        return int(self.root.get_attribute("data-row"))

    def pixels(self):
        """Return the pictures on the canvas, (num_envs, H, W, 3)."""
        canvas = self.root.locator(".rv-frames")
        width, height, text = canvas.evaluate(PIXELS_JS)
        grid = np.frombuffer(base64.b64decode(text), np.uint8)
        grid = grid.reshape(height // HEIGHT, HEIGHT, width // WIDTH, WIDTH, 4)
        tiles = grid.swapaxes(1, 2).reshape(-1, HEIGHT, WIDTH, 4)
        return tiles[:NUM_ENVS, :, :, :3]

    def press(self, *keys):
        """Press keys in the viewer, one after the other."""
        self.root.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def scrub(self, *shares):
        """Drag the scrub bar to these shares of its width."""
        bar = self.root.get_by_role("slider").first
        bar.scroll_into_view_if_needed()
        box = bar.bounding_box()
        middle = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + 2, middle)
        self.page.mouse.down()
        for share in shares:
            self.page.mouse.move(box["x"] + share * (box["width"] - 1), middle)
        self.page.mouse.up()

    def button(self, name):
        return self.root.get_by_role("button", name=re.compile(name, re.IGNORECASE))


def assert_soon(read, expected, timeout_s=20):
    """Assert that `read()` returns this, now or when the page has come that far.

    A page lays itself out and draws some frames after a key or a click: what is read at
    once may be what was there before.
    """
    until = time.monotonic() + timeout_s
    while (found := read()) != expected and time.monotonic() < until:
        time.sleep(0.05)
    assert found == expected


# Resolves when no element has moved for some frames.
REST_JS = """async root => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const layout = () => [...root.querySelectorAll('*')].map(one => {
    const {x, y, width, height} = one.getBoundingClientRect();
    return [x, y, width, height];
  }).join();
  const until = performance.now() + 20000;
  let [before, numFrames] = [layout(), 0];
  while (numFrames < 12 && performance.now() < until) {
    await frame();
    const now = layout();
    numFrames = now === before ? numFrames + 1 : 0;
    before = now;
  }
}"""


def rest(root):
    """Wait until the layout below an element rests: it is changed frames later."""
    root.evaluate(REST_JS)


def assert_shows(viewer, row):
    """Compare each tile with the recorded frame, pixel by pixel."""
    viewer.wait("row", row)
    expected = counting_frames(1, NUM_ENVS, height=HEIGHT, width=WIDTH, start=row)[0]
    np.testing.assert_array_equal(viewer.pixels(), expected)


def choose(root, menu, *items):
    """Open the menu that is called so, and click on entries of it."""
    root.get_by_role("button", name=re.compile(f"^{menu}")).click()
    for item in items:
        entries = root.locator(".rv-menu:popover-open button")
        entries.filter(has_text=re.compile(f"^{re.escape(item)}")).first.click()
