"""Living in a notebook: reloads, several views, a kernel that ends, and jslink."""

import re

from playwright.sync_api import expect

from tests.browser.driver import NUM_ROWS, RECORD, SHOW, Viewer, assert_shows


def open_viewer(lab, *cells, **options):
    """Return a notebook that ran `cells`, and its viewer."""
    notebook = lab(RECORD, *cells, **options)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    return notebook, viewer


def test_a_reloaded_page_is_where_it_was(lab):
    notebook, viewer = open_viewer(lab, SHOW)
    viewer.press("Home", "Shift+ArrowRight", "i", "Shift+ArrowRight", "o")
    viewer.press("ArrowLeft", "ArrowLeft", "ArrowLeft", "b", "Enter")
    viewer.press("n", "n", "]")
    assert_shows(viewer, 17)
    window = viewer.root.get_by_role("scrollbar", name="Rows in sight")
    edge = viewer.root.get_by_role("separator", name="First row in sight")
    edge.focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(window).to_have_attribute("aria-valuetext", "rows 4 to 39")
    notebook.save()

    notebook.reload()
    viewer.wait_until_loaded()

    assert_shows(viewer, 17)
    expect(window).to_have_attribute("aria-valuetext", "rows 4 to 39")
    expect(viewer.button("Remove the range")).to_have_text("Range 10\u201320")
    bookmark = viewer.button("^bookmark this row")
    expect(bookmark).to_have_attribute("aria-pressed", "true")
    expect(viewer.button("^speed: 2\u00d7")).to_have_count(1)
    tile = viewer.root.locator('[data-env="1"]')
    expect(tile).to_have_attribute("data-selected", "true")


def test_two_views_share_a_clock_and_two_viewers_do_not(lab):
    notebook, viewer = open_viewer(lab, SHOW, "viewer", "rv.view(cache)")
    second, other = Viewer(notebook, 1), Viewer(notebook, 2)
    other.wait_until_loaded()
    other.press("End")

    viewer.press("Home", "ArrowRight", "ArrowRight")

    assert_shows(second, 2)
    assert_shows(other, NUM_ROWS - 1)


def test_a_kernel_that_ended_leaves_the_recording_playable(lab):
    notebook, viewer = open_viewer(lab, SHOW)

    notebook.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"
    )
    viewer.root.get_by_text("The kernel has ended").wait_for()
    viewer.press("Home", "ArrowRight", "ArrowRight", "ArrowRight")

    assert_shows(viewer, 3)
    expect(viewer.button("^dump mp4")).to_be_disabled()


LINKED = """
import ipywidgets
slider = ipywidgets.IntSlider(max=39)
link = ipywidgets.jslink((viewer, "playhead"), (slider, "value"))
slider
"""


def test_a_slider_and_the_playhead_move_each_other_by_jslink(lab):
    notebook, viewer = open_viewer(lab, SHOW, LINKED)
    slider = notebook.page.locator(".jupyter-widgets .noUi-handle")
    slider.wait_for()

    viewer.press("Home", *["ArrowRight"] * 9)
    assert_shows(viewer, 9)
    notebook.page.wait_for_function(
        "handle => Number(handle.getAttribute('aria-valuenow')) === 9",
        arg=slider.element_handle(),
    )
    slider.focus()
    notebook.page.keyboard.press("ArrowRight")

    assert_shows(viewer, 10)


TELL = """
rows = []
viewer.observe(lambda change: rows.append(change.new), "playhead")
viewer.goto(env=2, episode=0, episode_step=30)
"""


def test_a_place_is_typed_and_python_hears_of_it(lab):
    notebook, viewer = open_viewer(
        lab,
        SHOW,
        TELL,
        "print(rows, viewer.selection, viewer.stats().get('page_drawn'))",
    )
    assert_shows(viewer, 30)
    field = viewer.root.get_by_label("Row number")

    field.fill("e9 s2")
    field.press("Enter")
    viewer.root.get_by_text(re.compile("no env 9")).wait_for()
    field.fill("e3 ep0 s12")
    field.press("Enter")

    assert_shows(viewer, 12)
    for _ in range(40):  # the playhead is told at rest
        notebook.page.wait_for_timeout(500)
        notebook.run_cell(3)
        text = notebook.text(3)
        if text.startswith("[30, 12] [3] "):
            break
    assert text.startswith("[30, 12] [3] ")
    assert int(text.split()[-1]) > 0
