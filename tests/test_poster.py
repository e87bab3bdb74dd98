"""What a notebook keeps of a viewer: HTML without scripts, a picture, a snapshot."""

import base64
import html
import html.parser
import re
import shlex
import tempfile
import warnings
from typing import Any

import bleach
import imageio.v3 as imageio
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._export.poster import poster_html
from rollout_viewer.testing import counting_frames, counting_recording

WIDGET = "application/vnd.jupyter.widget-view+json"
ATTRIBUTES = {"alt", "src", "align"}
GITHUB_TAGS = {
    "details",
    "summary",
    "p",
    "strong",
    "img",
    "code",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


class Poster(html.parser.HTMLParser):
    """The tags of a poster, and its text without them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.pictures = [], set(), "", []
        self.frames = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "iframe":
            self.frames.append(dict(attrs))
        if tag == "img":
            data = dict(attrs)["src"].removeprefix("data:image/png;base64,")
            self.pictures.append(imageio.imread(base64.b64decode(data)))

    def handle_data(self, data):
        self.text += data


def bundle_of(viewer):
    data, _ = viewer._repr_mimebundle_()
    viewer.close()
    return data


def failing(num_envs=1):
    """Return a recording of two finished episodes of env 0, the first with a label."""
    cache = rv.FrameCache()
    frames = counting_frames(12, num_envs, height=48, width=64)
    for row in range(12):
        cache.append(
            frames[row],
            reward=np.full(num_envs, 0.5),
            reset=np.full(num_envs, row in (0, 6)),
            terminated=np.full(num_envs, row == 5),
            truncated=np.full(num_envs, row == 11),
        )
    cache.label(cache.episodes[0], "failure", grasps=2)
    return cache


def test_a_poster_has_the_table_of_episodes_and_a_picture():
    data = bundle_of(rv.view(failing(), tag="reach"))

    poster = Poster(data["text/html"])
    assert list(data)[1] == WIDGET
    assert "reach: 12 rows, 1 env, 2 finished episodes" in poster.text
    assert "mean return of 2.5" in poster.text
    lines = [re.sub("<[^>]*>", "|", x) for x in data["text/html"].splitlines()]
    cells = [[cell for cell in line.split("|") if cell] for line in lines]
    assert ["0", "0", "0", "5", "2.5", "terminated", "failure, grasps=2"] in cells
    assert ["0", "1", "6", "5", "2.5", "truncated"] in cells
    assert len(poster.pictures) == 1


def test_a_poster_has_success_where_any_is_known():
    cache = failing()
    cache.mark_success(cache.episodes[1], True)

    text = poster_html(cache, 0, title="reach")

    assert "1 of 1 succeeded" in text
    assert "<th>Success</th>" in text
    assert "<td>truncated</td><td>yes</td>" in text


@pytest.mark.parametrize("rewards", [(np.inf, -np.inf), (1e308, 1e308)])
def test_a_poster_shows_returns_that_have_no_mean(rewards):
    cache = rv.FrameCache()
    for row in range(2):
        reward, is_last = np.array(rewards), np.full(2, row == 1)
        cache.append(None, reward=reward, reset=~is_last, terminated=is_last)

    text = poster_html(cache, 0, title="reach")  # without a warning

    assert re.search("2 finished episodes with a mean return of (nan|inf)", text)


def test_a_poster_needs_no_style_and_no_address():
    poster = Poster(bundle_of(rv.view(failing(4)))["text/html"])

    assert poster.attributes <= ATTRIBUTES
    assert not {"script", "style", "link", "iframe"} & set(poster.tags)


def test_few_envs_are_shown_at_rows_of_the_whole_recording():
    poster = Poster(poster_html(failing(2), 3, title="two"))

    # Six moments of 64x48, a line for each env, 2 pixels between.
    assert poster.pictures[0].shape == (2 * 48 + 2, 6 * 64 + 5 * 2, 3)
    assert "Rows 0, 2, 4, 7, 9, 11 of 12, from left to right" in poster.text
    expected = counting_frames(12, 2, height=48, width=64)
    np.testing.assert_array_equal(poster.pictures[0][50:98, 66:130], expected[2, 1])


def test_many_envs_are_shown_at_the_playhead():
    cache = counting_recording(5, 16)

    viewer = rv.view(cache)
    viewer.goto(3)
    poster = Poster(bundle_of(viewer)["text/html"])

    assert "Row 3 of 5." in poster.text
    height, width = cache.frame_size(0)
    tile = poster.pictures[0][height + 2 : 2 * height + 2, :width]
    np.testing.assert_array_equal(tile, cache[3, 4])


def test_a_poster_of_noise_and_of_many_episodes_stays_small():
    rng = np.random.default_rng(0)
    cache = rv.FrameCache()
    with cache.segment("<" * 10_000, **{"&" * 5_000: '"' * 5_000}):
        for row in range(80):
            if row % 16 == 0:
                frames = rng.integers(0, 256, (4, 300, 400, 3), np.uint8)
            cache.append(frames, reset=np.full(4, row % 2 == 0), reward=np.ones(4))

    text = poster_html(cache, 0, title="'" * 100_000, groups=[("&" * 9999, 0, 4)])

    assert len(text) < 300_000
    assert "and 140 more episodes" in text
    assert Poster(text).pictures[0].shape[1] > 200


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a\0b"])
def test_text_from_anywhere_is_shown_as_text(name, tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    with cache.segment(name, **{name: name}):
        cache.append(np.zeros((1, 16, 16, 3), np.uint8), reset=[True])

    poster = Poster(poster_html(cache, 0, title=name, groups=[(name, 0, 1)]))

    assert {"script"} & set(poster.tags) == set()
    assert poster.tags.count("img") == 1
    assert poster.text.count(name.replace("\0", "\ufffd")) >= 4


def test_a_poster_names_the_file_of_a_recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with rv.FrameCache("it's.rollout") as cache:
        cache.append(np.zeros((1, 16, 16, 3), np.uint8))

    text = Poster(poster_html(cache, 0, title="one")).text

    assert 'rv.view("it\'s.rollout") in a notebook' in text
    command = re.search("rollout-viewer view .*rollout'", text)
    assert command
    assert shlex.split(command[0]) == ["rollout-viewer", "view", "it's.rollout"]
    assert str(tmp_path) not in text


def test_a_temporary_recording_is_shown_live_by_its_cell_only():
    text = Poster(poster_html(counting_recording(2, 1), 0, title="one")).text

    assert text.endswith("To play it, run this cell.")


def test_step_data_without_pictures_is_a_table():
    cache = rv.FrameCache()
    cache.append(None, reward=[1.0, 2.0], reset=[True, True])

    poster = Poster(bundle_of(rv.view(cache))["text/html"])

    assert poster.pictures == []
    assert poster.tags.count("tr") == 3


def test_an_empty_recording_has_no_poster():
    assert "text/html" not in bundle_of(rv.view(rv.FrameCache()))


def test_a_poster_renders_nothing_that_was_left_for_later():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gymnasium as gym

        env = rv.record(gym.make("Pendulum-v1"), render="later")
    env.reset(seed=0)
    for _ in range(40):
        env.step(env.action_space.sample())
    env.cache.render(range(3), progress=False)

    text = poster_html(env.cache, 0, title="later")

    assert "Row 0 of 41." in text
    assert not env.cache.is_shown(40, 0)


def test_a_poster_is_what_a_sanitizer_leaves_of_it():
    # What GitHub's html-pipeline allows, and a picture as data.
    text = poster_html(failing(), 0, title="reach")

    allowed = {"tags": GITHUB_TAGS, "attributes": list(ATTRIBUTES)}
    cleaned = bleach.clean(text, **allowed, protocols=["data"])

    assert Poster(cleaned).tags == Poster(text).tags
    assert Poster(cleaned).text == Poster(text).text
    assert len(Poster(cleaned).pictures) == 1


def test_a_viewer_is_saved_as_a_page_where_that_is_asked_for():
    text = bundle_of(rv.view(failing(), save="page", title='"><b>'))["text/html"]

    poster = Poster(text)
    assert poster.tags[:3] == ["iframe", "details", "summary"]
    assert "b" not in poster.tags
    assert poster.frames[0]["sandbox"] == "allow-scripts allow-downloads"
    assert poster.frames[0]["srcdoc"].startswith("<!doctype html>")
    assert poster.tags.count("img") == 1


def test_a_page_of_a_name_that_is_no_text_can_be_saved():
    # As of a folder whose name is no UTF-8.
    text = bundle_of(rv.view(failing(), save="page", title="a\udcff"))["text/html"]

    text.encode()  # as a notebook's file needs it
    assert Poster(text).frames[0]["title"] == "a?"


def test_a_saved_page_begins_with_the_comparison_of_its_viewer():
    cache = rv.FrameCache()
    for name in ("a", "b"):
        with cache.segment(name, seed=7):
            cache.append(np.zeros((1, 8, 8, 3), np.uint8), reset=[True])

    viewer = rv.view(cache, save="page", compare_seeds=[7], compare_segments=["b", "a"])
    page = Poster(bundle_of(viewer)["text/html"]).frames[0]["srcdoc"]

    assert '"compare": {"lines": ["b", "a"], "seeds": ["7"]}' in page


def test_a_sanitizer_leaves_the_poster_of_a_saved_page():
    text = bundle_of(rv.view(failing(), save="page"))["text/html"]

    allowed = {"tags": GITHUB_TAGS, "attributes": list(ATTRIBUTES)}
    cleaned = bleach.clean(text, **allowed, protocols=["data"], strip=True)

    assert Poster(cleaned).tags == Poster(text).tags[1:]
    assert len(Poster(cleaned).pictures) == 1
    assert len(cleaned) < 10_000


def test_a_page_that_is_too_large_to_be_saved_is_the_poster():
    rng = np.random.default_rng(0)
    cache = rv.FrameCache()
    for _ in range(4):
        cache.append(rng.integers(0, 256, (1, 200, 200, 3), np.uint8))

    for limit in (0.5, 0.01):  # beyond it, and not even tried
        viewer = rv.view(cache, save="page", save_mb=limit)
        text = bundle_of(viewer)["text/html"]
        assert "iframe" not in Poster(text).tags
        assert f"pages of up to {limit} MB are (save_mb)" in text


def test_what_cannot_be_saved_does_not_hide_the_viewer(monkeypatch, tmp_path):
    viewer = rv.view(failing(), save="page")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))

    with pytest.warns(rv.RolloutViewerWarning, match="The viewer works"):
        data = bundle_of(viewer)

    assert WIDGET in data


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"save": "all"}, "save as one of"), ({"save_mb": 0}, "save_mb > 0, got 0")],
)
def test_what_cannot_be_saved_is_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        rv.view(failing(), **options)


def test_a_snapshot_shows_itself():
    viewer = rv.view(counting_recording(3, 1))

    snapshot: Any = viewer.snapshot()

    data = snapshot._repr_mimebundle_()
    shown = imageio.imread(base64.b64decode(data["image/png"]))
    np.testing.assert_array_equal(shown, viewer.cache[0, 0])
    assert data["text/plain"].startswith("array([[[")
    assert snapshot.dtype == np.uint8
    viewer.close()


def test_what_is_made_of_a_snapshot_is_a_plain_array():
    viewer = rv.view(counting_recording(3, 1))
    snapshot = viewer.snapshot()
    before = snapshot.tolist()

    made = [snapshot[:2], snapshot + 1, snapshot == 3, np.add(1, snapshot), -snapshot]
    made += [snapshot.mean(axis=0), np.concatenate([snapshot, snapshot])]
    snapshot += 1

    assert {type(one) for one in [*made, snapshot]} == {np.ndarray}
    assert snapshot.tolist() == (np.array(before, np.uint8) + 1).tolist()
    kept: Any = viewer.snapshot().astype(float)
    assert kept._repr_mimebundle_() is None
    viewer.close()


def test_what_is_shown_until_the_kernel_answers_is_not_sent_twice_in_full():
    noise = np.random.default_rng(0).integers(0, 256, (6, 4, 120, 120, 3), np.uint8)
    cache = rv.FrameCache()
    for frames in noise:
        cache.append(frames)
    viewer = rv.view(cache)

    saved = bundle_of(viewer)["text/html"]

    assert len(saved) > 150_000
    assert len(viewer._inside) < 30_000
    (small,) = Poster(viewer._inside).pictures
    (large,) = Poster(saved).pictures
    assert 40 < small.shape[1] < large.shape[1]
    assert Poster(saved).text in Poster(viewer._inside).text
    cache.close()


def test_a_saved_page_begins_where_its_viewer_is():
    viewer = rv.view(counting_recording(8, 2), save="page")
    viewer.goto(5, env=1)

    page = html.unescape(bundle_of(viewer)["text/html"])

    assert 'data-place="#row=5&amp;env=1"' in page


def test_a_page_that_was_chosen_is_what_is_shown_until_the_kernel_answers():
    viewer = rv.view(counting_recording(8, 2), save="page")

    saved = bundle_of(viewer)["text/html"]

    assert viewer._inside.endswith(saved)
