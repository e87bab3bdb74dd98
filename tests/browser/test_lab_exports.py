"""Another widget in JupyterLab drives the viewer and follows it, without the kernel."""

from playwright.sync_api import expect

from tests import pages
from tests.browser.driver import NUM_ROWS, RECORD, SHOW, Viewer


def return_curve():
    """Return the widget that the guide shows, without its last line."""
    blocks = pages.blocks(pages.GUIDES / "look.md", "python")
    (block,) = [one for one in blocks if "host.getWidget" in one]
    return block.rpartition("\n\n\n")[0]


def test_the_return_curve_of_the_guide_moves_the_viewer_and_follows_it(lab):
    both = "ipywidgets.VBox([ReturnCurve(viewer=viewer), viewer])"
    notebook = lab(RECORD, return_curve(), f"import ipywidgets\n{SHOW}\n{both}")
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    page = notebook.page
    bars = page.locator("button[title*='episode 0']")
    expect(bars).to_have_count(4)
    before = notebook.settle()

    bars.nth(2).click()

    viewer.wait("row", NUM_ROWS - 1)
    expect(viewer.root.locator("[data-env='2'][aria-selected=true]")).to_be_visible()
    follower = bars.first.locator("..")
    expect(follower).to_have_attribute("data-row", str(NUM_ROWS - 1))
    viewer.press("ArrowLeft")
    expect(follower).to_have_attribute("data-row", str(NUM_ROWS - 2))
    # A selection is a trait of Python's; nothing else was sent.
    assert notebook.num_comm_messages - before <= 2
