"""How people look at a recording in a real JupyterLab: inspector, traces, zoom."""

import numpy as np
import pytest
from test_lab_viewer import Viewer

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
    panel = viewer.root.get_by_role("complementary", name="Inspector")
    panel.locator("[data-name=obs]").wait_for()

    facts = dict(
        zip(
            panel.locator("dt").all_inner_texts(),
            panel.locator("dd").all_inner_texts(),
            strict=True,
        )
    )
    shown_obs = panel.locator("[data-name=obs] li output").all_inner_texts()
    recorded = [float(x) for x in notebook.text(2).strip(" []\n").split(",")]

    assert panel.locator("b").first.inner_text() == "env 2"
    expected = {"row": "101", "episode": "1", "step": "1", "segment": "after"}
    assert expected.items() <= facts.items()
    np.testing.assert_allclose([*map(number, shown_obs)], recorded, atol=6e-4)
    action = panel.locator("[data-name=action] output").inner_text()
    assert action in ("0 NOOP", "1 FIRE")


def test_inspector_asks_once_and_never_while_it_plays_on(shown):
    notebook, viewer = shown
    viewer.press("Home", "Shift+I", "n")
    panel = viewer.root.locator(".rv-inspector[data-state=there]")
    panel.wait_for()
    before = notebook.num_comm_messages

    viewer.scrub(0.2, 0.9, 0.4)
    viewer.press("Home", "Space")
    viewer.wait("row", NUM_ROWS - 1)

    assert panel.get_attribute("data-row") == str(NUM_ROWS - 1)
    assert notebook.num_comm_messages == before


def test_inspector_button_tells_whether_it_is_open(shown):
    _, viewer = shown
    button = viewer.root.get_by_role("button", name="Inspector", exact=True)

    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    viewer.root.get_by_role("button", name="Close inspector").click()

    assert button.get_attribute("aria-pressed") == "false"
    assert viewer.root.locator(".rv-inspector").is_hidden()
