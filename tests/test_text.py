import numpy as np
import pytest

from rollout_viewer._frames.text import Lettering, paste


def test_a_text_is_white_on_black_and_as_large_as_asked():
    small, large = Lettering(10).draw("step 12"), Lettering(40).draw("step 12")

    assert small.dtype == np.uint8
    assert small.min() == 0
    assert small.max() > 240
    assert large.shape[0] > 2 * small.shape[0]
    assert large.shape[1] > 3 * small.shape[1]


def test_different_letters_look_different():
    text = Lettering(12)

    assert not np.array_equal(text.draw("1"), text.draw("7"))
    assert np.array_equal(text.draw("17"), text.draw("17"))


def test_a_text_may_be_empty_and_contain_any_letter():
    assert Lettering(12).draw("").shape[2] == 3
    assert Lettering(12).draw("äß→\u4f60").max() > 200


def test_lines_end_at_line_breaks():
    text = Lettering(12)

    assert text.draw("a\nb").shape[0] == text.draw("a").shape[0] + text.line_px


def test_a_line_that_is_too_wide_is_broken():
    text = Lettering(12)
    whole = text.draw("env 3  ep 1  step 20")

    broken = text.draw("env 3  ep 1  step 20", max_width=whole.shape[1] - 10)

    assert broken.shape[0] == whole.shape[0] + text.line_px
    assert broken.shape[1] < whole.shape[1]


@pytest.mark.parametrize("width", [1, 2, 7, 20])
def test_what_cannot_be_broken_is_cut_off(width):
    assert Lettering(12).draw("env", max_width=width).shape[1] <= width


def test_pasting_cuts_off_what_does_not_fit():
    frame = np.zeros((10, 10, 3), np.uint8)

    paste(np.full((5, 20, 3), 9, np.uint8), frame, 8, 4)

    assert (frame[8:, 4:] == 9).all()
    assert frame.sum() == 9 * 2 * 6 * 3
