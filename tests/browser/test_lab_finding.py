"""Finding and comparing in a real JupyterLab: marks, the episode list, arrangements."""

import csv

import pytest

from tests.browser.test_lab_viewer import Viewer

RECORD = """
import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

NUM_ROWS, NUM_ENVS = 40, 4
frames = counting_frames(NUM_ROWS, NUM_ENVS, height=48, width=64)
cache = rv.FrameCache("run.rollout", fps=20)
for row in range(NUM_ROWS):
    # Env n has episodes of 5 + n rows, whose rewards grow with n.
    step = np.array([row % (5 + env) for env in range(NUM_ENVS)])
    last = np.array([row % (5 + env) == 4 + env for env in range(NUM_ENVS)])
    cache.append(
        frames[row],
        kind=["reset" if one == 0 else "step" for one in step],
        reward=np.arange(NUM_ENVS) + 1.0,
        terminated=last & (np.arange(NUM_ENVS) % 2 == 0),
        truncated=last & (np.arange(NUM_ENVS) % 2 == 1),
    )
cache.close()
"""
SHOW = "viewer = rv.view(cache)\nviewer"


@pytest.fixture
def shown(lab):
    notebook = lab(
        RECORD,
        SHOW,
        "again = rv.open('run.rollout')\n"
        "print(again.bookmarks, [dict(e.labels) for e in again.episodes[:4]], "
        "viewer.bookmarks)",
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    return notebook, viewer


def told(notebook, expected):
    """Return what the last cell prints, when everything the page said has arrived."""
    # ipywidgets holds a trait back until the kernel has taken the one before.
    for _ in range(20):
        notebook.run_cell(2)
        if notebook.text(2).strip() == expected:
            break
    return notebook.text(2).strip()


def test_a_note_and_labels_typed_in_the_page_are_in_the_file(shown):
    notebook, viewer = shown
    page, root = viewer.page, viewer.root

    viewer.press("Home", "ArrowRight", "ArrowRight", "b")
    page.keyboard.type("b is for box")
    page.keyboard.press("Enter")
    root.locator(".rv-tile").nth(1).click()
    viewer.press("b")
    root.get_by_role("button", name="failure").click()
    root.get_by_role("textbox", name="Own label").fill("slips")
    page.keyboard.press("Enter")
    root.locator('[data-label="slips"][aria-pressed="true"]').wait_for()
    page.keyboard.press("Escape")
    viewer.press("End", "b", "Escape", "Shift+B")

    expected = "{2: 'b is for box'} [{}, {'failure': True, 'slips': True}, {}, {}] [2]"
    assert told(notebook, expected) == expected
    viewer.button("^dump csv").click()
    path = root.locator(".rv-path").first
    path.wait_for()
    with open(path.text_content(), newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["row"] == "2"]
    assert [line["labels"] for line in lines] == ["", "failure; slips", "", ""]
    assert [line["note"] for line in lines] == ["b is for box"] * 4
