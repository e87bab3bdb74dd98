"""The panel beside the pictures, in a page opened from file://."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from rollout_viewer.testing import counting_frames
from tests.browser.driver import assert_soon
from tests.browser.test_html_export import Shown
from tests.evaluations import add_episodes, two_policies

NUM_ROWS, NUM_ENVS, LENGTH = 120, 2, 20
WIDE = {"viewport": {"width": 1400, "height": 900}}


def recorded(num_envs=NUM_ENVS, num_rows=NUM_ROWS, with_obs=True, seed=0):
    """Return episodes of `LENGTH` rows: those of even envs are terminated."""
    rng = np.random.default_rng(seed)
    frames = counting_frames(num_rows, num_envs, height=48, width=64)
    cache = rv.FrameCache(fps=50, metadata={"action_meanings": ["wait", "jump"]})
    odd = np.arange(num_envs) % 2 == 1
    for row in range(num_rows):
        is_first, is_last = row % LENGTH == 0, row % LENGTH == LENGTH - 1
        labels = {"failure": True} if row // LENGTH % 2 else {"steady": True}
        info = {"seed": row // LENGTH, "labels": labels}
        data = {
            "obs": rng.normal(size=(num_envs, 8)).astype("f4"),
            "lidar": rng.normal(size=(num_envs, 100)).astype("f4"),
        }
        cache.append(
            frames[row],
            reset=[is_first] * num_envs,
            reward=None if is_first else np.arange(num_envs) + row // LENGTH + 0.5,
            terminated=is_last & ~odd,
            truncated=is_last & odd,
            action=None if is_first else rng.integers(0, 2, num_envs),
            data=data if with_obs else None,
            episode_info=dict.fromkeys(range(num_envs), info) if is_first else None,
        )
    return cache


@pytest.fixture
def show(new_page, tmp_path):
    def show(source=None, **options):
        path = tmp_path / "page.html"
        if isinstance(source, dict):
            rv.view(source).to_html(path)
        else:
            write_html(source or recorded(), path)
        shown = Shown(new_page, path, **{**WIDE, **options})
        shown.rest()
        return shown

    return show


def panel_of(shown, name):
    shown.root.get_by_role("tab", name=name).click()
    return shown.root.get_by_role("tabpanel", name=name)


def box_of(locator):
    return locator.bounding_box()


# -- the panel


def test_a_wide_page_opens_with_the_inspector_and_a_narrow_one_without(show):
    wide = show()
    expect(wide.root.locator(".rv-inspector")).to_be_visible()

    narrow = show(viewport={"width": 1000, "height": 700})
    expect(narrow.root.locator(".rv-side")).to_be_hidden()


def test_the_panel_is_beside_the_pictures_and_keeps_the_width_it_was_dragged_to(show):
    shown = show()
    side, stage = shown.root.locator(".rv-side"), shown.root.locator(".rv-stage")
    before = box_of(side)
    assert before["x"] >= box_of(stage)["x"] + box_of(stage)["width"] - 1
    edge = shown.root.get_by_role("separator", name="Size of the panel")

    x, y = before["x"], before["y"] + 200
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    shown.page.mouse.move(x - 100, y, steps=4)
    shown.page.mouse.up()
    shown.rest()
    dragged = box_of(side)["width"]
    assert abs(dragged - before["width"] - 100) < 4
    edge.focus()
    shown.page.keyboard.press("ArrowRight")
    assert_soon(lambda: box_of(side)["width"], dragged - 16)
    expect(edge).to_have_attribute("aria-valuenow", str(round(dragged - 16)))
    assert shown.root.get_attribute("data-row") == "0"

    shown.page.reload()
    shown.wait_until_loaded()
    side.wait_for()
    assert_soon(lambda: box_of(side)["width"], dragged - 16)
    shown.rest()
    edge.dblclick()
    assert_soon(lambda: box_of(side)["width"], before["width"])


def test_in_a_notebook_with_a_file_browser_it_is_beside_the_pictures(show):
    shown = show(viewport={"width": 815, "height": 700})
    shown.press("Shift+I")
    side, stage = shown.root.locator(".rv-side"), shown.root.locator(".rv-stage")
    side.wait_for()
    shown.rest()

    assert box_of(stage)["x"] + box_of(stage)["width"] <= box_of(side)["x"] + 1
    assert box_of(stage)["width"] > 440
    tiles = [end_of(tile) for tile in shown.root.locator(".rv-tile").all()]
    assert max(tiles) < box_of(side)["x"]


@pytest.mark.parametrize("width", [680, 400])
def test_in_a_narrow_view_it_is_a_sheet_below_that_leaves_the_transport(show, width):
    shown = show(viewport={"width": width, "height": 800})
    shown.press("Shift+I")
    side = shown.root.locator(".rv-side")
    side.wait_for()
    shown.rest()
    box = box_of(side)
    below = box_of(shown.root.locator(".rv-timeline"))
    assert box["y"] + box["height"] <= below["y"] + 1
    assert box["width"] == width
    stage, main = (
        box_of(shown.root.locator(f".rv-{one}")) for one in ("stage", "main")
    )
    assert stage["y"] + stage["height"] <= box["y"] + 1
    assert box["height"] == pytest.approx(min(280, 0.6 * main["height"]), abs=1)
    assert stage["height"] == pytest.approx(main["height"] - box["height"], abs=1)

    edge = shown.root.get_by_role("separator", name="Size of the panel")
    expect(edge).to_have_attribute("aria-orientation", "horizontal")
    x, y = box["x"] + box["width"] / 2, box["y"] + 4
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    shown.page.mouse.move(x, below["y"] - 10, steps=4)
    shown.page.mouse.up()
    side.wait_for(state="hidden")
    shown.press("Shift+I")
    shown.root.get_by_role("button", name="Close panel").click()
    side.wait_for(state="hidden")


def test_tabs_are_one_tab_stop_and_a_closed_panel_gives_the_focus_back(show):
    shown = show()
    tabs = shown.root.get_by_role("tab")
    stops = "tabs => tabs.filter(tab => tab.tabIndex === 0).length"
    assert_soon(lambda: tabs.evaluate_all(stops), 1)
    tabs.first.focus()
    shown.page.keyboard.press("ArrowRight")
    chosen = shown.root.get_by_role("tab", selected=True)
    expect(chosen).to_have_text("Episodes 12")
    panel = shown.page.locator(f"#{chosen.get_attribute('aria-controls')}")
    expect(panel).to_be_visible()
    expect(chosen).to_be_focused()

    shown.root.get_by_role("button", name="Close panel").focus()
    shown.page.keyboard.press("Enter")
    expect(shown.root).to_be_focused()
    shown.page.keyboard.press("ArrowRight")
    shown.wait("row", 1)


@pytest.mark.parametrize("width", [1200, 700, 340])
def test_all_tabs_are_in_sight(show, width):
    shown = show(viewport={"width": width, "height": 800})
    if width < 1200:
        shown.press("Shift+I")
    tabs = shown.root.get_by_role("tablist", name="Panel")
    shown.rest()
    assert_soon(
        lambda: tabs.evaluate("one => one.scrollWidth <= one.clientWidth"), True
    )


# -- inspector


def facts_of(inspector):
    texts = inspector.locator(":is(dt, dd):visible").all_inner_texts()
    facts = zip(texts[::2], texts[1::2], strict=True)
    return {key: value.split(",")[0].strip() for key, value in facts}


def test_the_inspector_names_the_episode_and_its_facts_one_a_line(show):
    shown = show()
    shown.press("n")
    shown.go(25)
    inspector = shown.root.locator(".rv-inspector[data-state=there][data-row='25']")
    expect(inspector.locator("h3")).to_have_text("Env 0 \u00b7 episode 1")
    expect(inspector.locator(".rv-inspector-of")).to_have_text("seed 1")
    expected = {
        "row": "25",
        "step": "5 of 19",
        "reward": "1.5",
        "return": "7.5",
        "outcome": "terminated \u00b7 failure",
    }
    assert_soon(lambda: facts_of(inspector), expected)
    rows = inspector.locator(".rv-known > div:visible")
    tops = rows.evaluate_all("rows => rows.map(row => row.getBoundingClientRect().y)")
    assert len(set(tops)) == 5
    assert shown.faults == []


def test_an_episode_that_did_not_end_is_cut_off(show):
    shown = show(recorded(num_rows=LENGTH + 5))
    shown.press("n", "End")
    outcome = shown.root.locator("[data-fact=outcome] dd")
    outcome.get_by_text("cut off").wait_for()

    shown.press("e")
    shown.page.keyboard.type("cut off")
    assert_soon(lambda: lines(shown), [(0, 1), (1, 1)])


@pytest.mark.parametrize("size", [(1400, 900), (400, 800)])
def test_no_section_of_the_inspector_covers_its_values(show, size):
    shown = show(viewport={"width": size[0], "height": size[1]})
    if size[0] < 1200:
        shown.press("Shift+I")
    shown.root.locator(".rv-inspector[data-state=there]").wait_for()
    sections = shown.root.locator(".rv-inspector .rv-section")
    shown.rest()
    look = """all => all.map(one => {
          const head = one.firstElementChild.getBoundingClientRect();
          const body = one.lastElementChild.getBoundingClientRect();
          return [one.scrollHeight <= one.clientHeight,
                  one.scrollWidth <= one.clientWidth, head.bottom <= body.top + 1];
        })"""
    # facts, action, obs, lidar
    assert_soon(lambda: sections.evaluate_all(look), [[True] * 3] * 4)
    inputs = shown.root.locator("input:visible")
    moved = inputs.evaluate_all("all => all.map(one => getComputedStyle(one).top)")
    assert set(moved) <= {"auto", "0px"}


def test_a_number_of_the_inspector_is_added_to_the_timeline(show):
    shown = show()
    shown.press("n", "ArrowRight")
    obs = shown.root.locator("[data-name=obs]")
    button = obs.get_by_role("button", name="obs[3] on the timeline")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    shown.root.locator(".rv-timeline").get_by_text("obs[3]").first.wait_for()
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    numbers = obs.locator(".rv-amount").all_inner_texts()
    assert {len(number.split(".")[1]) for number in numbers} == {3}


def test_numbers_have_the_names_that_the_recording_gives_them(show):
    cache = recorded()
    cache.update_metadata(fields={"obs": ["x", "height above the ground"]})
    shown = show(cache)
    shown.press("n", "ArrowRight")
    obs = shown.root.locator("[data-name=obs] li")
    expect(obs).to_have_count(8)

    names = obs.locator("small").all_inner_texts()
    assert names == ["x", "height above the ground", *"234567"]
    obs.first.get_by_role("button").click()
    shown.root.locator(".rv-timeline").get_by_text("obs: x").first.wait_for()


def test_the_small_plot_follows_the_theme(show):
    shown = show(color_scheme="light")
    plot = shown.root.locator("[data-name=lidar] path")
    plot.wait_for()
    colour = "path => getComputedStyle(path).fill"
    light = plot.evaluate(colour)
    shown.page.emulate_media(color_scheme="dark")
    assert_soon(lambda: plot.evaluate(colour) == light, False)
    assert plot.get_attribute("d").count("M") == 100


# -- episodes


def lines(shown):
    """Return env and episode of each listed line in sight, from above."""
    rows = shown.root.locator(".rv-episode-body .rv-episode-row:visible")
    found = rows.evaluate_all(
        """rows => rows.map(row =>
          [+row.dataset.place, +row.dataset.env, +row.dataset.episode])"""
    )
    return [tuple(line[1:]) for line in sorted(found)]


def choose(shown, menu, item):
    shown.root.get_by_role("button", name=f"{menu}:").click()
    shown.root.get_by_role("menuitemradio", name=item).click()


def test_typing_filters_the_episodes_at_once_and_a_button_ends_it(show):
    shown = show()
    shown.press("e")
    panel = shown.root.locator(".rv-episodes")
    shown.page.keyboard.type("env 1 failure")
    assert_soon(lambda: lines(shown), [(1, 1), (1, 3), (1, 5)])
    panel.get_by_text("3 of 12 episodes").wait_for()

    shown.page.keyboard.type(" nothing")
    panel.get_by_text("No episode matches.").wait_for()
    assert_soon(lambda: lines(shown), [])
    panel.get_by_role("button", name="Clear filter").click()
    assert_soon(lambda: len(lines(shown)), 12)
    expect(panel.get_by_role("searchbox")).to_have_value("")

    choose(shown, "Outcome", "truncated")
    choose(shown, "Label", "steady")
    assert_soon(lambda: lines(shown), [(1, 0), (1, 2), (1, 4)])
    assert shown.root.locator("select:visible").evaluate_all(
        "all => all.filter(one => one.closest('.rv-side')).length === 0"
    )


def judged():
    """Return a recording of which episode 0 of env 0 failed and two succeeded."""
    cache = recorded(with_obs=False)
    cache.set_meta("info_types", {"info.won": "bool", "info.room": ["hall", "attic"]})
    row = np.zeros((NUM_ENVS, 48, 64, 3), np.uint8)
    info = {"info.won": [1.0, np.nan], "info.room": [1.0, np.nan]}
    cache.append(row, reward=[1.0, 1.0], data=info)
    cache.mark_success((0, 0), False)
    cache.mark_success([(1, 0), (0, 1)], True)
    return cache


def test_success_is_a_column_a_filter_and_a_rate(show):
    shown = show(judged())
    expect(shown.root.locator(".rv-facts").first).to_contain_text(
        "67% success (21\u201394%)"
    )
    shown.press("e")
    chips = shown.root.locator(".rv-episode-body .rv-of-success .rv-tag:visible")
    expect(chips).to_have_text(["failure", "success", "success"])

    choose(shown, "Success", re.compile("^success$"))
    assert_soon(lambda: lines(shown), [(1, 0), (0, 1)])
    choose(shown, "Success", "not known")
    assert_soon(lambda: len(lines(shown)), 11)
    choose(shown, "Success", "any success")
    shown.root.get_by_role("button", name="Side by side").click()
    shown.root.get_by_role("menuitem", name="Successes: 2").click()
    expect(shown.root.locator(".rv-tile[role=option]")).to_have_count(2)
    chips = shown.root.locator(".rv-tile-chip[data-label=success]")
    expect(chips).to_have_count(2)
    assert shown.faults == []


def test_without_any_success_nothing_is_shown_of_it(show):
    shown = show()
    shown.press("e")
    panel = shown.root.locator(".rv-episodes")
    panel.get_by_text("12 episodes").wait_for()

    expect(panel.get_by_role("button", name="Success: any success")).to_be_hidden()
    expect(panel.locator(".rv-of-success").first).to_be_hidden()
    assert "success" not in shown.root.locator(".rv-facts").first.inner_text()


def test_the_inspector_has_truth_values_and_texts_of_info(show):
    shown = show(judged())
    shown.press("n", "End")
    inspector = shown.root.locator(".rv-inspector[data-state=there]")

    won = inspector.locator("[data-name='info.won'] .rv-number")
    expect(won).to_contain_text("true")
    room = inspector.locator("[data-name='info.room'] .rv-number")
    expect(room).to_contain_text("attic")
    shown.go(0)
    expect(inspector.locator("[data-fact=outcome] dd")).to_contain_text("failure")
    expect(room).to_have_count(0)


def test_moving_in_the_list_previews_and_enter_opens_the_episode_alone(show):
    shown = show()
    shown.press("e")
    shown.page.keyboard.press("ArrowDown")  # out of the field, to the first one
    shown.wait("row", 0)
    for _ in range(3):
        shown.page.keyboard.press("ArrowDown")
    shown.wait("row", 20)
    row = shown.root.get_by_role("row", selected=True)
    expect(row).to_have_attribute("data-env", "1")
    expect(row).to_have_attribute("data-episode", "1")
    expect(row).to_be_focused()
    shown.page.keyboard.press("ArrowUp")
    shown.page.keyboard.press("ArrowUp")
    shown.wait("row", 0)

    shown.page.keyboard.press("Enter")
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 1")
    expect(shown.root.locator(".rv-tile")).to_have_attribute("data-env", "1")
    assert shown.faults == []


def test_space_plays_after_a_click_on_an_episode_and_selects_where_keys_move(show):
    shown = show()
    shown.press("e")
    rows = shown.root.locator(".rv-episode-body .rv-episode-row")
    rows.nth(4).click()
    shown.wait("row", 40)
    shown.page.keyboard.press("Space")
    shown.page.wait_for_function(
        "root => Number(root.dataset.row) > 42", arg=shown.root.element_handle()
    )
    shown.press("e", "e", "ArrowDown", "ArrowDown")
    shown.page.keyboard.press("Space")
    expect(rows.and_(shown.root.locator("[aria-selected=true]"))).to_have_count(0)


def test_several_selected_episodes_are_side_by_side(show):
    shown = show()
    shown.press("e")
    rows = shown.root.locator(".rv-episode-body .rv-episode-row")
    rows.nth(1).click()
    shown.wait("numRows", NUM_ROWS)
    rows.nth(4).click(modifiers=["Control"])
    shown.root.get_by_text("12 episodes, 2 selected").wait_for()
    shown.wait("numRows", LENGTH)
    tiles = shown.root.locator(".rv-tile")
    expect(tiles).to_have_count(2)
    shown.page.keyboard.press("Shift+ArrowDown")
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 2")
    rows.nth(1).click()
    rows.nth(3).click(modifiers=["Shift"])
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 3")

    rows.nth(2).click()
    shown.wait("numRows", NUM_ROWS)
    shown.wait("row", 20)


def test_returns_have_as_many_decimals_and_a_line_each(show):
    shown = show()
    panel_of(shown, "Episodes")
    returns = shown.root.locator(".rv-episode-body .rv-of-return")

    def decimals():
        return {len(text.partition(".")[2]) for text in returns.all_inner_texts()}

    assert_soon(decimals, {2})
    paths = shown.root.locator(".rv-episode-body .rv-spark path")
    assert all("L" in d for d in paths.evaluate_all("all => all.map(p => p.outerHTML)"))
    heads = shown.root.locator(".rv-episode-head .rv-sort")
    heads.filter(has_text="return").click()
    assert_soon(lambda: lines(shown)[0], (1, 5))
    ends = shown.root.locator(".rv-episode-body .rv-end")
    looks = ends.evaluate_all(
        """all => all.map(one => [one.dataset.outcome,
          getComputedStyle(one).backgroundColor === 'rgba(0, 0, 0, 0)'])"""
    )
    assert {tuple(look) for look in looks} == {
        ("terminated", False),
        ("truncated", True),
    }


@pytest.mark.parametrize("width", [1400, 800, 400, 320])
def test_no_column_of_the_list_is_cut_off(show, width):
    shown = show(viewport={"width": width, "height": 900})
    shown.press("e")
    scroller = shown.root.get_by_role("grid", name="Episodes")
    shown.rest()
    fits = "one => one.scrollWidth <= one.clientWidth"
    assert_soon(lambda: scroller.evaluate(fits), True)
    columns = ":is(.rv-of-return, .rv-of-episode)"
    cells = shown.root.locator(f".rv-episode-row:visible {columns}")
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).length"
    assert cells.evaluate_all(cut) == 0


def test_with_a_coarse_pointer_every_target_of_the_panel_is_44_px(show):
    shown = show(has_touch=True, is_mobile=True)
    for name in ("Inspector", "Episodes", "Notes"):
        panel_of(shown, name)
        targets = shown.root.locator(
            ".rv-side :is(button, input, [tabindex='0'][role=row]):visible"
        )
        shown.rest()
        small = targets.evaluate_all(
            """all => all.filter(one => one.getBoundingClientRect().height < 44)
              .map(one => one.outerHTML)"""
        )
        assert small == []


# -- notes


def bookmarks(shown):
    """Return row, place and note of each listed bookmark."""
    listed = shown.root.locator(".rv-bookmarks li")
    return [
        line.locator(".rv-bookmark > span").all_inner_texts() for line in listed.all()
    ]


def test_escape_in_a_new_note_removes_its_bookmark_and_enter_keeps_it(show):
    shown = show(recorded(num_envs=1))
    keyboard = shown.page.keyboard
    shown.go(25)
    shown.press("b", "Escape")
    shown.root.get_by_text("No notes yet: B bookmarks a row.").wait_for()
    expect(shown.root).to_be_focused()

    shown.press("b")
    keyboard.type("falls over")
    keyboard.press("Enter")
    expect(shown.root).to_be_focused()
    shown.press("ArrowRight", "b", "Enter")
    expected = [
        ["row 25", "ep 1 \u00b7 step 5", "falls over"],
        ["row 26", "ep 1 \u00b7 step 6", ""],
    ]
    assert_soon(lambda: bookmarks(shown), expected)
    # Of an older bookmark Escape only leaves the note as it was.
    shown.press("b", "Escape")
    shown.press("ArrowLeft", "b")
    keyboard.type(" again")
    keyboard.press("Escape")
    notes = lambda: [line[2] for line in bookmarks(shown)]  # noqa: E731
    assert_soon(notes, ["falls over", ""])

    shown.root.locator(".rv-bookmark").nth(1).click()
    shown.wait("row", 26)
    expect(shown.root.get_by_role("heading", name="Row 26")).to_be_visible()
    shown.root.get_by_role("button", name="Delete the bookmark of row 25").click()
    assert_soon(lambda: [line[0] for line in bookmarks(shown)], ["row 26"])
    expect(shown.root).to_be_focused()
    assert shown.faults == []


def test_labels_are_chips_of_which_only_success_and_failure_have_colours(show):
    shown = show(recorded(num_envs=1))
    panel = panel_of(shown, "Notes")
    chips = panel.get_by_role("group", name="Labels")
    for name in ("success", "failure"):
        chips.get_by_role("button", name=name).click()
    panel.get_by_role("textbox", name="Custom label").fill("slips")
    shown.page.keyboard.press("Enter")
    expect(panel.get_by_role("textbox", name="Custom label")).to_have_value("")
    pressed = chips.locator("[aria-pressed=true]")
    look = """all => all.map(one =>
      [one.dataset.label, getComputedStyle(one).backgroundColor])"""
    expect(pressed).to_have_count(4)
    looks = dict(pressed.evaluate_all(look))
    assert set(looks) == {"success", "failure", "steady", "slips"}
    assert looks["steady"] == looks["slips"]
    assert len(set(looks.values())) == 3


# -- comparison


def test_a_comparison_has_values_and_differences_in_columns_of_their_own(show):
    before, after = recorded(seed=0), recorded(seed=1)
    shown = show({"before": before, "after": after})
    shown.go(5)
    panel = panel_of(shown, "Compare")
    table = panel.get_by_role("table")
    heads = ["return", "before", "after", "difference"]
    expect(table.get_by_role("columnheader")).to_have_text(heads)

    def rows():
        lines = table.locator(":is(tbody, tfoot) tr").all()
        return [line.locator("th, td").all_inner_texts() for line in lines]

    expected = [
        ["env 0", "2.50", "2.50", "0.00"],
        ["env 1", "7.50", "7.50", "0.00"],
        ["mean", "5.00", "5.00", "0.00"],
    ]
    assert_soon(rows, expected)
    keys = table.locator(".rv-key").evaluate_all(
        "all => all.map(one => one.style.getPropertyValue('--rv-key'))"
    )
    lines = shown.root.locator(".rv-track-line .rv-key").evaluate_all(
        "all => all.map(one => one.style.getPropertyValue('--rv-key'))"
    )
    assert keys == [line for line in lines if line][:2]

    switch = panel.get_by_role("switch", name="Pixel difference")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(table.get_by_role("columnheader").last).to_have_text("pixels")
    cells = table.locator("tbody .rv-paired-share")
    expect(cells).to_have_text(["0.0 %", "0.0 %"])
    shown.rest()
    assert table.evaluate("one => one.scrollWidth <= one.parentElement.clientWidth")
    assert shown.faults == []


def test_a_long_name_of_a_recording_covers_no_numbers(show):
    name = "runs/2026-11-28_cartpole_ppo_learning-rate-3e-4_seed-12/evaluation"
    shown = show({name: recorded(), "after": recorded(seed=1)})
    inspector = panel_of(shown, "Inspector")
    title = inspector.locator(".rv-inspector-head h3")

    expect(title).to_contain_text(name)
    assert end_of(title) <= end_of(inspector)

    shown.page.set_viewport_size({"width": 400, "height": 800})
    track = shown.root.locator(".rv-track").first
    names, scale = track.locator(".rv-track-lines"), track.locator(".rv-scale")
    expect(names).to_contain_text(name)
    assert_soon(lambda: end_of(names) <= box_of(scale)["x"], True)


def end_of(locator):
    box = box_of(locator)
    return box["x"] + box["width"]


def test_an_evaluation_begins_with_its_policies_below_each_other(new_page, tmp_path):
    result = rv.EvaluationResult.from_recordings(
        two_policies(), success=lambda episode: episode.total_reward >= 2
    )
    path = result.viewer.to_html(tmp_path / "page.html")
    shown = Shown(new_page, path, **WIDE)

    title = "Compared by seed: every tile starts its episodes together"
    expect(shown.root.locator(".rv-arranged span")).to_have_text(title)
    shown.press("End")
    heads = panel_of(shown, "Compare").locator(".rv-paired tbody tr")
    # flips first, then the largest difference
    lines = ["seed 2", "seed 0", "seed 3", "seed 1"]
    differences = ["\u22122.00", "+1.00", "+5.00", "0.00"]
    expect(heads.locator("th")).to_have_text(lines)
    expect(heads.locator("td:last-child")).to_have_text(differences)
    shown.root.get_by_role("button", name="Back to recorder rows").click()
    expect(shown.root.locator(".rv-arranged")).to_be_hidden()
    shown.go(3)
    expect(shown.root.locator(".rv-arranged")).to_be_hidden()
    assert shown.faults == []


def test_each_name_begins_a_line_whatever_the_numbers_of_envs(show):
    shown = show({"before": recorded(2), "after": recorded(3, seed=1)})
    tiles = shown.root.locator(".rv-tile")
    boxes = [box_of(tile) for tile in tiles.all()]

    tops, lefts = ([box[side] for box in boxes] for side in ("y", "x"))
    assert tops == [tops[0]] * 2 + [tops[2]] * 3
    assert tops[0] < tops[2]
    assert lefts[:2] == lefts[2:4]
    assert shown.canvas.locator("canvas").count() == 5
    tiles.nth(4).click()
    shown.page.keyboard.press("ArrowUp")
    expect(tiles.nth(1)).to_be_focused()
    shown.page.keyboard.press("ArrowRight")
    expect(tiles.nth(2)).to_be_focused()
    shown.page.mouse.click(boxes[4]["x"] + 20, boxes[0]["y"] + 20)
    assert shown.faults == []


@pytest.mark.parametrize(
    ("width", "names"),
    [(400, ["0", "1"]), (600, ["before 0", "before 1"])],
)
def test_small_tiles_of_policies_say_whose_they_are(new_page, tmp_path, width, names):
    cache = rv.FrameCache()
    for name in ("before", "after"):
        with cache.segment(name):
            add_episodes(cache, {seed: [1.0] for seed in range(8)})
    path = rv.EvaluationResult.from_recordings(cache).viewer.to_html(
        tmp_path / "a.html"
    )
    shown = Shown(new_page, path, viewport={"width": width, "height": 700})
    shown.rest()
    tiles = shown.root.locator(".rv-tile")
    seen = """tile => [...tile.querySelectorAll('.rv-env > b > *, .rv-env > b')]
        .filter(one => one.checkVisibility())
        .filter(one => getComputedStyle(one).fontSize !== '0px')
        .flatMap(one => [...one.childNodes]).filter(one => one.nodeType === 3)
        .map(one => one.data)"""

    for number, name in enumerate(names):
        tile = tiles.nth(number)
        assert box_of(tile)["width"] < 90
        assert sorted(" ".join(tile.evaluate(seen)).split()) == sorted(name.split())
        own, text = box_of(tile), box_of(tile.locator(".rv-caption"))
        assert own["x"] <= text["x"]
        assert text["x"] + text["width"] <= own["x"] + own["width"]
        assert tile.locator(".rv-env").evaluate(
            "el => el.scrollWidth <= el.clientWidth"
        )
    tiles.nth(9).and_(shown.page.get_by_role("option", name="after seed 1")).wait_for()
    assert shown.faults == []


# Of `two_policies` where 2 or more is a success; intervals are those of Python.
POLICIES = [
    ["", "before", "after"],
    ["Success", "75\u2009%", "75\u2009%"],
    ["Return, IQM", "2.5", "2"],
    ["Return, mean", "2.5", "3.5"],
    ["Return, median", "2.5", "2"],
    ["Length, mean", "2", "2"],
    ["Episodes", "4", "4"],
]


def test_the_compare_tab_has_the_numbers_of_an_evaluation(new_page, tmp_path):
    result = rv.EvaluationResult.from_recordings(
        two_policies(), success=lambda episode: episode.total_reward >= 2
    )
    path = result.viewer.to_html(tmp_path / "page.html")
    shown = Shown(new_page, path, **WIDE)
    panel = panel_of(shown, "Compare")

    table = panel.get_by_role("table", name="Numbers of each policy")
    for line, cells in enumerate(POLICIES):
        row = table.locator("tr").nth(line)
        for place, text in enumerate(cells):
            expect(row.locator("th, td").nth(place)).to_contain_text(text)
    low, high = (result.table[f"return_iqm_{end}"][1] for end in ("low", "high"))
    ends = table.locator("tr").nth(2).locator(".rv-interval").nth(1)
    expect(ends).to_have_text(f"{low:g} to {high:g}")
    found = panel.get_by_role("region", name="after against before")
    expect(found).to_contain_text("after is not shown to return more or less than")
    expect(found).to_contain_text("Mean difference of 4 pairs+1")
    (said,) = result.paired.summary.lines()
    low, high = said["difference_low"], said["difference_high"]
    expect(found).to_contain_text(f"\u2212{-low:g} to +{high:g}")
    expect(found).to_contain_text("Better on2, worse on 1, equal on 1p = 1.00")
    expect(found).to_contain_text("Successgained on 1, lost on 1p = 1.00")
    assert shown.faults == []


def test_a_page_without_an_evaluation_has_no_part_for_it(show, tmp_path):
    shown = show({"before": recorded(), "after": recorded(seed=1)})

    expect(panel_of(shown, "Compare").locator(".rv-evaluation")).to_be_hidden()
    expect(shown.page.locator("script.rollout-viewer-part-mp4")).to_have_count(1)
    expect(shown.page.locator("script.rollout-viewer-part-compare")).to_have_count(0)


def test_without_a_comparison_the_panel_says_how_to_make_one(show):
    shown = show()
    panel = panel_of(shown, "Compare")
    code = panel.locator("code")
    expect(code).to_have_text('rv.view({"before": a, "after": b})')
    expect(panel.get_by_role("switch")).to_be_hidden()
