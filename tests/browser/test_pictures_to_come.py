"""A viewer of a recording whose pictures are rendered where it is looked at."""

import pathlib

import numpy as np
from playwright.sync_api import expect

from tests import later_envs
from tests.browser.driver import Viewer, assert_soon

ENVS = pathlib.Path(later_envs.__file__).read_text("utf-8")


def shown_level(viewer):
    """Return the gray of the one picture that is shown."""
    [picture] = np.unique(viewer.pixels()[0].reshape(-1, 3), axis=0)
    return picture.tolist()


def test_a_row_shows_a_placeholder_until_its_picture_was_rendered(lab, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    notebook = lab(
        ENVS,
        "import rollout_viewer as rv\n"
        f"cache = record_steps(99, {str(gate)!r})\n"
        "cache.render([0], progress=False)",
        "rv.view(cache)",
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    gate.unlink()
    notebook.run_cell(2)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(100)
    tile = viewer.root.locator(".rv-tile")

    # The numbers are there at once, and the picture when it was rendered.
    viewer.press("End")
    viewer.wait("row", 99)
    expect(tile.locator(".rv-step")).to_have_text("step 99")
    expect(tile).to_have_attribute("data-gap", "rendering")
    gate.touch()

    expect(tile).to_have_attribute("data-gap", "", timeout=60_000)
    assert_soon(lambda: shown_level(viewer), [99, 99, 99])


def test_a_gap_is_named_while_it_is_rendered_and_where_it_cannot_be(lab, tmp_path):
    gate = tmp_path / "gate"
    notebook = lab(
        ENVS,
        "import rollout_viewer as rv\n"
        f"cache = record_steps(99, {str(gate)!r}, wrong_from=50)",
        "rv.view(cache)",
    )
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait("numRows", 100)
    empty = viewer.root.locator(".rv-empty")
    expect(empty).to_contain_text("Rendering")

    gate.touch()
    tile = viewer.root.locator(".rv-tile")
    expect(tile).to_have_attribute("data-gap", "", timeout=60_000)
    viewer.press("End")

    expect(tile).to_have_attribute("data-gap", "not reproducible", timeout=60_000)
    assert "its obs was recorded as" in (tile.get_attribute("title") or "")
    viewer.press("Home", *4 * ["Shift+ArrowRight"])
    expect(tile).to_have_attribute("data-gap", "", timeout=60_000)
    assert_soon(lambda: shown_level(viewer), [40, 40, 40], 60)
