"""What shows of a notebook that was saved: no kernel, no widget, no network."""

import nbconvert
import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.driver import RECORD, SHOW, Viewer

SNAPSHOT = "viewer.snapshot()"
POSTER = "40 rows, 4 envs"


@pytest.fixture
def saved(lab):
    """Return a notebook that ran in JupyterLab and was saved, still open there."""
    notebook = lab(RECORD, SHOW, SNAPSHOT, is_alone=True)
    notebook.run_all()
    Viewer(notebook).wait_until_loaded()
    notebook.save()
    return notebook


def test_jupyterlab_shows_the_viewer_and_not_the_poster(saved):
    page = saved.page

    assert "text/html" in saved.outputs(1)[0]["data"]
    expect(page.locator(".rollout-viewer")).to_be_visible()
    expect(page.get_by_text(POSTER)).to_have_count(0)
    # The last line of the third cell is a picture.
    expect(page.locator(".jp-OutputArea-output img")).to_be_visible()


def test_a_saved_notebook_shows_its_poster_in_nbconvert_and_untrusted(saved, new_page):
    path = saved.folder / "test.ipynb"
    notebook = nbformat.read(path, as_version=4)
    text, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    converted = path.with_suffix(".html")
    converted.write_text(text, "utf-8")

    page = new_page(offline=True)
    page.goto(converted.as_uri())

    assert_poster(page)
    # Of another's hand: JupyterLab trusts no output of it, and sanitizes them.
    notebook.cells[1].source += "  # changed"
    nbformat.write(notebook, path)
    saved.page.reload()
    assert_poster(saved.page)
    expect(saved.page.locator(".rollout-viewer")).to_have_count(0)


def assert_poster(page):
    """Assert that picture and table are there."""
    expect(page.get_by_text(POSTER)).to_be_visible()
    picture = page.get_by_alt_text("from left to right")
    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    expect(page.get_by_role("cell", name="unfinished").first).to_be_visible()
