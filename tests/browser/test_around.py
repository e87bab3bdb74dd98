"""What is around the viewer: keys, focus, themes, scale and screens of its host."""

import re

import pytest
from playwright.sync_api import expect

from rollout_viewer._export.html import write_html
from tests.browser.driver import NUM_ROWS as NUM_LAB_ROWS
from tests.browser.driver import (
    RECORD,
    SHOW,
    Viewer,
    assert_shows,
    assert_soon,
    choose,
    rest,
)
from tests.browser.test_html_export import NUM_ROWS, Shown, recorded

# Counts keys that come to the document, as a host would take them.
COUNT_KEYS = """
window.keys = [];
document.addEventListener('keydown', event => {
  const {ctrlKey, metaKey, altKey, shiftKey, key} = event;
  const held = [ctrlKey && 'Ctrl', metaKey && 'Meta', altKey && 'Alt'];
  window.keys.push([...held, shiftKey && 'Shift', key].filter(Boolean).join('+'));
});
"""


@pytest.fixture
def page_file(tmp_path):
    return write_html(recorded(), tmp_path / "page.html", title="film")


def active(page):
    """Return the class or the tag of what has the focus."""
    return page.evaluate(
        "() => document.activeElement.className || document.activeElement.tagName"
    )


def test_keys_of_the_host_reach_it_and_no_others_do(new_page, page_file):
    shown = Shown(new_page, page_file, COUNT_KEYS)
    of_host = ["Control+s", "Control+Shift+p", "Meta+k", "Alt+1", "Shift+Enter", "F5x"]
    of_host = [key for key in of_host if "F5" not in key]

    shown.press(*of_host, "ArrowRight", "d", "Home", "?", "Escape", "Shift+ArrowRight")
    fields = shown.root.get_by_label("Row number")
    fields.focus()
    for key in ("Control+s", "7", "d"):
        shown.page.keyboard.press(key)

    names = {"Control": "Ctrl", "P": "p"}
    seen = [key.replace("+P", "+p") for key in shown.page.evaluate("window.keys")]
    seen = [key for key in seen if key not in ("Ctrl+Control", "Meta+Meta", "Alt+Alt")]
    typed = [key for key in seen if re.search(r"\+(?!Control|Shift|Meta|Alt)", key)]
    expected = [key.replace("Control", names["Control"]) for key in of_host]
    assert typed == [*expected, "Ctrl+s"]
    assert not [key for key in seen if key in ("ArrowRight", "d", "Home", "?", "7")]


def test_escape_leaves_a_viewer_in_which_nothing_is_open(new_page, page_file):
    shown = Shown(new_page, page_file, COUNT_KEYS)
    # A page as wide as this opens with the panel.
    expect(shown.root.locator(".rv-side")).to_be_visible()
    shown.press("Escape")
    expect(shown.root.locator(".rv-side")).to_be_hidden()

    shown.press("?", "Escape")
    assert_soon(lambda: active(shown.page).startswith("rollout-viewer"), True)
    shown.page.keyboard.press("Escape")

    assert_soon(lambda: active(shown.page), "BODY")
    assert shown.page.evaluate("window.keys") == ["Escape"]


def test_after_a_click_on_any_button_the_keys_are_the_viewers(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    buttons = shown.root.locator("button:visible:not([data-place] *):not(.rv-menu *)")
    names = [b.get_attribute("aria-label") or b.text_content() for b in buttons.all()]
    assert len(names) > 15

    for index, name in enumerate(names):
        if re.search("whole screen|full", name or "", re.IGNORECASE):
            continue
        button = buttons.nth(index)
        if not button.is_visible() or button.is_disabled():
            continue
        button.click()
        shown.page.wait_for_timeout(30)
        is_viewers = """() => {
          const {tagName, className} = document.activeElement;
          const isButton = tagName === 'BUTTON' && !className.includes('rv-menu');
          return tagName !== 'BODY' && !isButton || className;
        }"""
        assert_soon(lambda: shown.page.evaluate(is_viewers), True)  # noqa: B023
        shown.page.keyboard.press("Escape")


def test_space_plays_after_a_click_on_a_button_and_on_a_menu(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    shown.press("Home")

    choose(shown.root, "Loop", "All")
    shown.root.get_by_role("button", name="Next row").click()
    row = int(shown.root.get_attribute("data-row"))
    shown.page.keyboard.press("Space")

    shown.page.wait_for_function(
        "([root, row]) => Number(root.dataset.row) > row + 3",
        arg=[shown.root.element_handle(), row],
    )


def test_a_control_that_hides_itself_gives_the_focus_back(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    shown.press("i", "End", "o")
    buttons = shown.root.locator("button:visible")
    for name in [b.get_attribute("aria-label") for b in buttons.all()]:
        if not name or re.search("whole screen|full", name, re.IGNORECASE):
            continue
        button = shown.root.locator(f"button[aria-label='{name}']:visible").first
        if button.count() == 0 or button.is_disabled():
            continue
        button.focus()
        shown.page.keyboard.press("Enter")
        shown.page.wait_for_timeout(30)
        assert_soon(lambda: active(shown.page) == "BODY", False)
        if button.count() and button.get_attribute("aria-pressed") == "true":
            shown.page.keyboard.press("Enter")


@pytest.mark.parametrize(
    "style",
    ["zoom: 1.5", "zoom: 0.6", "transform: scale(0.5); transform-origin: 0 0"],
)
def test_clicks_hit_the_tile_below_the_pointer_at_any_scale(new_page, page_file, style):
    # Where the window is wider, the panel is open.
    shown = Shown(new_page, page_file, viewport={"width": 1100, "height": 1000})
    shown.page.evaluate(
        "style => { document.body.style.cssText += ';' + style }", style
    )
    shown.rest()

    for env in (3, 0, 2, 1):
        tile = shown.root.locator(f".rv-overlay [data-env='{env}']")
        tile.scroll_into_view_if_needed()
        box = tile.bounding_box()
        shown.page.mouse.click(
            box["x"] + 0.8 * box["width"], box["y"] + 0.8 * box["height"]
        )
        selected = shown.root.locator(".rv-overlay [data-selected='true']")
        expect(selected).to_have_count(1)
        expect(selected).to_have_attribute("data-env", str(env))


@pytest.mark.parametrize(
    ("system", "ground", "scheme"),
    [
        ("light", "#1e1e1e", "dark"),
        ("dark", "#fafafa", "light"),
        ("dark", "", "dark"),
        ("light", "", "light"),
    ],
)
def test_the_scheme_is_that_of_the_ground(new_page, page_file, system, ground, scheme):
    shown = Shown(new_page, page_file, color_scheme=system)
    if ground:
        shown.page.evaluate(
            "colour => { document.body.style.background = colour }", ground
        )
    shown.page.wait_for_timeout(100)

    def scheme_now():
        colour = shown.root.evaluate("el => getComputedStyle(el).backgroundColor")
        level = [int(number) for number in re.findall(r"\d+", colour)[:3]]
        return "dark" if sum(level) < 3 * 128 else "light"

    assert_soon(scheme_now, scheme)


def test_the_timeline_is_drawn_for_the_screen_that_it_is_on(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    trace = shown.root.locator("canvas.rv-trace").first
    shown.rest()
    before = trace.evaluate("canvas => canvas.width")
    size = shown.page.viewport_size
    session = shown.page.context.new_cdp_session(shown.page)

    session.send(
        "Emulation.setDeviceMetricsOverride",
        {**size, "deviceScaleFactor": 2, "mobile": False},
    )
    # Emulated screens change no media query, as real ones do.
    shown.page.evaluate("() => dispatchEvent(new Event('resize'))")

    shown.page.wait_for_function(
        "([canvas, width]) => Math.abs(canvas.width - 2 * width) <= 2",
        arg=[trace.element_handle(), before],
    )


def test_playing_pauses_where_the_tab_is_hidden(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    shown.press("Home", "Space")

    shown.page.evaluate(
        """() => {
          Object.defineProperty(document, 'hidden', {value: true, configurable: true});
          document.dispatchEvent(new Event('visibilitychange'));
        }"""
    )

    # The row of the clock is drawn a little later.
    clock = shown.root.get_by_role("slider", name="Row")
    row = clock.input_value()
    shown.wait("row", row)
    shown.page.wait_for_timeout(300)
    assert clock.input_value() == row
    assert shown.root.get_attribute("data-row") == row


def test_a_reloaded_page_is_where_it_was(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    shown.go(41)
    shown.press("]", "i")

    shown.page.reload()
    shown.wait("numRows", NUM_ROWS)

    shown.wait("row", 41)
    shown.press("Home", "x")
    shown.page.reload()
    shown.wait("row", 0)


BESIDE = """
import ipywidgets
viewer = rv.view(cache)
ipywidgets.HBox([viewer, ipywidgets.Button(description="beside")])
"""


def test_a_viewer_beside_another_widget_is_as_wide_as_may_be(lab):
    notebook = lab(RECORD, BESIDE)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()

    page = notebook.page
    rest(viewer.root)
    width = viewer.root.bounding_box()["width"]
    button = page.get_by_role("button", name="beside").bounding_box()
    area = page.locator(".jp-OutputArea-output .widget-hbox").bounding_box()["width"]
    assert button["width"] > 80
    assert width > 0.95 * (area - button["width"]) - 20


def test_the_notebook_is_saved_and_its_cells_run_from_within_the_viewer(lab):
    notebook = lab(RECORD, "viewer = rv.view(cache)\nviewer", "print('ran')")
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    page = notebook.page

    viewer.root.click(position={"x": 5, "y": 5})
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("Escape")

    page.wait_for_function(
        "() => document.activeElement.closest('.jp-Notebook') !== null"
    )
    cells = notebook.cells
    assert len(cells) == 3
    dirty = page.locator(".lm-TabBar-tab.jp-mod-dirty")
    dirty.wait_for(state="attached")
    viewer.root.focus()
    page.keyboard.press("Control+s")
    dirty.wait_for(state="detached")


@pytest.fixture
def in_lab(lab):
    """Return a notebook whose viewer is at row 3, at twice the speed, in a loop."""
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    viewer.press("Home", *["ArrowRight"] * 3, "]", "r")
    viewer.page.wait_for_timeout(600)
    assert_is_where_it_was(notebook)
    return notebook


def assert_is_where_it_was(notebook):
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    viewer.wait("row", 3)
    expect(viewer.button("^speed: 2\u00d7")).to_have_count(1)
    expect(viewer.button("Loop: all")).to_have_count(1)


def test_a_viewer_stays_as_it_is_when_the_kernel_is_connected_anew(in_lab):
    page = in_lab.page

    page.evaluate("() => jupyterapp.commands.execute('kernelmenu:reconnect-to-kernel')")
    page.wait_for_timeout(3000)

    assert_is_where_it_was(in_lab)
    viewer = Viewer(in_lab)
    viewer.press("End")
    assert_shows(viewer, NUM_LAB_ROWS - 1)


def test_a_notebook_that_is_opened_again_shows_the_same_place(in_lab):
    page, name = in_lab.page, in_lab.folder.name
    in_lab.save()

    page.evaluate("() => jupyterapp.commands.execute('application:close')")
    page.locator(".rollout-viewer").wait_for(state="detached")
    path = f"{name}/test.ipynb"
    page.evaluate(
        "path => jupyterapp.commands.execute('docmanager:open', {path}).then(() => {})",
        path,
    )

    assert_is_where_it_was(in_lab)
