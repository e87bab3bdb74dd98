"""The viewer where people are: Notebook 7, narrow pages, still pages, busy kernels."""

import re

import pytest

from rollout_viewer._video import read_video
from rollout_viewer.testing import read_count
from tests.browser.driver import (
    HEIGHT,
    NUM_ENVS,
    NUM_ROWS,
    RECORD,
    SHOW,
    WIDTH,
    Viewer,
    assert_shows,
    rest,
)

LIVE = """
import pathlib, time
live = rv.FrameCache(fps=20)
viewer = rv.view(live, tag="live")
viewer
"""
# Records, and goes on running until it is told that somebody dumped.
BUSY = f"""
for row in range({NUM_ROWS}):
    live.append(frames[row], reset=np.full({NUM_ENVS}, row == 0))
    time.sleep(0.02)
until = time.monotonic() + 120
files = []
while not files and time.monotonic() < until:
    time.sleep(0.05)
    files = list(pathlib.Path().rglob("[!.]*.mp4"))  # and no part of one
print(len(files))
"""


@pytest.fixture(params=["lab", "notebook7"])
def front_end(request):
    """Return a function that opens a notebook in JupyterLab, or in Notebook 7."""
    return request.getfixturevalue(request.param)


def test_a_running_cell_is_followed_and_dumped_while_it_runs(front_end):
    notebook = front_end(RECORD, LIVE, BUSY)
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.press("End")

    notebook.start_cell(2)
    viewer.wait("row", NUM_ROWS - 1)
    viewer.press("ArrowLeft", "ArrowLeft")
    assert_shows(viewer, NUM_ROWS - 3)
    viewer.button("^dump mp4").click()
    viewer.root.get_by_text(re.compile(r"videos/.*\.mp4")).first.wait_for()

    # The cell that ran all the while saw the file.
    notebook.page.wait_for_function(
        """() => window.jupyterapp.shell.currentWidget.content.widgets[2]
                 .model.outputs.length > 0"""
    )
    assert notebook.text(2).strip() == "1"
    (path,) = notebook.folder.rglob("[!.]*.mp4")
    rows = [read_count(frame[:HEIGHT, :WIDTH])[0] for frame in read_video(path)]
    assert rows == list(range(NUM_ROWS))


def test_notebook_7_plays_scrubs_and_reloads(notebook7):
    notebook = notebook7(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    before = notebook.settle()

    viewer.press("Home", *["ArrowRight"] * 5)
    assert_shows(viewer, 5)
    viewer.scrub(0.2, 0.9, 1)
    assert_shows(viewer, NUM_ROWS - 1)
    viewer.press("Home", " ")
    viewer.wait("row", NUM_ROWS - 1)
    assert notebook.num_comm_messages == before
    viewer.press("Home", "ArrowRight")
    notebook.save()
    notebook.page.reload()
    viewer.wait_until_loaded()

    assert_shows(viewer, 1)


def test_keys_that_the_viewer_takes_never_reach_notebook_7(notebook7):
    notebook = notebook7(RECORD, SHOW, "1 + 1")
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()

    # In command mode: a new cell, a cell deleted twice, a cell that is no code.
    viewer.press("Home", "b", "Escape", "d", "d", "m", "x")

    assert len(notebook.cells) == 3
    assert notebook.cells[2] == "1 + 1"


def test_every_control_has_a_name_and_fits_400_pixels(lab):
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    # JupyterLab itself leaves a cell no such width on a phone.
    viewer.root.evaluate("root => { root.style.width = '400px'; }")
    viewer.press("e")

    rest(viewer.root)
    controls = viewer.root.evaluate(
        """root => [...root.querySelectorAll('button, input, select')]
        .filter(one => one.checkVisibility() && !one.closest('.rv-episode-scroll'))
        .map(one => {
          const labels = one.labels ? [...one.labels].map(l => l.innerText) : [];
          const name = one.getAttribute('aria-label') || one.innerText || labels.join();
          const box = one.getBoundingClientRect(), all = root.getBoundingClientRect();
          return [name.trim(), box.right - all.right, box.left - all.left];
        })"""
    )

    assert len(controls) > 20
    assert [name for name, *_ in controls if not name] == []
    assert [name for name, right, left in controls if right > 1 or left < -1] == []


def test_reduced_motion_moves_nothing_but_the_pictures(lab):
    notebook = lab(RECORD, SHOW, reduced_motion="reduce")
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()

    moving = viewer.root.evaluate(
        """root => [...root.querySelectorAll('*')].filter(one => {
          const style = getComputedStyle(one);
          const times = `${style.transitionDuration},${style.animationDuration}`;
          return times.split(',').some(time => parseFloat(time) > 0.011);
        }).map(one => one.className)"""
    )

    assert moving == []
    viewer.press("Home", "ArrowRight")
    assert_shows(viewer, 1)


def test_a_viewer_that_is_taken_from_the_page_ends_its_workers(lab):
    notebook = lab(RECORD, SHOW)
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    page = notebook.page
    started = len(page.workers)

    page.evaluate(
        "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
    )
    page.wait_for_function("() => !document.querySelector('.rollout-viewer')")

    assert started > 0
    for _ in range(100):
        if len(page.workers) < started:
            break
        page.wait_for_timeout(50)
    assert len(page.workers) < started


def test_interact_moves_the_viewer(lab):
    interact = (
        "from ipywidgets import interact\n"
        f"interact(lambda row: viewer.goto(row), row=(0, {NUM_ROWS - 1}))"
    )
    notebook = lab(RECORD, SHOW, interact)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    handle = notebook.page.locator(".widget-interact .noUi-handle")
    handle.wait_for()
    assert_shows(viewer, (NUM_ROWS - 1) // 2)

    handle.focus()
    notebook.page.keyboard.press("ArrowRight")

    assert_shows(viewer, (NUM_ROWS - 1) // 2 + 1)
