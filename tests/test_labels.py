import numpy as np
import pytest

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._export.labels import Labels, _Texts
from rollout_viewer._frames.text import Lettering
from rollout_viewer.testing import counting_recording


def recording(num_rows=6):
    cache = FrameCache()
    for row in range(num_rows):
        cache.append(
            np.full((2, 60, 400, 3), 255, np.uint8),
            reset=[row in (0, 4), row == 0],
            reward=[1.0, 0.25],
            terminated=[row == 3, False],
            action=[row, 2 * row],
        )
    return cache


def test_the_usual_text_says_what_is_known_of_each_env():
    texts = _Texts(recording().clip())

    assert texts.of_row(0) == [
        "env 0  ep 0  step 0  total 0  action 1",
        "env 1  ep 0  step 0  total 0  action 2",
    ]
    assert texts.of_row(3) == [
        "env 0  ep 0  step 3  total 3",  # its end: no action was chosen
        "env 1  ep 0  step 3  total 0.75  action 8",
    ]
    assert texts.of_row(5)[0] == "env 0  ep 1  step 1  total 1"


def test_the_usual_text_is_of_the_clips_rows_and_envs_in_their_order():
    clip = recording().clip(2, 5, envs=[1, 0])

    assert [text[:18] for text in _Texts(clip).of_row(4)] == [
        "env 1  ep 0  step ",
        "env 0  ep 1  step ",
    ]


def test_rows_may_be_asked_for_in_any_order_and_beyond_a_window():
    texts = _Texts(counting_recording(600).clip())

    steps = [texts.of_row(row)[0].split("  ")[2] for row in (0, 599, 3, 256, 255)]

    assert steps == ["step 0", "step 599", "step 3", "step 256", "step 255"]


def test_actions_of_many_numbers_are_left_out():
    cache = FrameCache()
    for size in (4, 5):
        cache = FrameCache()
        for _ in range(2):
            cache.append(np.zeros((1, 8, 8, 3), np.uint8), action=np.ones((1, size)))
        has_action = "action 1 1 1 1" in _Texts(cache.clip()).of_row(0)[0]
        assert has_action is (size == 4)


def test_a_label_stands_in_the_corner_of_its_tile():
    clip = recording().clip()
    frame = next(clip.frames())

    drawn = Labels(clip).draw(frame.copy(), 0)

    text = Lettering(3).draw("env 1  ep 0  step 0  total 0  action 2", 400)
    height, width = text.shape[:2]
    assert np.array_equal(drawn[:height, 400 : 400 + width], text)
    assert (drawn[height:] == 255).all()
    assert (drawn[:, 400 + width :] == 255).all()


def test_own_text_is_what_a_function_makes_of_a_moment():
    clip = recording().clip()
    seen = []

    def text(moment):
        seen.append((moment.row, moment.env, moment.total_reward))
        return moment.episode  # a number will do

    Labels(clip, text).draw(next(clip.frames()), 3)

    assert seen == [(3, 0, 3.0), (3, 1, 0.75)]


def test_a_frame_that_is_read_only_is_copied():
    clip = recording().clip()
    frame = next(clip.frames())
    frame.flags.writeable = False

    drawn = Labels(clip).draw(frame, 0)

    assert drawn is not frame
    assert (frame == 255).all()


def test_an_error_in_own_text_names_the_row_and_leaves_nothing(tmp_path):
    from rollout_viewer._errors import ExportError

    def text(moment):
        if moment.row == 3:
            raise KeyError("value")
        return "x"

    with pytest.raises(ExportError, match="write row 3 .* KeyError: 'value'"):
        recording().clip().write(tmp_path / "a.mp4", labels=text)

    assert list(tmp_path.iterdir()) == []


def test_labels_that_are_no_function_are_refused(tmp_path):
    with pytest.raises(TypeError, match="expected labels to be True, False or a func"):
        recording().clip().write(tmp_path / "a.mp4", labels="env")


def test_letters_are_drawn_once_for_all_labels():
    clip = counting_recording(100, num_envs=4).clip()
    labels = Labels(clip)
    frame = np.zeros((*clip.frame_size, 3), np.uint8)

    for row in range(100):
        labels.draw(frame, row)

    # Pillow takes 1 ms for a text, which is 8 s for the labels of 500 rows of 16 envs
    assert set(labels._lettering._letters) == set("env stpoalc0123456789i")
