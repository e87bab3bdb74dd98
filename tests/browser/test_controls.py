"""Head, transport, keys, undo and links of an exported page."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from tests.browser.driver import assert_soon, choose
from tests.browser.test_html_export import NUM_ROWS, Shown, film, recorded


@pytest.fixture
def page_file(tmp_path):
    return write_html(recorded(), tmp_path / "page.html", title="a film of four envs")


@pytest.fixture
def shown(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    return shown


# Controls that are cut off by their line or by the window, or that overlap the next.
CUT_JS = """line => {
  const edge = line.getBoundingClientRect();
  const boxes = [...line.querySelectorAll('button, input, span')]
    .filter(one => !one.closest('[popover]') && one.checkVisibility())
    .filter(one => one.offsetWidth && !one.classList.contains('rv-spacer'))
    .map(one => [one.getAttribute('aria-label') ?? one.textContent, one]);
  const cut = boxes.filter(([, one]) => {
    const box = one.getBoundingClientRect();
    const isInside = box.left >= edge.left - 1 && box.right <= edge.right + 1;
    const isTitle = one.classList.contains('rv-title');
    return !isInside || (!isTitle && one.scrollWidth > one.clientWidth + 1
      && getComputedStyle(one).display !== 'inline' && one.tagName !== 'INPUT');
  }).map(([name]) => name);
  const buttons = boxes.filter(([, one]) => one.matches('button, input'))
    .map(([name, one]) => [name, one.getBoundingClientRect()])
    .sort((a, b) => a[1].left - b[1].left);
  const covered = buttons.filter(([, box], i) =>
    i && box.left < buttons[i - 1][1].right - 1).map(([name]) => name);
  return [cut, covered];
}"""


@pytest.mark.parametrize("width", [1400, 900, 560, 400])
@pytest.mark.parametrize("has_touch", [False, True], ids=["mouse", "touch"])
def test_no_control_is_cut_off_or_covered(new_page, page_file, width, has_touch):
    shown = Shown(
        new_page,
        page_file,
        viewport={"width": width, "height": 700},
        has_touch=has_touch,
        is_mobile=has_touch,
    )
    shown.wait("numRows", NUM_ROWS)
    shown.press("i", "Shift+ArrowRight", "o", "n")
    shown.wait("row", 10)
    shown.rest()

    for line in map(shown.root.locator, (".rv-head", ".rv-transport")):
        assert_soon(lambda line=line: line.evaluate(CUT_JS), [[], []])
    names = ["Previous row", "Play", "Next row", "Panel"]
    for name in names:
        expect(shown.root.get_by_role("button", name=name, exact=True)).to_be_visible()
    expect(shown.root.get_by_label("Row number")).to_be_visible()
    if has_touch:
        heights = shown.root.locator(".rv-head button:visible").evaluate_all(
            "all => all.map(one => Math.min(one.offsetHeight, one.offsetWidth))"
        )
        assert min(heights) >= 44


def test_what_gave_way_is_in_the_menu_at_the_end(new_page, page_file):
    shown = Shown(new_page, page_file, viewport={"width": 400, "height": 700})
    shown.wait("numRows", NUM_ROWS)
    expect(shown.root.locator("[data-action=zoomIn]")).to_be_hidden()

    choose(shown.root, "More of view", "Zoom in")
    choose(shown.root, "More of playback", "Last row")

    shown.wait("row", NUM_ROWS - 1)
    expect(shown.root.locator(".rv-zoom-now")).not_to_have_text("Fit")


def test_controls_keep_their_places_while_it_plays(shown):
    js = """root => [...root.querySelectorAll('.rv-head, .rv-transport')]
      .flatMap(line => [...line.children])
      .filter(one => one.offsetWidth && one.className !== 'rv-spacer')
      .map(one => one.getBoundingClientRect()).map(box => [box.left, box.width])"""
    shown.press("Home")
    shown.rest()
    before = shown.root.evaluate(js)

    shown.press("j", "Space")
    shown.wait_for_row(12)
    during = shown.root.evaluate(js)

    assert during == before


def test_keys_that_people_know_from_players(shown):
    clock = shown.root.get_by_role("slider", name="Row")
    speed = shown.root.locator(".rv-speed .rv-menu-now")

    shown.press("5")
    shown.wait("row", round((NUM_ROWS - 1) / 2) + 1)
    shown.press(".", ".", ",")
    shown.wait("row", 36)
    shown.press("l", "l", "<", "j", "j")
    expect(speed).to_have_text("1/2\u00d7")
    shown.press("0")
    shown.wait("row", 0)
    shown.press("k")
    shown.wait_for_row(3)
    shown.press("k")
    stopped = clock.input_value()
    shown.wait("row", stopped)
    shown.page.wait_for_timeout(200)
    assert clock.input_value() == stopped
    shown.press("=", "z")
    expect(shown.root.locator(".rv-zoom-now")).to_have_text("Fit")
    shown.press("r")
    expect(shown.root.get_by_role("button", name="Loop: all")).to_have_count(1)


def test_the_page_takes_keys_before_it_is_clicked_and_after_escape(shown):
    page = shown.page
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    shown.wait("row", 1)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    shown.wait("row", 2)
    page.keyboard.press("Space")

    shown.root.get_by_role("button", name="Pause").wait_for()


def test_a_button_that_is_on_looks_so_under_the_pointer(shown):
    button = shown.root.get_by_role("button", name="Panel", exact=True)
    if button.get_attribute("aria-pressed") != "true":
        button.click()
    button.hover()
    ground = "el => getComputedStyle(el).backgroundColor"
    under = button.evaluate(ground)
    shown.page.mouse.move(600, 300)

    assert_soon(lambda: button.evaluate(ground), under)


def test_buttons_name_their_keys_after_a_moment(shown):
    button = shown.root.get_by_role("button", name="Play", exact=True)
    assert button.get_attribute("aria-keyshortcuts") == "Space K"
    tip = shown.root.locator(".rv-tip")
    # In the page: here a moment may have passed before anything is read.
    tip.evaluate(
        """tip => {
          const root = tip.closest('.rollout-viewer');
          const options = {capture: true, once: true};
          root.addEventListener('pointerover', () => {
            window.pointedAt = performance.now();
          }, options);
          tip.addEventListener('beforetoggle', () => {
            window.waitedMs = performance.now() - window.pointedAt;
          }, options);
        }"""
    )

    button.hover()
    tip.wait_for()
    assert shown.page.evaluate("() => window.waitedMs") > 200

    assert re.sub(r"\s+", "", tip.inner_text()) == "PlaySpaceK"
    button.click()
    expect(tip).to_be_hidden()


def test_the_loop_is_named_on_and_off(shown):
    button = shown.root.get_by_role("button", name="Loop")
    width = button.bounding_box()["width"]
    expect(button).to_have_text("Loop", use_inner_text=True)
    shown.press("r")

    expect(button).to_have_text("All", use_inner_text=True)
    assert button.bounding_box()["width"] == width


def test_messages_do_not_cover_the_timeline(shown):
    shown.press("Home", "m")
    toast = shown.root.locator(".rv-toast").bounding_box()
    timeline = shown.root.locator(".rv-timeline").bounding_box()

    assert toast["y"] + toast["height"] <= timeline["y"]


def test_marks_are_undone_by_the_message_and_by_the_key(shown):
    shown.press("Home", "i", "ArrowRight", "o")
    toast = shown.root.locator(".rv-toast")
    toast.get_by_text("Range of rows 0\u20131").wait_for()
    shown.press("Control+z")
    shown.root.get_by_role("button", name="Remove the range").wait_for(state="hidden")

    shown.press("ArrowRight", "b")
    shown.page.keyboard.type("here")
    shown.page.keyboard.press("Enter")
    shown.page.keyboard.press("Escape")
    toast.get_by_text("Note of row 2").wait_for()
    toast.get_by_role("button", name="Undo").click()
    shown.press("Control+z")
    shown.press("m")

    note = shown.root.get_by_label("Note of this bookmark")
    expect(note).to_have_value("")


def test_an_arrangement_is_undone(shown):
    choose(shown.root, "Arrangement", "By episode start")
    shown.root.locator(".rv-arranged").wait_for()

    shown.page.keyboard.press("Control+z")

    shown.root.locator(".rv-arranged").wait_for(state="hidden")
    expect(shown.root.locator(".rv-align")).to_have_text("By row")


ACTIVE_JS = "() => document.activeElement.className"


@pytest.mark.parametrize("is_by_key", [False, True], ids=["pointer", "key"])
def test_what_closes_gives_the_focus_back(shown, is_by_key):
    expected = "rv-button" if is_by_key else "rollout-viewer"
    for name in ("Labels on the tiles", "Loop: off", "Recording and memory"):
        button = shown.root.get_by_role("button", name=name)
        if is_by_key:
            button.focus()
            shown.page.keyboard.press("Enter")
        else:
            button.click()
        shown.root.locator(":popover-open:not(.rv-tip)").wait_for()
        shown.page.keyboard.press("Escape")
        shown.page.wait_for_timeout(50)
        is_back = f"({ACTIVE_JS})().startsWith('{expected}')"
        assert_soon(lambda js=is_back: shown.page.evaluate(js), True)


def test_a_click_beside_a_menu_gives_the_focus_to_the_viewer(shown):
    button = shown.root.get_by_role("button", name="Speed")
    button.click()
    shown.root.locator(".rv-head .rv-facts").click()
    shown.page.keyboard.press("ArrowRight")

    shown.wait("row", 1)


def test_help_takes_the_focus_and_gives_it_back(shown):
    shown.root.get_by_role("button", name="Keys and help").click()
    focused = "() => document.activeElement.getAttribute('aria-label')"
    assert_soon(lambda: shown.page.evaluate(focused), "Search keys")
    text = shown.root.get_by_role("dialog", name="Keys").inner_text()
    assert "Drag on the ruler" in text
    assert "Ctrl+wheel on pictures" in text

    shown.page.keyboard.press("Escape")
    has_focus = "() => document.activeElement.matches('.rollout-viewer')"
    shown.page.wait_for_function(has_focus)
    shown.page.keyboard.press("ArrowRight")

    shown.wait("row", 1)


@pytest.mark.parametrize("line", ["View", "Playback"])
def test_a_toolbar_is_one_tab_stop_and_arrows_move_in_it(shown, line):
    toolbar = shown.root.get_by_role("toolbar", name=line)
    stops = """all => all.filter(one => one.tabIndex === 0 && one.checkVisibility()
      && !one.closest('[popover]')).length"""
    assert_soon(lambda: toolbar.locator("button, input").evaluate_all(stops), 1)
    toolbar.locator("[tabindex='0']").first.focus()
    named = "() => document.activeElement.getAttribute('aria-label')"
    first = shown.page.evaluate(named)

    shown.page.keyboard.press("ArrowRight")
    second = shown.page.evaluate(named)
    shown.page.keyboard.press("ArrowLeft")

    assert second != first
    assert shown.page.evaluate(named) == first
    assert shown.root.get_attribute("data-row") == "0"


def test_visible_names_are_part_of_the_accessible_ones(shown):
    shown.press("i", "ArrowRight", "o")
    wrong = """root => [...root.querySelectorAll('button')]
      .filter(one => one.closest('.rv-head, .rv-transport'))
      .filter(one => one.checkVisibility() && !one.closest('[popover]'))
      .map(one => [one.innerText.trim(), one.getAttribute('aria-label') ?? ''])
      .filter(([text, name]) => name &&
        !name.toLowerCase().includes(text.toLowerCase()))"""

    assert_soon(lambda: shown.root.evaluate(wrong), [])


def test_the_place_is_a_field_that_takes_what_it_shows(shown):
    field = shown.root.get_by_label("Row number")
    shown.root.locator("[data-env='1']").first.click()
    shown.go(12)
    expect(field).to_have_value("env 1 \u00b7 ep 1 \u00b7 step 2")

    field.fill("env 1 \u00b7 ep 0 \u00b7 step 5")
    shown.page.keyboard.press("Enter")
    shown.wait("row", 5)
    field.fill("e1 ep9 s1")
    shown.page.keyboard.press("Enter")

    expect(field).to_have_attribute("aria-invalid", "true")
    shown.page.keyboard.press("Escape")
    expect(field).to_have_value("env 1 \u00b7 ep 0 \u00b7 step 5")
    expect(shown.root.locator(".rv-count")).to_have_text("row 5 / 69")


@pytest.mark.parametrize("width", [1400, 900, 400])
def test_what_is_wrong_with_a_place_is_one_line_and_moves_nothing(
    new_page, page_file, width
):
    shown = Shown(new_page, page_file, viewport={"width": width, "height": 700})
    shown.wait("numRows", NUM_ROWS)
    shown.rest()
    line = shown.root.get_by_role("toolbar", name="Playback")
    field, boxes = shown.root.get_by_label("Row number"), []
    field.focus()
    shown.rest()
    for place in ("7", "999"):
        field.fill(place)
        boxes += [line.bounding_box(), shown.root.locator(".rv-stage").bounding_box()]
        shown.page.keyboard.press("Enter")
        field.focus()
        shown.rest()

    wrong = shown.root.get_by_role("alert").filter(has_text="no row 999")
    box = wrong.bounding_box()
    at = [box["x"] + 4, box["y"] + box["height"] / 2]
    over = "(el, at) => document.elementFromPoint(...at) === el"
    assert wrong.evaluate(over, at), "nothing cuts it off"
    assert box["height"] < (40 if width > 400 else 60)
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    assert box["y"] + box["height"] < field.bounding_box()["y"] + 4
    assert [line.bounding_box(), boxes[1]] == boxes[2:] == boxes[:2]
    field.blur()
    expect(wrong).to_be_hidden()


def test_the_address_keeps_the_place_and_leads_there(new_page, page_file):
    shown = Shown(new_page, page_file)
    shown.wait("numRows", NUM_ROWS)
    shown.root.locator("[data-env='2']").first.click()
    shown.press("Shift+ArrowRight", "i", "Shift+ArrowRight", "o")
    shown.page.wait_for_function("() => location.hash === '#row=20&env=2&range=10-20'")

    other = new_page(offline=True)
    other.goto(f"{page_file.as_uri()}#row=41&env=3&range=40-50")
    root = other.locator(".rollout-viewer[data-row='41']")
    root.wait_for()

    expect(root.locator("[data-selected='true']")).to_have_attribute("data-env", "3")
    name = "Range 40\u201350"
    expect(root.get_by_role("button", name=name)).to_be_visible()
    other.evaluate("() => { location.hash = '#row=7&env=0'; }")
    other.locator(".rollout-viewer[data-row='7']").wait_for()


def test_a_page_begins_where_its_viewer_was(new_page, tmp_path):
    viewer = rv.view(recorded())
    viewer.goto(41, env=3)
    path = viewer.to_html(tmp_path / "page.html")
    part = viewer.to_html(tmp_path / "part.html", stop=30)

    shown = Shown(new_page, path)
    shown.wait("row", 41)
    chosen = shown.root.locator("[data-selected='true']")
    expect(chosen).to_have_attribute("data-env", "3")
    frames = film()
    np.testing.assert_array_equal(shown.frames(), frames[41])
    shown.go(2)
    np.testing.assert_array_equal(shown.frames(), frames[2])
    # An address, and what this tab was left with, are newer.
    shown.page.reload()
    shown.wait("row", 2)
    other = new_page(offline=True)
    other.goto(f"{path.as_uri()}#row=7")
    other.locator(".rollout-viewer[data-row='7']").wait_for()
    Shown(new_page, part).wait("row", 0)


def test_memory_is_shown_on_request_and_lost_pictures_always(new_page, tmp_path):
    cache = rv.FrameCache()
    for _ in range(3):
        cache.append(np.zeros((2, 8, 8, 3), np.uint8), reward=np.ones(2))
    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    assert "MB" not in shown.root.locator(".rv-head").inner_text()
    assert "2 envs" in shown.root.locator(".rv-facts").first.inner_text()

    shown.root.get_by_role("button", name="Recording and memory").click()

    info = shown.root.get_by_role("dialog", name="Recording and memory")
    expect(info).to_contain_text(
        re.compile(r"Memory of this page\s+\d+ kB"), use_inner_text=True
    )


def test_one_region_says_what_was_done(shown):
    regions = shown.root.locator(".rv-spoken[role=status]")
    assert regions.count() == 1

    shown.press("Home", "i", "ArrowRight", "o")

    regions.get_by_text("Range of rows 0\u20131").wait_for(state="attached")
    own = ".rv-head, .rv-transport, .rv-toasts, .rv-alerts, .rv-cut, .rv-arranged"
    speaking = shown.root.locator(own).locator("[role=status], [aria-live], output")
    assert speaking.count() == 0


def test_the_panel_button_says_whether_the_panel_is_open(shown):
    button = shown.root.get_by_role("button", name="Panel", exact=True)
    expect(shown.root.locator(".rv-side")).to_be_visible()
    before = button.get_attribute("aria-pressed")

    shown.root.get_by_role("button", name="Panel", exact=True).click()
    after = button.get_attribute("aria-pressed")

    assert {before, after} == {"true", "false"}
    assert shown.root.locator(".rv-side").is_visible() == (after == "true")


def test_an_entry_that_leaves_its_menu_open_leaves_it_to_escape(shown):
    shown.press("i", "ArrowRight", "o")
    choose(shown.root, "Save", "Whole recording")
    menu = shown.root.locator(".rv-menu:popover-open")
    assert (
        menu.get_by_role("menuitemradio", checked=True)
        .inner_text()
        .startswith("Whole recording")
    )

    shown.page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    shown.page.keyboard.press("ArrowRight")

    shown.wait("row", 2)
