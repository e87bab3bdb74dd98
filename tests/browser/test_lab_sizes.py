"""Pictures whose size changes while a notebook shows them."""

import base64

import numpy as np

from tests.browser.driver import PIXELS_JS, SHOW, Viewer, assert_soon, rest

RECORD = """
import numpy as np
import rollout_viewer as rv

cache = rv.FrameCache(fps=20)

def record(start, stop, height, width):
    for row in range(start, stop):
        frame = np.full((height, width, 3), 2 * row, np.uint8)
        frame[: height // 2, :, 0] = 255
        is_first, is_last = row == start, row == stop - 1
        cache.append([frame], reward=[1], reset=[is_first], terminated=[is_last])

record(0, 25, 40, 60)
record(25, 50, 24, 20)
"""
LATER = "record(50, 75, 50, 30)\nrecord(75, 100, 40, 60)"


def drawn(row: int) -> np.ndarray:
    """Return the RGBA pixels of the canvas: the picture in the middle of its tile."""
    size = [(40, 60), (24, 20), (50, 30), (40, 60)][row // 25]
    frame = np.full((*size, 4), 2 * row, np.uint8)
    frame[: size[0] // 2, :, 0] = 255
    frame[..., 3] = 255
    return frame


def assert_shows(viewer: Viewer, row: int, cell: tuple[int, int]) -> None:
    viewer.wait("row", row)
    canvas = viewer.root.locator(".rv-frames")

    def pixels():
        width, height, text = canvas.evaluate(PIXELS_JS)
        found = np.frombuffer(base64.b64decode(text), np.uint8)
        return found.reshape(height, width, 4)

    expected = np.zeros((*cell, 4), np.uint8)
    frame = drawn(row)
    top, left = (cell[0] - frame.shape[0]) // 2, (cell[1] - frame.shape[1]) // 2
    expected[top : top + frame.shape[0], left : left + frame.shape[1]] = frame
    # A row is drawn anew when the size of a cell changes.
    assert_soon(lambda: np.array_equal(pixels(), expected), True)


def go(viewer: Viewer, row: int) -> None:
    viewer.root.get_by_label("Row number").fill(str(row))
    viewer.page.keyboard.press("Enter")


def test_a_live_viewer_shows_each_size_also_one_that_comes_later(lab):
    notebook = lab(RECORD, SHOW, LATER)
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(50)
    for row in (10, 30, 24, 25, 0):
        go(viewer, row)
        assert_shows(viewer, row, (40, 60))

    notebook.run_cell(2)
    viewer.wait_until_loaded(100)

    for row in (10, 30, 60, 49, 50, 74, 75, 31, 32, 99, 0):
        go(viewer, row)
        assert_shows(viewer, row, (50, 60))


PLACE_JS = """root => {
  const box = root.getBoundingClientRect();
  const panel = document.querySelector('.jp-WindowedPanel-outer');
  return [box.height, panel.clientHeight];
}"""


def test_the_view_fits_the_notebook_and_keeps_a_height_over_a_reload(lab):
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(50)
    rest(viewer.root)
    height, room = viewer.root.evaluate(PLACE_JS)
    handle = viewer.root.get_by_role("separator", name="Height of the viewer")
    handle.focus()
    for _ in range(5):
        viewer.page.keyboard.press("ArrowUp")
    rest(viewer.root)
    lower, _ = viewer.root.evaluate(PLACE_JS)
    notebook.save()
    notebook.reload()
    viewer.wait_until_loaded(50)

    assert 0.8 * room < height <= room
    assert abs(height - 80 - lower) <= 1
    assert_soon(lambda: viewer.root.evaluate(PLACE_JS)[0], lower)


README = """
import gymnasium as gym
import rollout_viewer as rv

envs = gym.make_vec("CartPole-v1", num_envs=16, render_mode="rgb_array")
cache = rv.rollout(envs, max_steps=20, seed=0)
viewer = rv.view(cache)
viewer
"""


def test_a_cell_and_its_viewer_are_in_sight_together(lab):
    notebook = lab(README)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(21)
    rest(viewer.root)

    bottom = "one => one.getBoundingClientRect().bottom"
    panel = viewer.page.locator(".jp-WindowedPanel-outer").first
    assert viewer.root.evaluate(bottom) <= panel.evaluate(bottom)
    height, room = viewer.root.evaluate(PLACE_JS)
    assert height > 0.6 * room
