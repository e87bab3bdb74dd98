"""What the page does in a second: seeks, playback and messages, in a real JupyterLab.

    make bench-browser

    python -m tests.benchmarks.browser --quick         # fewer rows: 3 minutes
    python -m tests.benchmarks.browser --only seek     # what is measured, by its name
    HEADED=1 python -m tests.benchmarks.browser        # in a window, with its GPU

Times go from the input event to the end of the draw call that shows the row, and
painted frames are animation frames between the two. A seek goes to a row at random
whose chunks are in the page. Peers are what people would show the same grid with, in
the same browser and run: mediapy's `show_videos` (a <video> for each env, seeked
together), a JPEG of the grid for each row over the comm (as jupyter_rfb does), and
matplotlib's `to_jshtml`. Prints a table and writes build/bench/browser.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import nbformat
import numpy as np
from playwright.sync_api import Browser, sync_playwright

import rollout_viewer as rv
from tests.benchmarks.frame_cache import is_there, play
from tests.benchmarks.from_disk import open_from_disk
from tests.benchmarks.interaction import drag_tiles, interact
from tests.benchmarks.report import Row, at_least, at_most, tell
from tests.benchmarks.timeline import NUM_ENVS, measure_steps
from tests.browser.conftest import (
    COMMAND_JS,
    FLAGS,
    SELECT_JS,
    JupyterServer,
    Notebook,
    chromium_path,
)

POLES, CHEETAHS, PONG = "CartPole-v1", "HalfCheetah-v5", "ALE/Pong-v5"
NUM_ROWS, QUICK_ROWS = 500, 200
MANY_ROWS, QUICK_MANY_ROWS = 100_000, 20_000
NUM_SEEKS, PLAY_S = 60, 5.0
TILES = {"width": 1280, "height": 1000}
# Sixteen tiles of 600x400 side by side, pixel for pixel.
FULL = {"width": 2600, "height": 2000}
CHUNK_BUDGET_MB = 256

# Seeks one row after the other; milliseconds to the draw call, and frames painted.
SEEK_JS = """async ([root, rows]) => {
  const scrub = root.querySelector('.rv-scrub');
  let frames = 0, isOver = false;
  const count = () => { frames++; if (!isOver) requestAnimationFrame(count); };
  requestAnimationFrame(count);
  const found = [];
  for (const row of rows) {
    await new Promise(done => setTimeout(done, 40 * Math.random()));
    if (root.dataset.row === String(row)) continue;
    const drawn = new Promise(done => {
      const observer = new MutationObserver(() => {
        if (root.dataset.row !== String(row)) return;
        observer.disconnect();
        done(performance.now());
      });
      observer.observe(root, {attributes: true, attributeFilter: ['data-row']});
    });
    const from = performance.now(), before = frames;
    scrub.value = String(row);
    scrub.dispatchEvent(new Event('input', {bubbles: true}));
    const at = await drawn;
    await new Promise(done => requestAnimationFrame(done));
    found.push([at - from, frames - before]);
  }
  isOver = true;
  return found;
}"""

# Rows that were drawn in a second of playing.
PLAY_JS = """async ([root, ms]) => {
  const rows = new Set();
  const observer = new MutationObserver(() => rows.add(root.dataset.row));
  root.focus();
  const key = key => root.dispatchEvent(
    new KeyboardEvent('keydown', {key, code: key === ' ' ? 'Space' : key,
                                  bubbles: true}));
  key('Home');
  await new Promise(done => setTimeout(done, 300));
  key(' ');
  await new Promise(done => setTimeout(done, 700));
  observer.observe(root, {attributes: true, attributeFilter: ['data-row']});
  const from = performance.now();
  let changes = 0;
  const counter = new MutationObserver(list => { changes += list.length; });
  counter.observe(root, {attributes: true, attributeFilter: ['data-row']});
  await new Promise(done => setTimeout(done, ms));
  const seconds = (performance.now() - from) / 1000;
  observer.disconnect(); counter.disconnect();
  key(' ');
  return changes / seconds;
}"""

# Milliseconds from running the cell until a viewer has drawn its first picture.
FIRST_JS = """async index => {
  const from = performance.now();
  const drawn = new Promise(done => {
    const look = () => {
      if (document.querySelector('.rollout-viewer[data-row]')) done(performance.now());
      else requestAnimationFrame(look);
    };
    look();
  });
  window.jupyterapp.commands.execute('notebook:run-cell');
  return await drawn - from;
}"""

VIDEOS_JS = """async shares => {
  const videos = [...document.querySelectorAll('video')];
  await Promise.all(videos.map(v => v.readyState >= 2 ? 0 :
    new Promise(done => v.addEventListener('loadeddata', done, {once: true}))));
  const found = [];
  for (const share of shares) {
    const from = performance.now();
    await Promise.all(videos.map(v => new Promise(done => {
      v.addEventListener('seeked', done, {once: true});
      v.currentTime = share * v.duration;
    })));
    found.push([performance.now() - from, 0]);
  }
  return found;
}"""

JSHTML_JS = """async shares => {
  const slider = document.querySelector('input[type=range].anim-slider');
  const image = document.querySelector('.animation img');
  const found = [];
  for (const share of shares) {
    const row = Math.round(share * slider.max);
    if (String(row) === slider.value) continue;
    const from = performance.now();
    slider.value = String(row);
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    slider.dispatchEvent(new Event('change', {bubbles: true}));
    await image.decode();
    found.push([performance.now() - from, 0]);
  }
  return found;
}"""

JPEG_JS = """async rows => {
  const found = [];
  for (const row of rows) {
    const from = performance.now();
    await window.seekJpeg(row);
    found.push([performance.now() - from, 0]);
  }
  return found;
}"""

JPEG_CELL = '''
import io
import anywidget, PIL.Image

class Frames(anywidget.AnyWidget):
    """A JPEG of the grid for each row that the page asks for."""

    _esm = """
    export default { render({model, el}) {
      const canvas = document.createElement('canvas');
      el.append(canvas);
      let done = null;
      model.on('msg:custom', async (content, buffers) => {
        const image = await createImageBitmap(new Blob([buffers[0]]));
        canvas.width = image.width; canvas.height = image.height;
        canvas.getContext('2d').drawImage(image, 0, 0);
        done();
      });
      window.seekJpeg = row => new Promise(then => {
        done = then; model.send({row});
      });
    } }
    """

    def __init__(self, clip):
        super().__init__()
        self._clip = clip
        self.on_msg(self._answer)

    def _answer(self, _, content, buffers):
        cache, row = self._clip.cache, content["row"]
        (grid,) = cache.clip(row, row + 1).frames()
        file = io.BytesIO()
        image = PIL.Image.fromarray(grid)
        image.reduce(max(1, image.width // 1200)).save(file, "jpeg", quality=80)
        self.send({}, [file.getvalue()])

Frames(cache.clip())
'''
MEDIAPY_CELL = """
import imageio_ffmpeg, mediapy, numpy as np
mediapy.set_ffmpeg(imageio_ffmpeg.get_ffmpeg_exe())
videos = {str(env): np.stack([cache[row, env] for row in range(cache.num_rows)])
          for env in range(16)}
mediapy.show_videos(videos, fps=60, width=300, columns=4)
"""
JSHTML_CELL = """
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation
from IPython.display import HTML
grids = list(cache.clip(0, 60).frames())
figure, axes = plt.subplots(figsize=(12, 8), dpi=100)
image = axes.imshow(grids[0]); axes.axis("off")
movie = FuncAnimation(figure, lambda row: image.set_data(grids[row]), 60)
matplotlib.rcParams["animation.embed_limit"] = 200
html = movie.to_jshtml(); plt.close(figure)
HTML(html)
"""


def main() -> int:
    """Measure everything; returns 0 also where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    parser.add_argument("--only", default="", help="what to measure, by its name")
    options = parser.parse_args()
    path = chromium_path()
    if path is None:
        print("SKIP browser: no Chromium (see `make setup`)")
        return 0
    rows: list[Row] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        JupyterServer(pathlib.Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        headed = bool(os.environ.get("HEADED"))
        flags = [flag for flag in FLAGS if not (headed and "headless" in flag)]
        browser = playwright.chromium.launch(
            executable_path=path, args=flags, headless=not headed
        )
        desk = Desk(server, browser, options.quick)
        for measure in MEASURES:
            if options.only in measure.__name__:
                rows += measure(desk)
    tell("browser", rows)
    return 0


class Desk:
    """Recordings, and notebooks that show them."""

    def __init__(self, server: JupyterServer, browser: Browser, is_quick: bool) -> None:
        self.server, self.browser, self.is_quick = server, browser, is_quick
        self.num_rows = QUICK_ROWS if is_quick else NUM_ROWS
        self._frames: dict[str, list[Any]] = {}

    def record(self, env_id: str, num_envs: int, num_rows: int) -> pathlib.Path:
        """Return a recording whose envs show parts of one play."""
        slug = env_id.replace("/", "-")
        path = self.server.root / f"{slug}-{num_envs}-{num_rows}.rollout"
        if path.exists():
            return path
        if env_id not in self._frames:
            self._frames[env_id] = play(env_id, 100 if env_id == CHEETAHS else 500)[0]
        frames = self._frames[env_id]
        with rv.FrameCache(path, fps=60) as cache:
            for row in range(num_rows):
                at = [(row + 37 * env) % len(frames) for env in range(num_envs)]
                begins = [one == 0 or row == 0 for one in at]
                cache.append(
                    [frames[one] for one in at],
                    kind=["reset" if one else "step" for one in begins],
                    reward=np.ones(num_envs),
                )
        return path

    @contextlib.contextmanager
    def shown(
        self, path: pathlib.Path, show: str = "", viewport: Any = TILES
    ) -> Iterator[tuple[Notebook, list[float]]]:
        """Open a notebook that shows a recording; gives it, and the first picture's ms.

        Args:
            path: Of the recording.
            show: A cell that shows it another way; "": our viewer.
            viewport: Of the page, in pixels.
        """
        folder = self.server.root / f"at-{time.monotonic_ns()}"
        folder.mkdir()
        cells = [
            f"import rollout_viewer as rv\ncache = rv.open({str(path)!r})",
            show or "viewer = rv.view(cache)\nviewer",
            "import json; print(json.dumps(viewer.stats()))",
        ]
        content = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(content, folder / "test.ipynb")
        context = self.browser.new_context(viewport=viewport)
        context.set_default_timeout(120_000)
        notebook = Notebook(context.new_page(), self.server, folder)
        notebook.run_cell(0)
        notebook.page.evaluate(SELECT_JS, 1)
        found: list[float] = []
        if show:
            ran = notebook.page.evaluate(COMMAND_JS, ["notebook:run-cell", 300_000])
            assert ran == "ran", ran
        else:
            found.append(notebook.page.evaluate(FIRST_JS, 1))
        yield notebook, found
        self.server.stop_kernel(notebook.kernel)
        context.close()


def root_of(notebook: Notebook) -> Any:
    root = notebook.page.wait_for_selector(".rollout-viewer[data-row]")
    notebook.page.wait_for_function(
        "root => ['ready', 'live'].includes(root.dataset.state)", arg=root
    )
    return root


def counted(notebook: Notebook) -> dict[str, float]:
    """Return what the viewer counted."""
    notebook.run_cell(2)
    counts: dict[str, float] = json.loads(notebook.text(2))
    return counts


def percentile(values: list[float], share: float) -> float:
    return float(np.percentile(values, 100 * share))


# -- what is measured -----------------------------------------------------------------


def first(desk: Desk) -> list[Row]:
    """Return how soon 16 CartPoles are seen, and can be scrubbed everywhere."""
    path = desk.record(POLES, 16, NUM_ROWS)
    shown, all_there = [], []
    for _ in range(2 if desk.is_quick else 5):
        start = time.monotonic()
        with desk.shown(path) as (notebook, found):
            start = time.monotonic() - found[0] / 1000
            shown += found
            root = root_of(notebook)
            # From one end to the other: everything that is not there is waited for.
            steps = [*range(0, NUM_ROWS, 25), NUM_ROWS - 1, 0]
            notebook.page.evaluate(SEEK_JS, [root, steps])
            all_there.append(time.monotonic() - start)
    what = f"16 x CartPole 600x400, {NUM_ROWS} rows"
    return [
        at_most(f"{what}: first picture", statistics.median(shown), 500, "ms"),
        at_most(f"{what}: seen from end to end", statistics.median(all_there), 3, "s"),
    ]


def from_disk(desk: Desk) -> list[Row]:
    """Return how large a page of `to_html` is, and how soon it is seen."""
    path = desk.record(POLES, 16, NUM_ROWS)
    what = f"16 x CartPole 600x400, {NUM_ROWS} rows"
    return open_from_disk(desk.browser, path, what, 2 if desk.is_quick else 5)


def seek(desk: Desk) -> list[Row]:
    """Return how long a random seek takes, ours and the peers', and its messages."""
    rng = np.random.default_rng(0)
    shares = rng.random(NUM_SEEKS).tolist()
    rows: list[Row] = []
    for env_id, goals in ((POLES, (17, 33)), (PONG, (None, 12))):
        path = desk.record(env_id, 16, desk.num_rows)
        name = f"16 x {env_id.split('-')[0].removeprefix('ALE/')}"
        peers = {
            peer: measured
            for peer, show, script in (PEERS if env_id == POLES else ())
            if (measured := seek_of_peer(desk, path, show, script, shares))
        }
        with desk.shown(path) as (notebook, _):
            root = root_of(notebook)
            numbers = [round(share * (desk.num_rows - 1)) for share in shares]
            notebook.page.evaluate(SEEK_JS, [root, [*numbers, 0]])  # all is there
            notebook.page.wait_for_timeout(1000)
            before = notebook.num_comm_messages
            found = notebook.page.evaluate(SEEK_JS, [root, numbers])
            times, painted = zip(*found, strict=True)
            messages = notebook.num_comm_messages - before
        theirs = {peer: percentile(ms, 0.5) for peer, ms in peers.items()}
        theirs95 = {peer: percentile(ms, 0.95) for peer, ms in peers.items()}
        if goals[0]:
            p50 = percentile(times, 0.5)
            rows.append(at_most(f"{name}: seek, p50", p50, goals[0], "ms", theirs))
        p95 = percentile(times, 0.95)
        rows.append(at_most(f"{name}: seek, p95", p95, goals[1], "ms", theirs95))
        if env_id == POLES:
            in_frames = [percentile(painted, share) for share in (0.5, 0.95)]
            rows += [
                at_most(f"{name}: painted within, p50", in_frames[0], 1, "frames"),
                at_most(f"{name}: painted within, p95", in_frames[1], 2, "frames"),
            ]
        rows.append(at_most(f"{name}: messages of {NUM_SEEKS} seeks", messages, 0, ""))
    return rows


PEERS = (
    ("mediapy", MEDIAPY_CELL, VIDEOS_JS),
    ("JPEG over the comm", JPEG_CELL, JPEG_JS),
    ("to_jshtml", JSHTML_CELL, JSHTML_JS),
)


def seek_of_peer(
    desk: Desk, path: pathlib.Path, show: str, script: str, shares: list[float]
) -> list[float]:
    """Return the milliseconds of each seek; empty where the peer cannot be shown."""
    with desk.shown(path, show) as (notebook, _):
        errors = [o for o in notebook.outputs(1) if o["output_type"] == "error"]
        if errors:
            print(f"SKIP a peer: {errors[0]['evalue']}")
            return []
        notebook.page.wait_for_timeout(3000)
        given: list[Any] = list(shares)
        if script is JPEG_JS:
            given = [round(share * (desk.num_rows - 1)) for share in shares]
        found = notebook.page.evaluate(script, given)
    return [ms for ms, _ in found]


def silence(desk: Desk) -> list[Row]:
    """Return the messages of stepping, sorting and zooming where all is loaded."""
    path = desk.record(PONG, 16, desk.num_rows)
    with desk.shown(path) as (notebook, _):
        root = root_of(notebook)
        page = notebook.page
        notebook.page.evaluate(SEEK_JS, [root, [*range(0, desk.num_rows, 25), 0]])
        page.keyboard.press("Escape")
        root.focus()
        page.keyboard.press("e")
        page.wait_for_timeout(1500)
        before = notebook.num_comm_messages
        root.focus()
        for key in ("ArrowRight", "ArrowLeft", "Shift+ArrowRight", "=", "=", "0") * 5:
            page.keyboard.press(key)
        for name in ("return", "length", "return"):
            page.locator(f".rv-of-{name} .rv-sort").click()
        page.locator(".rv-filter").fill("env 3")
        page.wait_for_timeout(500)
        messages = notebook.num_comm_messages - before
    what = "messages of 30 steps and zooms, 3 sorts and a filter"
    return [at_most(what, messages, 0, "")]


def playback(desk: Desk) -> list[Row]:
    """Return the rows drawn in a second of playing at 60, and those that were late."""
    shows = [
        (PONG, 16, TILES, 59),
        (POLES, 16, TILES, 59),
        (CHEETAHS, 16, TILES, 59),
        (PONG, 64, TILES, 59),
        (POLES, 16, FULL, 40),
    ]
    rows: list[Row] = []
    for env_id, num_envs, viewport, goal in shows:
        if not is_there(env_id):
            continue
        path = desk.record(env_id, num_envs, NUM_ROWS)
        with desk.shown(path, viewport=viewport) as (notebook, _):
            root = root_of(notebook)
            seen = [*range(0, NUM_ROWS, 25), NUM_ROWS - 1, 0]
            notebook.page.evaluate(SEEK_JS, [root, seen])
            notebook.page.wait_for_timeout(1500)
            before = notebook.num_comm_messages
            rate = max(
                notebook.page.evaluate(PLAY_JS, [root, PLAY_S * 1000])
                for _ in range(1 if desk.is_quick else 2)
            )
            messages = notebook.num_comm_messages - before
            counts = counted(notebook)
        size = "full 600x400" if viewport is FULL else "tiles"
        what = f"{num_envs} x {env_id.split('-')[0].removeprefix('ALE/')}, {size}"
        rows.append(at_least(f"{what}: playing at 60", rate, goal, "rows/s"))
        if viewport is TILES:
            share = 100 * counts["page_late"] / max(counts["page_drawn"], 1)
            rows.append(at_most(f"{what}: late", share, 1, "%"))
        rows.append(at_most(f"{what}: messages while playing", messages, 0, ""))
    return rows


def long_recording(desk: Desk) -> list[Row]:
    """Return what a long recording takes of the page, and of a seek anywhere."""
    num_rows = QUICK_MANY_ROWS if desk.is_quick else MANY_ROWS
    path = desk.record(PONG, 16, num_rows)
    rng = np.random.default_rng(1)
    with desk.shown(path) as (notebook, _):
        root = root_of(notebook)
        notebook.page.wait_for_function(
            "([root, n]) => root.dataset.numRows === n", arg=[root, str(num_rows)]
        )
        numbers = rng.integers(num_rows, size=30).tolist()
        found = notebook.page.evaluate(SEEK_JS, [root, numbers])
        counts = counted(notebook)
    what = f"{num_rows:,} rows of 16 x Pong"
    worst = max(ms for ms, _ in found)
    held = counts["page_nbytes"] / 1e6
    return [
        at_most(f"{what}: worst of 30 seeks anywhere", worst, 250, "ms"),
        at_most(f"{what}: held by the page", held, CHUNK_BUDGET_MB + 128, "MB"),
    ]


def timeline(desk: Desk) -> list[Row]:
    """Return how long steps of zooming and panning the timeline take."""
    num_rows = QUICK_MANY_ROWS if desk.is_quick else MANY_ROWS
    found = measure_steps(desk.browser, desk.server.root, num_rows, TILES)
    what = f"timeline of {num_rows:,} rows x {NUM_ENVS} envs"
    return [
        at_most(f"{what}: step of {name}, p95", percentile(steps, 0.95), 33, "ms")
        for name, steps in found.items()
    ]


def interaction(desk: Desk) -> list[Row]:
    """Return how smoothly tiles are dragged, and how soon input is answered."""
    rows: list[Row] = []
    with desk.shown(desk.record(PONG, 64, desk.num_rows)) as (notebook, _):
        root_of(notebook)
        frames = drag_tiles(notebook.page, 2 if desk.is_quick else 5)
        p95 = percentile(frames, 0.95)
        rows.append(at_most("64 tiles dragged: a frame, p95", p95, 17, "ms"))
    with desk.shown(desk.record(PONG, 16, desk.num_rows)) as (notebook, _):
        root = root_of(notebook)
        seen = [*range(0, desk.num_rows, 25), desk.num_rows - 1, 0]
        notebook.page.evaluate(SEEK_JS, [root, seen])
        found = interact(notebook.page, 10 if desk.is_quick else 60)
        what = f"input to the next paint, of {len(found)} keys and clicks, p98"
        rows.append(at_most(what, percentile(found, 0.98), 100, "ms"))
    return rows


def bundle(_: Desk) -> list[Row]:
    """Return how large the page is, its decoder included."""
    static = pathlib.Path(rv.__file__).parent / "static"
    size = (static / "widget.js").stat().st_size / 1e3
    return [at_most("bundle, minified, decoder included", size, 260, "kB")]


MEASURES = (
    first,
    from_disk,
    seek,
    silence,
    playback,
    long_recording,
    timeline,
    interaction,
    bundle,
)

if __name__ == "__main__":
    sys.exit(main())
