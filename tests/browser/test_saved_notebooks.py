"""What shows of a notebook that was saved: no kernel, no widget, no network."""

import base64
import subprocess
import sys

import nbconvert
import nbformat
import numpy as np
import pytest
from playwright.sync_api import expect

from rollout_viewer.testing import counting_frames
from tests.browser.driver import HEIGHT, PIXELS_JS, RECORD, SHOW, WIDTH, Viewer

SNAPSHOT = "viewer.snapshot()"
PAGE = "rv.view(cache, save='page', title='a page')"
POSTER = "40 rows, 4 envs"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Return a notebook that `nbconvert --execute` ran, and its folder."""
    folder = tmp_path_factory.mktemp("executed")
    cells = [nbformat.v4.new_code_cell(cell) for cell in (RECORD, SHOW, PAGE)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "run.ipynb")
    command = ["nbconvert", "--to", "notebook", "--execute", "--inplace", "run.ipynb"]
    subprocess.run(
        [sys.executable, "-m", "jupyter", *command],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return nbformat.read(folder / "run.ipynb", as_version=4), folder


def converted(notebook, folder):
    """Return a page of the notebook, as `nbconvert --to html` makes it."""
    text, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    path = folder / "page.html"
    path.write_text(text, "utf-8")
    return path.as_uri()


def test_a_notebook_saved_in_jupyterlab_shows_its_poster_where_no_widget_runs(
    lab, new_page, jupyter
):
    notebook = lab(RECORD, SHOW, SNAPSHOT, PAGE)
    notebook.run_all()
    Viewer(notebook).wait_until_loaded()
    page = notebook.page
    expect(page.locator(".rollout-viewer")).to_have_count(2)
    expect(page.get_by_text(POSTER)).to_have_count(0)
    # The last line of the third cell is a picture.
    expect(page.locator(".jp-OutputArea-output img")).to_be_visible()

    path = notebook.save()
    saved = nbformat.read(path, as_version=4)
    still = new_page(offline=True)
    still.goto(converted(saved, notebook.folder))
    assert_poster(still)
    expect(still.frame_locator("iframe").locator(".rollout-viewer")).to_be_visible()

    # JupyterLab trusts it, has no widget any more, and does not show another output.
    jupyter.stop_kernel(notebook.kernel)
    notebook.reload()
    expect(page.get_by_text("model not found")).to_have_count(2)

    # Of another's hand, it is not trusted: its outputs are shown, sanitized.
    saved.cells[1].source += "  # changed"
    nbformat.write(saved, path)
    notebook.reload()
    assert_poster(page)
    expect(page.get_by_text("As a picture")).to_be_visible()
    expect(page.locator(".rollout-viewer, .jp-OutputArea iframe")).to_have_count(0)


def test_a_trusted_notebook_whose_kernel_never_starts_says_what_is_missing(
    lab, jupyter
):
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    Viewer(notebook).wait_until_loaded()
    path = notebook.save()
    jupyter.stop_kernel(notebook.kernel)
    saved = nbformat.read(path, as_version=4)
    saved.metadata.kernelspec = {"name": "gone", "display_name": "Gone"}
    nbformat.write(saved, path)
    jupyter.trust(path)

    notebook.reload()
    page = notebook.page
    page.get_by_role("button", name="No Kernel", exact=True).click()

    # JupyterLab prefers the widget to the poster, and ipywidgets does not find it.
    expect(page.get_by_text("model not found")).to_have_count(1)
    expect(page.get_by_text(POSTER)).to_have_count(0)


def test_a_notebook_run_by_nbconvert_keeps_no_state_of_widgets(executed):
    notebook, _ = executed

    kinds = [set(cell.outputs[0].data) for cell in notebook.cells[1:]]
    view = "application/vnd.jupyter.widget-view+json"
    assert kinds == [{view, "text/html", "text/plain", "image/png"}] * 2
    assert "widgets" not in notebook.metadata


def test_a_notebook_run_by_nbconvert_plays_without_kernel_and_network(
    executed, new_page
):
    page = new_page(offline=True)
    page.goto(converted(*executed))

    assert_poster(page)
    root = page.frame_locator("iframe").locator(".rollout-viewer")
    expect(root).to_have_attribute("data-state", "ready")
    root.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(root).to_have_attribute("data-row", "5")
    width, height, text = root.locator(".rv-frames").evaluate(PIXELS_JS)
    grid = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
    expected = counting_frames(1, 4, height=HEIGHT, width=WIDTH, start=5)[0]
    np.testing.assert_array_equal(grid[:HEIGHT, :WIDTH, :3], expected[0])


def assert_poster(page):
    """Assert that picture and table are there."""
    expect(page.get_by_text(POSTER).first).to_be_visible()
    picture = page.get_by_alt_text("from left to right").first
    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    expect(page.get_by_role("cell", name="unfinished").first).to_be_visible()
