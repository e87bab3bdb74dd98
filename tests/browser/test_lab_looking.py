"""How people look at a recording in a real JupyterLab: inspector, traces, zoom."""

import base64
import re

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer.testing import read_count
from tests.browser.driver import PIXELS_JS, Viewer, assert_soon, choose, rest

NUM_ROWS, NUM_ENVS = 200, 4

RECORD = f"""
import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

rng = np.random.default_rng(0)
frames = counting_frames({NUM_ROWS}, {NUM_ENVS}, height=48, width=64)
cache = rv.FrameCache(fps=60, metadata={{"action_meanings": ["NOOP", "FIRE"]}})
for half in ("before", "after"):
    with cache.segment(half, seed=3):
        for row in range({NUM_ROWS} // 2):
            is_reset = np.full({NUM_ENVS}, row == 0)
            is_last = row == {NUM_ROWS} // 2 - 1
            cache.append(
                frames[cache.num_rows],
                reset=is_reset,
                reward=None if row == 0 else rng.normal(size={NUM_ENVS}),
                terminated=[is_last, False, is_last, False],
                truncated=[False, is_last, False, is_last],
                action=None if row == 0 else rng.integers(0, 2, {NUM_ENVS}),
                data={{
                    "obs": rng.normal(size=({NUM_ENVS}, 3)).astype("f4"),
                    "value": np.arange({NUM_ENVS}) + cache.num_rows / 100,
                }},
            )
"""
SHOW = "viewer = rv.view(cache)\nviewer"


@pytest.fixture
def shown(lab):
    """Return a notebook that shows two segments of four envs, and its viewer."""
    notebook = lab(RECORD, SHOW, "print(cache.at(101, 2)['obs'].tolist())")
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(NUM_ROWS)
    return notebook, viewer


def number(text):
    return float(text.replace("\u2212", "-"))


def test_inspector_shows_what_was_recorded_at_the_playhead(shown):
    notebook, viewer = shown
    viewer.press("Shift+I", "n", "n", "n")
    viewer.root.locator(".rv-row").fill("101")
    viewer.root.locator(".rv-row").press("Enter")
    panel = viewer.root.get_by_role("tabpanel", name="Inspector")
    there = '.rv-inspector[data-row="101"][data-state="there"]'
    viewer.root.locator(there).wait_for()

    facts = dict(
        zip(
            panel.locator("dt").all_inner_texts(),
            panel.locator("dd").all_inner_texts(),
            strict=True,
        )
    )
    shown_obs = panel.locator("[data-name=obs] .rv-amount").all_inner_texts()
    recorded = [float(x) for x in notebook.text(2).strip(" []\n").split(",")]

    expect(panel.locator("h3")).to_have_text("Env 2 \u00b7 episode 1")
    expected = {"row": "101", "step": "1 of 99", "segment": "after"}
    assert expected.items() <= facts.items()
    np.testing.assert_allclose([*map(number, shown_obs)], recorded, atol=6e-4)
    action = panel.locator("[data-name=action]")
    shown_action = action.locator(".rv-meaning, .rv-amount").all_inner_texts()
    assert shown_action in (["NOOP", "0"], ["FIRE", "1"])


def test_inspector_asks_once_and_never_while_it_plays_on(shown):
    notebook, viewer = shown
    viewer.press("Home", "Shift+I", "n")
    panel = viewer.root.locator(".rv-inspector[data-state=there]")
    panel.wait_for()
    before = notebook.settle()

    viewer.scrub(0.2, 0.9, 0.4)
    viewer.press("Home", "Space")
    viewer.wait("row", NUM_ROWS - 1)

    expect(panel).to_have_attribute("data-row", str(NUM_ROWS - 1))
    assert notebook.num_comm_messages == before


def test_inspector_button_tells_whether_it_is_open(shown):
    _, viewer = shown
    button = viewer.root.get_by_role("button", name="Panel", exact=True)

    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    viewer.root.get_by_role("button", name="Close panel").click()

    expect(button).to_have_attribute("aria-pressed", "false")
    expect(viewer.root.locator(".rv-inspector")).to_be_hidden()


def add_track(root, name):
    root.get_by_role("button", name="Add a track").click()
    root.get_by_role("menuitem", name=name, exact=True).click()


def choose_of_whom(track, text):
    track.locator(".rv-track-whom").click()
    track.get_by_role("menuitemradio", name=text).click()


def wait_for_new_trace(viewer, before):
    """Wait until the last track looks unlike `before`; returns its pixels."""
    canvas = viewer.root.locator("canvas.rv-trace").last.element_handle()
    viewer.page.wait_for_function(
        "([canvas, before]) => canvas.toDataURL() !== before", arg=[canvas, before]
    )
    return canvas.evaluate("canvas => canvas.toDataURL()")


def test_timeline_draws_the_chosen_number_of_a_tile_or_of_all(shown):
    notebook, viewer = shown
    first = wait_for_new_trace(viewer, "")

    add_track(viewer.root, "value")
    track = viewer.root.locator('.rv-track[data-scalar="value[0]"]')
    track.locator(".rv-value").get_by_text("1.5").wait_for()
    mean = wait_for_new_trace(viewer, first)
    choose_of_whom(track, "Mean and range of all")
    wait_for_new_trace(viewer, mean)
    before = notebook.settle()
    viewer.scrub(0.3, 0.9, 0.5)
    choose_of_whom(track, "Mean and deviation of all")

    assert notebook.num_comm_messages == before


def test_pointing_at_the_timeline_shows_numbers_and_the_picture_there(shown):
    notebook, viewer = shown
    before = notebook.settle()
    viewer.root.locator(".rv-plot").scroll_into_view_if_needed()
    box = viewer.root.locator(".rv-plot").bounding_box()

    viewer.page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20)
    hint = viewer.root.locator(".rv-hint[data-row]")
    hint.wait_for()

    row = int(hint.get_attribute("data-row"))
    assert abs(row - 0.75 * NUM_ROWS) < 3
    expect(hint).to_contain_text(f"row {row}", use_inner_text=True)
    expect(hint).to_contain_text("after", use_inner_text=True)

    def count():
        pixels = hint.locator("canvas").evaluate(PIXELS_JS)
        picture = np.frombuffer(base64.b64decode(pixels[2]), np.uint8)
        return read_count(picture.reshape(pixels[1], pixels[0], 4)[..., :3])

    assert_soon(count, (row, 0))
    assert notebook.num_comm_messages == before


def test_overlays_are_chosen_in_a_menu_by_keyboard(shown):
    notebook, viewer = shown
    tile = viewer.root.locator(".rv-tile").nth(1)
    viewer.press("Home", "ArrowRight")
    viewer.wait("row", 1)
    expect(tile).not_to_contain_text("action", use_inner_text=True)

    viewer.root.get_by_role("button", name="Labels on the tiles").focus()
    viewer.page.keyboard.press("Enter")
    # The first is all text at once, the next the env.
    viewer.page.keyboard.press("ArrowDown")
    viewer.page.keyboard.press("Space")
    viewer.root.get_by_role("menuitemcheckbox", name="Action").click()
    tile.get_by_text("action").wait_for()
    viewer.page.keyboard.press("Escape")

    expect(tile).to_contain_text(re.compile("NOOP|FIRE"), use_inner_text=True)
    assert_soon(lambda: "env" in tile.inner_text(), False)
    expect(viewer.root.locator(".rv-menu:popover-open")).to_have_count(0)
    before = notebook.settle()
    viewer.scrub(0.2, 0.8)
    assert notebook.num_comm_messages == before


MANY = """
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

cache = rv.FrameCache()
for row in range(3):
    frames = counting_frames(1, 144, height=24, width=32, start=row)[0]
    cache.append({"front": frames, "wrist": 255 - frames})
"""


def canvas_picture(viewer):
    """Return the canvas as (H, W, 3)."""
    width, height, text = viewer.root.locator(".rv-frames").evaluate(PIXELS_JS)
    picture = np.frombuffer(base64.b64decode(text), np.uint8)
    return picture.reshape(height, width, 4)[..., :3]


def shown_envs(viewer):
    """Return the envs whose tiles are on the canvas, as the page says."""
    tiles = viewer.root.locator(".rv-tile")
    return tiles.evaluate_all("tiles => tiles.map(tile => Number(tile.dataset.env))")


@pytest.fixture
def many(lab):
    """Return a notebook that shows one of two cameras of 144 envs, and its viewer."""
    notebook = lab(MANY, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(3)
    assert_soon(lambda: len(shown_envs(viewer)), 288)
    choose(viewer.root, "Camera", "front")
    viewer.page.wait_for_function(
        "() => document.querySelectorAll('.rv-tile').length === 144"
    )
    return notebook, viewer


def test_zoom_decodes_what_is_in_sight_and_dragging_moves_it(many):
    notebook, viewer = many
    stage = viewer.root.locator(".rv-stage")
    before = notebook.settle()
    viewer.press("End", "=", "=", "=", "=", "=", "=", "=")
    viewer.wait("row", 2)
    rest(viewer.root)
    zoomed = shown_envs(viewer)

    box = stage.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    viewer.page.mouse.move(*middle)
    viewer.page.mouse.down()
    viewer.page.mouse.move(middle[0] + 250, middle[1] + 120, steps=4)
    viewer.page.mouse.up()
    viewer.page.wait_for_function(
        "first => Number(document.querySelector('.rv-tile').dataset.env) !== first",
        arg=zoomed[0],
    )
    rest(viewer.root)
    moved = shown_envs(viewer)
    viewer.press("ArrowLeft")
    viewer.wait("row", 1)
    picture = canvas_picture(viewer)
    tiles = picture.reshape(-1, 24, picture.shape[1] // 32, 32, 3).swapaxes(1, 2)

    assert len(zoomed) < 144
    assert moved != zoomed
    # The first and the last of them are what they say they are.
    flat = tiles.reshape(-1, 24, 32, 3)
    assert [read_count(flat[0]), read_count(flat[-1])] == [
        (1, moved[0]),
        (1, moved[-1]),
    ]
    assert not viewer.root.locator("[data-selected=true]").count()
    assert notebook.num_comm_messages == before

    viewer.press("z")
    assert_soon(lambda: len(shown_envs(viewer)), 144)


PINCH_JS = """stage => {
  const box = stage.getBoundingClientRect();
  const middle = [box.left + box.width / 2, box.top + box.height / 2];
  const fire = (type, apart) => {
    const touches = [-1, 1].map((side, identifier) => new Touch({
      identifier, target: stage,
      clientX: middle[0] + side * apart, clientY: middle[1],
    }));
    const event = new TouchEvent(type, { touches, bubbles: true, cancelable: true });
    stage.dispatchEvent(event);
    return event.defaultPrevented;
  };
  fire('touchstart', 40);
  return fire('touchmove', 160);
}"""


def test_two_fingers_zoom_the_pictures_and_not_the_page(many):
    _, viewer = many

    is_ours = viewer.root.locator(".rv-stage").evaluate(PINCH_JS)

    assert is_ours
    viewer.root.get_by_role("button", name="Zoom: 4\u00d7").wait_for()
    assert_soon(lambda: len(shown_envs(viewer)) < 144 / 4, True)


def test_wheel_with_control_zooms_where_the_pointer_is(many):
    _, viewer = many
    stage = viewer.root.locator(".rv-stage")
    box = stage.bounding_box()
    viewer.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)

    viewer.page.keyboard.down("Control")
    for _ in range(6):
        viewer.page.mouse.wheel(0, -120)
    viewer.page.wait_for_function(
        "() => document.querySelectorAll('.rv-tile').length < 144"
    )
    rest(viewer.root)
    viewer.page.keyboard.up("Control")

    # The first line of tiles is below the pointer, and stays there.
    assert min(shown_envs(viewer)) < 144 / 8
    choose(viewer.root, "Zoom:", "Fit")
    assert_soon(lambda: len(shown_envs(viewer)), 144)


def test_every_tenth_row_is_played_to_the_last_one(shown):
    notebook, viewer = shown
    viewer.press("Home")
    before = notebook.settle()
    viewer.page.evaluate(
        """() => {
          const root = document.querySelector('.rollout-viewer');
          window.rows = [];
          new MutationObserver(() => window.rows.push(Number(root.dataset.row)))
            .observe(root, { attributeFilter: ['data-row'] });
        }"""
    )

    choose(viewer.root, "Speed", "Every 10th row")
    viewer.root.get_by_role("button", name="Play", exact=True).click()
    viewer.wait("row", NUM_ROWS - 1)

    rows = viewer.page.evaluate("() => window.rows")
    assert all(row % 10 == 0 for row in rows[:-1])
    assert len(rows) > 5
    assert notebook.num_comm_messages == before


def test_buttons_go_to_the_ends_of_episodes(shown):
    _, viewer = shown
    viewer.press("Home")

    viewer.root.get_by_role("button", name="Next episode end").click()
    viewer.wait("row", NUM_ROWS // 2 - 1)
    viewer.root.get_by_role("button", name="Next episode end").click()
    viewer.wait("row", NUM_ROWS - 1)
    viewer.root.get_by_role("button", name="Previous episode end").click()

    viewer.wait("row", NUM_ROWS // 2 - 1)


def test_an_exported_page_shows_its_numbers_without_a_kernel(new_page, tmp_path):
    cache = rv.FrameCache(metadata={"action_meanings": ["NOOP", "FIRE"]})
    for row in range(40):
        cache.append(
            np.zeros((2, 24, 32, 3), np.uint8),
            reset=[row == 0] * 2,
            reward=None if row == 0 else [1.0, 2.0],
            action=None if row == 0 else np.array([0, 1]),
            data={"obs": np.array([[row, 0], [row, 0.5]])},
        )
    page = new_page(offline=True)
    page.goto(rv.view(cache).to_html(tmp_path / "run.html").as_uri())
    root = page.locator(".rollout-viewer[data-state=ready]")
    root.focus()

    # A page as wide as this opens with the inspector.
    for key in ("Home", "n", "n", "ArrowRight"):
        page.keyboard.press(key)
    add_track(root, "obs[1]")
    track = root.locator('.rv-track[data-scalar="obs[1]"]')
    track.locator(".rv-value", has_text=re.compile(r"^0\.5$")).wait_for()
    choose_of_whom(track, "Mean and range of all")
    track.locator(".rv-value", has_text=re.compile(r"^0\.25$")).wait_for()

    panel = root.locator(".rv-inspector[data-row='1']")
    expect(panel.locator("[data-name=action] .rv-meaning")).to_have_text("FIRE")
    obs = panel.locator("[data-name=obs] .rv-amount")
    expect(obs).to_have_text(["1.000", "0.500"])
    assert not root.locator(".rv-alert").count()
