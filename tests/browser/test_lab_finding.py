"""Finding and comparing in a real JupyterLab: marks, the episode list, arrangements."""

import base64
import csv

import numpy as np
import pytest
from playwright.sync_api import expect

from rollout_viewer.testing import counting_frames
from tests.browser.driver import HEIGHT, PIXELS_JS, WIDTH, Viewer, assert_soon
from tests.browser.driver import choose as choose_in

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
    for _ in range(40):
        notebook.run_cell(2)
        if notebook.text(2).strip() == expected:
            break
        notebook.page.wait_for_timeout(250)
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
    root.get_by_role("textbox", name="Custom label").fill("slips")
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


def names(viewer):
    """Return env, episode and outcome of each line of the list, from above."""
    lines = viewer.root.locator(".rv-episode-body .rv-episode-row:visible")
    found = lines.evaluate_all(
        """lines => lines.map(line => [+line.dataset.place, +line.dataset.env,
          +line.dataset.episode, line.querySelector('.rv-of-outcome').textContent])"""
    )
    return [tuple(line[1:]) for line in sorted(found)]


def filter_by(viewer, menu, item):
    """Choose an item of a menu of the episode list."""
    viewer.root.get_by_role("button", name=f"{menu}:").click()
    viewer.root.get_by_role("menuitemradio", name=item).click()


def test_the_list_of_episodes_is_sorted_filtered_and_leads_there_in_the_page(shown):
    notebook, viewer = shown
    page, root = viewer.page, viewer.root
    viewer.press("Home")
    before = notebook.settle()

    viewer.press("e")
    first = [
        (0, 0, "terminated"),
        (1, 0, "truncated"),
        (2, 0, "terminated"),
        (3, 0, "truncated"),
    ]
    assert_soon(lambda: names(viewer)[:4], first)
    page.wait_for_selector(".rv-thumb[data-key]:not([data-key=''])")
    root.get_by_role("button", name="return", exact=True).click()
    assert_soon(lambda: [line[0] for line in names(viewer)[:5]], [3] * 5)
    header = root.get_by_role("columnheader", name="return")
    expect(header).to_have_attribute("aria-sort", "descending")
    filter_by(viewer, "Outcome", "cut")
    cut_off = [(1, 6, "cut off"), (2, 5, "cut off")]
    assert_soon(lambda: sorted(names(viewer)), cut_off)
    filter_by(viewer, "Outcome", "any outcome")
    root.get_by_role("searchbox", name="Filter").fill("env 2 terminated")
    assert_soon(lambda: {line[0] for line in names(viewer)}, {2})
    assert notebook.num_comm_messages == before

    root.locator('[data-env="2"][data-episode="3"][role=row]:visible').click()
    viewer.wait("row", 21)
    page.keyboard.press("ArrowDown")
    viewer.wait("row", 28)
    selected = root.locator('.rv-tile[data-selected="true"]')
    expect(selected).to_have_attribute("data-env", "2")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.rv-tile').length === 1")

    with page.expect_download() as download:
        root.get_by_role("button", name="Save this list as CSV").click()
    text = download.value.path().read_text("utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    assert {line["name"] for line in lines} == {"env 2"}
    assert [line["total_reward"] for line in lines] == ["18"] * 5
    viewer.press("Escape")
    expect(root.locator(".rv-episodes")).to_be_hidden()


def assert_tiles_show(viewer, *places):
    """Compare the tiles with the recorded frames of these rows and envs."""
    film = counting_frames(40, 4, height=HEIGHT, width=WIDTH)
    expected = np.stack([film[row, env] for row, env in places])
    shown = lambda: viewer.pixels()[: len(places)]  # noqa: E731
    assert_soon(lambda: np.array_equal(shown(), expected), True)


def test_the_best_episodes_stand_side_by_side_from_their_starts(shown):
    notebook, viewer = shown
    page, root = viewer.page, viewer.root
    viewer.press("e")
    before = notebook.settle()

    root.get_by_role("spinbutton", name="How many").fill("4")
    root.get_by_role("button", name="Side by side").click()
    root.get_by_role("menuitem", name="Best 4").click()
    viewer.press("Home", "ArrowRight", "ArrowRight")
    viewer.wait("row", 2)

    # Those of env 3 have seven steps of reward 4: they begin every eight rows.
    assert_tiles_show(viewer, (2, 3), (10, 3), (18, 3), (26, 3))
    tile = root.locator(".rv-tile").nth(1)
    label = tile.locator(".rv-label")
    words = ["env", "3", "ep", "1", "step", "2"]
    assert_soon(lambda: label.inner_text().split(), words)
    viewer.press("End")
    viewer.wait("row", 7)
    assert_tiles_show(viewer, (7, 3), (15, 3), (23, 3), (31, 3))
    tile.click()
    viewer.press("ArrowLeft", "b")
    page.keyboard.type("in the second")
    page.keyboard.press("Enter")
    # the selection and the bookmark
    assert notebook.settle() > before
    root.get_by_role("button", name="Back to recorder rows").click()
    viewer.wait("row", 14)
    expected = "{14: 'in the second'} [{}, {}, {}, {}] [14]"
    assert told(notebook, expected) == expected


def test_aligned_by_episode_start_every_tile_begins_its_episodes_together(shown):
    notebook, viewer = shown
    root = viewer.root
    viewer.press("Home")
    before = notebook.settle()

    choose_in(root, "Arrangement", "By episode start")
    viewer.press("Shift+ArrowRight")
    viewer.wait("row", 10)
    # The longest first episode has eight rows: row 10 is the third of each second one.
    assert_tiles_show(viewer, (7, 0), (8, 1), (9, 2), (10, 3))
    viewer.press("ArrowRight", "ArrowRight", "ArrowRight")
    viewer.wait("row", 13)
    assert_tiles_show(viewer, (9, 0), (11, 1), (12, 2), (13, 3))
    badges = root.locator(".rv-badge:visible")
    expect(badges).to_have_text(["terminated", "truncated"])
    assert notebook.num_comm_messages == before

    choose_in(root, "Arrangement", "By row")
    viewer.wait("row", 9)


PAIR = """
import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

def record(reward, seeds, changed):
    frames = counting_frames(12, 2, height=48, width=64)
    frames[:, :, 5, 7] ^= changed
    cache = rv.FrameCache()
    for row in range(12):
        # Episodes of six rows.
        infos = {env: {"seed": seed} for env, seed in enumerate(seeds)}
        cache.append(
            frames[row],
            kind=["reset" if row % 6 == 0 else "step"] * 2,
            reward=[reward, 2 * reward],
            truncated=[row % 6 == 5] * 2,
            episode_info=infos if row % 6 == 0 else None,
        )
    return cache

before, after = record(1.0, [7, 8], 0), record(3.0, [8, 7], 1)
"""


def paired(viewer):
    """Return the rows of the table of returns, the means last."""
    tab = viewer.root.get_by_role("tab", name="Compare")
    if not tab.is_visible():
        viewer.press("e")  # unlike the inspector it asks the kernel nothing
    tab.click()
    rows = viewer.root.locator(".rv-paired :is(tbody, tfoot) tr")
    return [row.locator("th, td").all_inner_texts() for row in rows.all()]


def test_a_comparison_tells_differences_of_returns_and_of_pixels(lab):
    notebook = lab(PAIR, "rv.view({'before': before, 'after': after})")
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(12)
    root = viewer.root
    viewer.press("Home", "ArrowRight", "ArrowRight")
    viewer.wait("row", 2)
    before = notebook.settle()

    expected = [
        ["env 0", "2", "6", "+4"],
        ["env 1", "4", "12", "+8"],
        ["mean", "3", "9", "+6"],
    ]
    assert_soon(lambda: paired(viewer), expected)
    root.get_by_role("switch", name="Pixel difference").click()
    share = f"{100 / (48 * 64):.2f} %"
    assert_soon(lambda: [cells[-1] for cells in paired(viewer)], [share, share, ""])
    canvas = root.locator(".rv-difference")
    width, height, text = canvas.evaluate(PIXELS_JS)
    drawn = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
    assert not drawn[:48].any()  # the first line is shown as it is
    lower = drawn[48:, :64]
    assert (lower[..., 3] == 255).all()
    assert [tuple(place) for place in np.argwhere(lower[..., 0])] == [(5, 7)]

    # By seed, env 1 of one stands above env 0 of the other.
    choose_in(root, "Arrangement", "Compare by seed")
    viewer.press("Home", "ArrowRight")
    viewer.wait("row", 1)
    heads = root.locator(".rv-paired thead th")
    expect(heads).to_have_text(["return", "before", "after", "difference", "pixels"])
    expect(viewer.button("^arrangement: compare by seed")).to_have_count(1)
    expected = [
        ["seed 7", "1.00", "6.00", "+5.00"],
        ["seed 8", "2.00", "3.00", "+1.00"],
        ["mean", "1.50", "4.50", "+3.00"],
    ]
    assert_soon(lambda: [cells[:4] for cells in paired(viewer)], expected)
    assert notebook.num_comm_messages == before


SEGMENTS = """
import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

frames = counting_frames(12, 2, height=48, width=64)
cache = rv.FrameCache()
for number, name in enumerate(["step 0", "step 1000", "step 5000"]):
    with cache.segment(name, train_step=number):
        for step in range(4):
            cache.append(
                frames[4 * number + step],
                kind=["step" if step else "reset"] * 2,
                reward=[number, 1],
                terminated=[step == 3] * 2,
            )
"""


def test_segments_of_one_recording_are_compared_line_upon_line(lab):
    notebook = lab(SEGMENTS, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(12)
    root = viewer.root

    choose_in(root, "Arrangement", "Segments by env")
    viewer.press("End")
    viewer.wait("row", 3)

    expect(root.locator(".rv-frames")).to_have_attribute("data-columns", "2")
    table = [
        ["env 0", "0.00", "3.00", "+3.00", "6.00", "+6.00"],
        ["env 1", "3.00", "3.00", "0.00", "3.00", "0.00"],
        ["mean", "1.50", "3.00", "+1.50", "4.50", "+3.00"],
    ]
    assert_soon(lambda: paired(viewer), table)
    width, height, text = root.locator(".rv-frames").evaluate(PIXELS_JS)
    drawn = np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)
    film = counting_frames(12, 2, height=HEIGHT, width=WIDTH)
    expected = np.vstack([np.hstack(film[row]) for row in (3, 7, 11)])
    np.testing.assert_array_equal(drawn[..., :3], expected)


EVALUATED = """
import numpy as np
import rollout_viewer as rv

cache = rv.FrameCache()
for name, returns in {"before": [1, 2, 3], "after": [5, 1, 3]}.items():
    with cache.segment(name):
        for seed, total in enumerate(returns):
            frame = np.zeros((1, 12, 16, 3), np.uint8)
            cache.append(frame, reset=[True], episode_info={0: {"seed": seed}})
            cache.append(frame, reward=[total], terminated=[True])
result = rv.EvaluationResult.from_recordings(
    cache, success=lambda episode: episode.total_reward > 1
)
"""


def test_an_evaluation_begins_with_its_policies_below_each_other(lab):
    notebook = lab(EVALUATED, "result.viewer")
    notebook.run_all()
    viewer = Viewer(notebook)

    title = "Compared by seed: every tile starts its episodes together"
    expect(viewer.root.locator(".rv-arranged span")).to_have_text(title)
    expect(viewer.root.locator(".rv-frames")).to_have_attribute("data-columns", "3")
    # Its numbers come with a part that the kernel sends when the tab is opened.
    viewer.press("e")
    viewer.root.get_by_role("tab", name="Compare").click()
    found = viewer.root.get_by_role("region", name="after against before")
    expect(found).to_contain_text("Success")
    expect(found).to_contain_text("gained on 1, lost on 1")
    # Where a pair parts, the kernel is asked when it is looked at.
    strip = found.get_by_role("slider", name="Pairs by difference")
    strip.focus()
    for key in ("End", "Enter"):
        viewer.page.keyboard.press(key)
    text = "Seed 0: 1 \u2192 5 (+4), success gained. Pictures never part."
    expect(found.locator(".rv-readout")).to_have_text(text)


GROWING = """
import numpy as np
import rollout_viewer as rv
from rollout_viewer.testing import counting_frames

frames = counting_frames(40, 2, height=48, width=64)
cache = rv.FrameCache()

def record(count):
    for row in range(cache.num_rows, cache.num_rows + count):
        kind = ["step" if row % 8 else "reset"] * 2
        cache.append(frames[row], kind=kind, terminated=[row % 8 == 7] * 2)

record(12)
"""


def test_what_is_recorded_while_tiles_are_aligned_comes_in_when_asked_for(lab):
    notebook = lab(GROWING, SHOW, "record(20)")
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)
    viewer.wait_until_loaded(12)
    root = viewer.root

    choose_in(root, "Arrangement", "By episode start")
    viewer.press("e")
    root.get_by_text("4 episodes", exact=True).wait_for()
    notebook.run_cell(2)
    root.get_by_text("8 episodes", exact=True).wait_for()
    viewer.wait("numRows", 12)
    root.get_by_role("button", name="Take in 20 new rows").click()
    viewer.wait("numRows", 32)

    viewer.press("End")
    viewer.wait("row", 31)
    expect(root.get_by_role("button", name="Take in")).to_be_hidden()


MANY = """
import numpy as np
import rollout_viewer as rv

cache = rv.FrameCache()
rewards = np.random.default_rng(0).normal(size=(800, 64))
with cache.segment("eval", train_step=100):
    for row in range(800):
        kind = ["reset", "step"][row % 2]
        ends = np.full(64, row % 2 == 1)
        cache.append(None, kind=[kind] * 64, reward=rewards[row], terminated=ends)
"""


def test_many_thousand_episodes_are_listed_with_a_screen_of_elements(lab):
    notebook = lab(MANY, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait("numRows", 800)
    root = viewer.root

    viewer.press("e")
    root.get_by_text("25\u202f600 episodes", exact=True).wait_for()
    root.get_by_role("button", name="return", exact=True).click()
    scroller = root.get_by_role("grid", name="Episodes")
    scroller.evaluate("e => { e.scrollTop = e.scrollHeight }")
    last = root.locator('.rv-episode-row[data-place="25599"]')
    last.wait_for()

    assert root.locator(".rv-episode-row").count() < 40
    segment = last.locator(".rv-of-segment").get_by_text("eval")
    segment.wait_for(state="attached")
    expect(last.locator(".rv-of-labels")).to_have_text("train_step=100")
