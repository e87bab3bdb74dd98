"""What a frame is, from anything that environments return."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rollout_viewer import FrameCache
from rollout_viewer._errors import FrameError, RolloutViewerWarning
from rollout_viewer._frames.convert import as_frames, split_frames
from rollout_viewer._frames.grid import grid, grid_shape, missing_picture
from rollout_viewer._frames.transform import crop, resize, shrink


def picture(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


HWC = picture(20, 30, 3)
CHW = HWC.transpose(2, 0, 1)
GRAY = HWC[..., 0]
GRAY_AS_RGB = np.repeat(GRAY[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (HWC, HWC),
        (CHW, HWC),
        (HWC[None], HWC),
        (CHW[None], HWC),
        (GRAY, GRAY_AS_RGB),
        (GRAY[..., None], GRAY_AS_RGB),
        (GRAY[None], GRAY_AS_RGB),
        (GRAY[None, ..., None], GRAY_AS_RGB),
        ([HWC], HWC),
        ((CHW,), HWC),
        (np.array([HWC, None], object)[:1], HWC),
        (torch.from_numpy(HWC), HWC),
        (torch.from_numpy(CHW.copy()), HWC),
        ([torch.from_numpy(GRAY.copy())], GRAY_AS_RGB),
        (HWC[::-1, ::-1], HWC[::-1, ::-1]),
        (HWC / 255, HWC),
        ((HWC / 255).astype(np.float32), HWC),
        (torch.from_numpy(HWC).float() / 255, HWC),
        (torch.from_numpy(HWC).double()[None] / 255, HWC),
        (GRAY > 127, np.where(GRAY_AS_RGB > 127, 255, 0)),
        (torch.from_numpy(GRAY > 127), np.where(GRAY_AS_RGB > 127, 255, 0)),
        (GRAY.astype(float).tolist(), GRAY_AS_RGB),
        (HWC.astype(np.int64), HWC),
        (HWC.astype(np.uint16), HWC),
        (torch.from_numpy(HWC).int(), HWC),
        (HWC.astype(np.float64), HWC),
        (torch.from_numpy(HWC).half(), HWC),
        ([np.zeros_like(HWC, np.float32)[..., 0] + 1, HWC.astype(np.float32)], None),
    ],
)
@pytest.mark.filterwarnings("ignore:as_frames. expected floats")
def test_whatever_environments_return_becomes_rgb(images, expected):
    frames = as_frames(images)

    assert frames.dtype == np.uint8
    assert frames.flags.c_contiguous
    if expected is None:  # the dark one is in the range of the other
        expected = HWC
        assert frames[0].max() == 1
        frames = frames[1:]
    np.testing.assert_array_equal(frames, expected[None])


def test_a_batch_keeps_its_order():
    batch = picture(5, 20, 30, 3)

    for images in (batch, batch.transpose(0, 3, 1, 2), list(batch)):
        np.testing.assert_array_equal(as_frames(images), batch)
    np.testing.assert_array_equal(as_frames(batch[..., 1]), as_frames(batch[..., 1:2]))


def test_a_batch_that_is_right_already_is_not_copied():
    batch = picture(5, 20, 30, 3)

    assert as_frames(batch) is batch or np.shares_memory(as_frames(batch), batch)
    assert np.shares_memory(as_frames(torch.from_numpy(batch)), batch)


def test_splitting_shares_memory_also_with_views_and_tensors():
    batch = picture(4, 20, 30, 3)
    flipped = batch[:, ::-1]

    frames = split_frames(flipped)
    first = split_frames([torch.from_numpy(batch[0]), None, batch[2, ..., 0]])

    assert all(np.shares_memory(f, batch) for f in frames if f is not None)
    assert first[1] is None
    assert [f.shape for f in first if f is not None] == [(20, 30, 3), (20, 30, 3)]
    assert np.shares_memory(first[0], batch)
    assert np.shares_memory(first[2], batch)


def test_splitting_takes_unequal_sizes_and_stacking_refuses_them():
    images = [picture(20, 30, 3), picture(10, 12, 3)]

    assert [f.shape for f in split_frames(images)] == [(20, 30, 3), (10, 12, 3)]
    with pytest.raises(FrameError, match="images of one size"):
        as_frames(images)
    with pytest.raises(FrameError, match="at index 1, got None"):
        as_frames([images[0], None])


def test_alpha_is_dropped_with_one_warning():
    rgba = picture(20, 30, 4)

    with pytest.warns(RolloutViewerWarning, match="alpha is dropped") as warned:
        frames = [as_frames(rgba) for _ in range(3)]

    assert len(warned) == 1
    np.testing.assert_array_equal(frames[2][0], rgba[..., :3])


@given(
    value=st.floats(0, 1), dtype=st.sampled_from([np.float16, np.float32, np.float64])
)
def test_floats_are_rounded_as_round_255_x(value, dtype):
    image = np.full((6, 6), value, dtype)

    (frame,) = as_frames(image)

    exact = float(image[0, 0]) * 255
    assert abs(int(frame[0, 0, 0]) - exact) <= 0.5 + 1e-4
    assert (as_frames(torch.from_numpy(image)) == frame).all()


@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
def test_floats_a_little_outside_are_clipped(make):
    frames = as_frames(make([[-0.1, 1.2], [0.0, 1.0]]))

    np.testing.assert_array_equal(frames[0, ..., 0], [[0, 255], [0, 255]])


@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
def test_floats_above_two_are_in_0_to_255_with_a_warning(make):
    with pytest.warns(RolloutViewerWarning, match="they are read as 0..255"):
        frames = as_frames(make([[0.0, 250.4], [4.6, 5.0]]))

    np.testing.assert_array_equal(frames[0, ..., 0], [[0, 250], [5, 5]])


@pytest.mark.filterwarnings("ignore:as_frames. expected floats")
def test_a_dark_picture_is_in_the_range_of_those_before():
    bright, dark = np.full((6, 6, 3), 200.0), np.ones((6, 6, 3))
    with FrameCache() as cache, FrameCache() as other:
        for picture in (bright, dark):
            cache.append([picture])
        other.append([dark])

        assert cache[1, 0].max() == 1
        assert other[0, 0].min() == 255


@pytest.mark.parametrize("make", [np.asarray, torch.tensor])
def test_nan_is_refused(make):
    with pytest.raises(FrameError, match="got NaN"):
        as_frames(make([[0.0, float("nan")]]))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((6, 6), 256), "expected int64 in 0..255, got 256 to 256"),
        (np.full((6, 6), -1, np.int8), "expected int8 in 0..255, got -1 to -1"),
        (torch.full((6, 6), 300), "expected torch.int64 in 0..255, got 300 to 300"),
        (np.full((6, 6), 300.0), "in 0..255, got 300 to 300"),
        (np.full((6, 6), np.inf), "in 0..255, got inf to inf"),
        (np.full((6, 6), -100.0), "in 0..255, got -100 to -100"),
        (np.full((6, 6), 1j), "expected uint8, other integers, bool or float, got c"),
        (torch.full((6, 6), 1j), "expected uint8, other integers, bool or float, got"),
    ],
)
def test_values_out_of_range_are_refused_by_name(images, message):
    with pytest.raises(FrameError, match=message):
        as_frames(images)


@pytest.mark.parametrize("shape", [(3, 64, 3), (2, 4, 64, 3), (1, 20, 4)])
@pytest.mark.filterwarnings("ignore:as_frames. expected RGB, got RGBA")
def test_an_ambiguous_shape_asks_for_channels(shape):
    image = picture(*shape)

    with pytest.raises(FrameError, match=r"channels='first' or 'last'"):
        as_frames(image)

    assert as_frames(image, channels="last").shape[-3:-1] == shape[-3:-1]
    assert as_frames(image[..., :3], channels="last").dtype == np.uint8
    assert as_frames(image, channels="first").shape[-3:-1] == shape[-2:]


@pytest.mark.parametrize("shape", [(4, 84, 84), (2, 4, 84, 84)])
@pytest.mark.filterwarnings("ignore:as_frames. expected RGB, got RGBA")
def test_four_planes_are_refused_until_channels_is_given(shape):
    stack = picture(*shape)

    with pytest.raises(FrameError, match="RGBA images, or four gray ones"):
        as_frames(stack)

    assert as_frames(list(stack[-4:].reshape(-1, 84, 84))).shape[1:] == (84, 84, 3)
    assert as_frames(stack, channels="first").shape[1:] == (84, 84, 3)


@pytest.mark.parametrize(
    "images",
    [
        picture(12, 20, 30)[None],
        picture(2, 2, 20, 30, 3),
        picture(7),
        np.zeros((0, 20, 3), np.uint8),
        np.zeros((0, 20, 30, 3), np.uint8),
        [picture(5, 20, 30)],
        [],
        None,
        "picture.png",
        {"pixels": HWC},
        [[1.0, 0.0], [1.0]],
    ],
)
def test_what_is_no_picture_is_refused(images):
    with pytest.raises(FrameError):
        as_frames(images)


def test_an_unknown_channels_is_refused():
    with pytest.raises(ValueError, match="expected channels to be 'auto'"):
        as_frames(HWC, channels="middle")


# -- whole frames


def test_crop_takes_the_middle_or_a_corner_as_a_view():
    frame = picture(20, 30, 3)

    np.testing.assert_array_equal(crop(frame, (10, 10)), frame[5:15, 10:20])
    np.testing.assert_array_equal(crop(frame, (1, 2, 3, 4)), frame[1:4, 2:6])
    assert np.shares_memory(crop(frame, (10, 10)), frame)


@pytest.mark.parametrize("box", [(21, 10), (0, 10), (19, 0, 2, 2), (-1, 0, 5, 5)])
def test_a_crop_outside_of_the_frame_is_refused(box):
    with pytest.raises(FrameError, match="expected a box inside of 20 x 30"):
        crop(picture(20, 30, 3), box)


@pytest.mark.parametrize("factors", [(2, 2), (4, 5), (1, 3), (20, 30)])
def test_shrinking_by_whole_numbers_is_the_rounded_mean(factors):
    frame = picture(20, 30, 3)
    height, width = 20 // factors[0], 30 // factors[1]

    small = resize(frame[::-1], (height, width))

    boxes = frame[::-1].reshape(height, factors[0], width, factors[1], 3)
    np.testing.assert_allclose(small, boxes.astype(float).mean((1, 3)), atol=0.5)


def test_shrinking_cuts_off_what_is_no_whole_box():
    frame = picture(20, 30, 3)

    np.testing.assert_array_equal(shrink(frame, 3, 7), shrink(frame[:18, :28], 3, 7))
    assert shrink(frame, 40, 7).shape == (1, 4, 3)


def test_growing_by_whole_numbers_repeats_pixels():
    frame = picture(4, 5, 3)

    large = resize(frame, (8, 15))

    np.testing.assert_array_equal(large[::2, ::3], frame)
    np.testing.assert_array_equal(large[1::2, 2::3], frame)


def test_other_sizes_are_interpolated():
    flat = np.full((20, 30, 3), 77, np.uint8)

    resized = resize(flat[:, ::-1], (13, 47))

    assert resized.shape == (13, 47, 3)
    assert (resized == 77).all()
    assert resize(flat, (20, 30)) is flat
    with pytest.raises(FrameError, match="1 x 1 or more"):
        resize(flat, (0, 5))


@given(count=st.integers(1, 40), columns=st.one_of(st.none(), st.integers(1, 9)))
def test_a_grid_has_room_for_all_and_no_empty_row(count, columns):
    rows, found = grid_shape(count, columns)

    assert rows * found >= count > (rows - 1) * found
    assert columns in (None, found)


def test_a_grid_centres_frames_and_leaves_black():
    large, small = picture(20, 30, 3), picture(10, 10, 3)

    canvas = grid([large, small, None])

    assert canvas.shape == (40, 60, 3)
    np.testing.assert_array_equal(canvas[:20, :30], large)
    np.testing.assert_array_equal(canvas[5:15, 40:50], small)
    np.testing.assert_array_equal(canvas[20:, :30], missing_picture(20, 30))
    assert not canvas[:5, 30:].any()
    assert not canvas[20:, 30:].any()


def test_a_grid_is_drawn_into_the_array_that_is_given():
    frames = [picture(20, 30, 3, seed=n) for n in range(3)]
    out = np.full((20, 90, 3), 9, np.uint8)

    assert grid(frames, columns=3, out=out) is out
    np.testing.assert_array_equal(out[:, 60:], frames[2])
    with pytest.raises(FrameError, match="expected out as"):
        grid(frames, out=out)
    with pytest.raises(FrameError, match="at least one frame"):
        grid([None])


def test_a_missing_picture_is_hatched_and_cannot_be_drawn_on():
    picture = missing_picture(32, 48)

    assert picture.shape == (32, 48, 3)
    assert len(np.unique(picture)) == 2
    assert not picture.flags.writeable
