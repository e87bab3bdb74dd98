"""VideoRecorder beside TorchRL's: the same calls, the same frames, counts and files.

What differs on purpose stands in the tests named ``test_differs_...``, each with what
TorchRL's does today (torchrl 0.14.1).
"""

import inspect
import pickle

import pytest
import torch
from tensordict import TensorDict

import rollout_viewer as rv

pytest.importorskip("torchrl", reason="the original to compare with")
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import (
    Compose,
    GymWrapper,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    check_env_specs,
)
from torchrl.record import CSVLogger as TorchRLCSVLogger
from torchrl.record import VideoRecorder as TorchRLVideoRecorder

from rollout_viewer.sources.torchrl.video_recorder import VideoRecorder
from tests.small_poles import small_cartpole

pytestmark = pytest.mark.slow  # beside the originals: not for every edit

BOTH = pytest.mark.parametrize(
    "make", [TorchRLVideoRecorder, VideoRecorder], ids=["torchrl", "ours"]
)


class Frames:
    """A logger of few demands: keeps what it was handed."""

    def __init__(self):
        self.calls = []

    def log_video(self, name, video, step=None, **kwargs):
        self.calls.append((name, video, step, kwargs))


def cartpole():
    return GymWrapper(small_cartpole(), from_pixels=True, pixels_only=False)


def play(env, steps, seed=0):
    env.set_seed(seed)
    torch.manual_seed(seed)
    return env.rollout(steps, break_when_any_done=False)


def both(base=cartpole, steps=10, **options):
    """Return TorchRL's recorder and ours after the same rollout, and their data."""
    recorders, data = [], []
    for make in (TorchRLVideoRecorder, VideoRecorder):
        recorder = make(Frames(), "tag", **options)
        env = TransformedEnv(base(), recorder)
        data.append(play(env, steps))
        env.close()
        recorders.append(recorder)
    return *recorders, *data


def assert_same_frames(theirs, ours):
    assert len(theirs.obs) == len(ours.obs)
    for one, other in zip(theirs.obs, ours.obs, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def four_poles():
    return SerialEnv(4, cartpole)


def cells_of(frame, count):
    """Return a grid's cells, (count, 3, H, W)."""
    side = 2 if count == 4 else 1
    height, width = (length // side for length in frame.shape[1:])
    cells = frame.reshape(3, side, height, side, width).permute(1, 3, 0, 2, 4)
    return cells.reshape(count, 3, height, width)


# -- the same


def test_signature_begins_as_torchrls():
    theirs = list(inspect.signature(TorchRLVideoRecorder.__init__).parameters.items())
    ours = inspect.signature(VideoRecorder.__init__).parameters

    for (name, parameter), our in zip(theirs[:-1], ours.items(), strict=False):
        assert (name, parameter.default) == (our[0], our[1].default)


def test_it_is_one_of_torchrls():
    assert issubclass(rv.VideoRecorder, TorchRLVideoRecorder)


@pytest.mark.parametrize("skip", [None, 1, 2, 3])
def test_frames_and_count_of_a_single_env(skip):
    theirs, ours, their_data, our_data = both(skip=skip, steps=40)

    assert_same_frames(theirs, ours)
    assert (theirs.count, theirs.skip) == (ours.count, ours.skip)
    assert (their_data == our_data).all()


@pytest.mark.parametrize("make_grid", [None, True, False])
def test_frames_and_count_of_a_batch_with_partial_resets(make_grid):
    theirs, ours, _, _ = both(four_poles, steps=16, make_grid=make_grid)

    assert len(ours.obs) == len(theirs.obs)
    kinds = ours.cache.scalars["kind"]
    assert 0 < (kinds == "idle").any(axis=1).sum() < len(kinds)
    for index, (one, other) in enumerate(zip(theirs.obs, ours.obs, strict=True)):
        row, cells = (index, 4) if ours.make_grid else (index // 4, 1)
        moved = kinds[row] != "idle"
        if cells == 1:
            moved = moved[index % 4 : index % 4 + 1]
        their_cells, our_cells = cells_of(one, cells), cells_of(other, cells)
        assert torch.equal(their_cells[moved], our_cells[moved])
    assert (theirs.count, theirs.make_grid) == (ours.count, ours.make_grid)


@pytest.mark.parametrize("make_grid", [True, False])
def test_max_frames_keeps_the_oldest(make_grid):
    theirs, ours, _, _ = both(four_poles, steps=10, make_grid=make_grid, max_frames=6)

    assert len(ours.obs) == 6
    assert_same_frames(theirs, ours)


@pytest.mark.parametrize("suffix", [None, "end"])
@pytest.mark.parametrize("step", [None, 7])
def test_dump_hands_the_logger_the_same(suffix, step):
    theirs, ours, _, _ = both(skip=2, steps=40, fps=12, options={"crf": "20"})

    theirs.dump(suffix=suffix, step=step)
    ours.dump(suffix=suffix, step=step)

    (one,), (other,) = theirs.logger.calls, ours.logger.calls
    assert one[0] == other[0]
    assert torch.equal(one[1], other[1])
    assert one[2:] == other[2:]
    assert len(ours.obs) == ours.count == 0
    assert (theirs.iter, ours.iter) == (1, 1)


def test_dump_without_frames_logs_nothing_and_counts():
    for recorder in (TorchRLVideoRecorder(Frames(), "a"), VideoRecorder(Frames(), "a")):
        recorder.dump()

        assert recorder.logger.calls == []
        assert recorder.iter == 1


def test_dump_on_done_dumps_when_all_ended():
    theirs, ours, _, _ = both(skip=1, steps=40, dump_on_done=True)

    assert len(ours.logger.calls) == len(theirs.logger.calls) > 0
    for one, other in zip(theirs.logger.calls, ours.logger.calls, strict=True):
        assert torch.equal(one[1], other[1])
        assert one[2] == other[2]


@BOTH
def test_files_of_a_csv_logger_have_the_same_names(make, tmp_path):
    recorder = make(TorchRLCSVLogger("exp", str(tmp_path), video_format="pt"), "tag")
    env = TransformedEnv(cartpole(), recorder)
    play(env, 5)

    env.transform.dump()
    play(env, 5)
    env.transform.dump(suffix="b")

    files = sorted(p.name for p in (tmp_path / "exp" / "videos").iterdir())
    assert files == ["tag_0.pt", "tag_b_1.pt"]


def test_our_csv_logger_writes_the_frames_of_torchrls(tmp_path):
    frames = []
    for make, logger in (
        (TorchRLVideoRecorder, TorchRLCSVLogger("a", str(tmp_path), video_format="pt")),
        (VideoRecorder, rv.CSVLogger("b", tmp_path, video_format="pt")),
    ):
        env = TransformedEnv(cartpole(), make(logger, "tag"))
        play(env, 60)  # with ends that skip leaves out
        env.transform.dump()
        path = tmp_path / logger.exp_name / "videos" / "tag_0.pt"
        frames.append(torch.load(path))

    assert torch.equal(*frames)


@BOTH
def test_compose_forwards_dump(make):
    recorder = make(Frames(), "tag")
    env = TransformedEnv(cartpole(), Compose(StepCounter(), recorder))
    play(env, 5)

    env.transform.dump(step=3)

    assert recorder.logger.calls[0][2] == 3


@BOTH
@pytest.mark.parametrize(
    "shape",
    [
        (64, 48, 3),
        (3, 64, 48),
        (1, 64, 48),
        (64, 48, 1),
        (3, 3, 3),
        (5, 64, 48, 3),
        (5, 3, 64, 48),
        (2, 5, 64, 48, 3),
    ],
)
def test_shapes_that_torchrl_takes(make, shape):
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    expected = TorchRLVideoRecorder(None, None)
    expected._apply_transform(picture)

    recorder = make(None, None)
    result = recorder._apply_transform(picture)

    assert result is picture
    assert_same_frames(expected, recorder)


@BOTH
def test_shape_that_is_no_picture_is_refused(make):
    with pytest.raises(RuntimeError, match="Invalid observation shape, got:"):
        make(None, None)._apply_transform(torch.zeros(8, 8, 8, dtype=torch.uint8))


@BOTH
def test_missing_key_is_refused(make):
    env = TransformedEnv(cartpole(), make(None, "a", in_keys=["other"]))

    with pytest.raises(KeyError, match="'other' not found in tensordict"):
        env.reset()


@BOTH
def test_max_frames_has_to_be_positive(make):
    with pytest.raises(ValueError, match="max_frames must be a positive integer"):
        make(None, None, max_frames=0)


@BOTH
def test_a_service_gives_its_client(make):
    class Service:
        def client(self):
            return "the client"

    assert make(Service(), "a").logger == "the client"


@BOTH
def test_names_that_scripts_read(make):
    recorder = make("logger", "tag", fps=5, format="gif", center_crop=None)

    assert recorder.in_keys == recorder.out_keys == ["pixels"]
    assert (recorder.count, recorder.iter, recorder.skip) == (0, 0, 1)
    assert recorder.video_kwargs == {"fps": 5, "format": "gif"}
    assert (recorder.tag, recorder.logger, recorder.max_frames) == (
        "tag",
        "logger",
        None,
    )
    assert recorder.make_grid is False
    assert recorder.dump_on_done is False
    assert recorder.center_crop is None
    assert recorder.state_dict() == {}
    assert repr(recorder) == "VideoRecorder(keys=['pixels'])"


@BOTH
def test_a_str_is_one_key(make):
    assert make(None, None, in_keys="pixels").in_keys == ["pixels"]


@BOTH
def test_animation_takes_the_frames_and_can_empty_the_list_in_place(make):
    recorder = make(None, None)
    for level in (0, 255):
        recorder._apply_transform(torch.full((3, 8, 8), level, dtype=torch.uint8))
    buffer = recorder.obs

    animation = recorder.to_animation(title="two", clear=True)

    assert len(list(animation.new_frame_seq())) == 2
    animation._draw_was_started = True  # nobody shows it
    assert recorder.obs is buffer
    assert len(recorder.obs) == recorder.count == 0


@BOTH
def test_animation_of_nothing_is_refused(make):
    with pytest.raises(RuntimeError, match="at least one recorded frame"):
        make(None, None).to_animation()


@BOTH
def test_a_transform_with_a_parent_is_refused_by_a_second_env(make):
    recorder = make(None, "a")
    env = TransformedEnv(cartpole(), recorder)

    with pytest.raises(AttributeError, match="already set"):
        TransformedEnv(cartpole(), recorder)
    other = TransformedEnv(cartpole(), recorder.clone())

    assert other.transform is not env.transform


@BOTH
def test_parents_and_slices_of_a_compose(make):
    env = TransformedEnv(cartpole(), StepCounter())
    env.append_transform(recorder := make(None, "a"))

    assert env.transform[-1] is recorder
    assert recorder.parent is not None
    assert isinstance(env.transform[-2:][1], TorchRLVideoRecorder)
    assert env.transform[-2:][1] is not recorder


@BOTH
def test_worker_warning_is_logged(make, monkeypatch):
    said = []
    monkeypatch.setattr(
        "torchrl.record.recorder.torchrl_logger.warning", lambda text: said.append(text)
    )

    make(None, "a")._check_batched_worker_compat()

    assert "VideoRecorder" in said[0]


@BOTH
def test_specs_hold(make):
    env = TransformedEnv(cartpole(), make(None, "a"))

    check_env_specs(env)


@BOTH
def test_pickled_recorder_keeps_its_configuration(make):
    recorder = make(None, "tag", skip=3, fps=7, max_frames=9, center_crop=None)

    copy = pickle.loads(pickle.dumps(recorder))

    assert (copy.tag, copy.skip, copy.max_frames) == ("tag", 3, 9)
    assert copy.video_kwargs == {"fps": 7}


@pytest.mark.parametrize("skip", [1, 2])
def test_batches_of_a_replay_buffer_give_the_same_frames(skip):
    data = TensorDict(
        {"pixels": torch.randint(256, (20, 16, 16, 3), dtype=torch.uint8)}, [20]
    )
    recorders = []
    for make in (TorchRLVideoRecorder, VideoRecorder):
        recorder = make(None, "a", skip=skip)
        buffer = TensorDictReplayBuffer(
            storage=LazyTensorStorage(20), batch_size=5, transform=recorder
        )
        torch.manual_seed(0)
        buffer.extend(data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)
            for _ in range(3):
                buffer.sample()
        recorders.append(recorder)

    assert_same_frames(*recorders)


# -- differs on purpose


def test_differs_dump_keeps_the_frames_in_the_cache():
    _, ours, _, _ = both(skip=1, steps=5)
    num_rows = ours.cache.num_rows

    ours.dump()

    assert len(ours.obs) == 0
    assert ours.cache.num_rows == num_rows


def test_differs_partial_reset_repeats_the_pictures_of_the_others():
    theirs, ours, _, _ = both(four_poles, steps=30)
    kinds = ours.cache.scalars["kind"]
    row = next(r for r in range(len(kinds)) if "idle" in kinds[r])
    env = list(kinds[row]).index("idle")

    their_cells = [cells_of(theirs.obs[r], 4)[env] for r in (row - 1, row)]
    our_cells = [cells_of(ours.obs[r], 4)[env] for r in (row - 1, row)]

    assert torch.equal(*our_cells)
    assert not torch.equal(*their_cells)


def test_differs_failing_logger_loses_nothing():
    class Full:
        def log_video(self, **kwargs):
            raise OSError("disk full")

    for make, kept in ((TorchRLVideoRecorder, 0), (VideoRecorder, 1)):
        recorder = make(Full(), "a")
        recorder._apply_transform(torch.zeros(3, 8, 8, dtype=torch.uint8))

        with pytest.raises(OSError, match="disk full"):
            recorder.dump()

        assert len(recorder.obs) == kept
        assert recorder.iter == 0


@pytest.mark.parametrize(
    ("value", "theirs", "ours"),
    [
        (torch.full((3, 8, 8), 0.9), 0, 230),
        (torch.full((3, 8, 8), 300, dtype=torch.int16), 44, 255),
        (torch.full((3, 8, 8), -1, dtype=torch.int16), 255, 0),
        (torch.ones((3, 8, 8), dtype=torch.bool), 1, 255),
    ],
)
def test_differs_values_are_scaled_and_clipped(value, theirs, ours):
    for make, expected in ((TorchRLVideoRecorder, theirs), (VideoRecorder, ours)):
        recorder = make(None, None)

        recorder._apply_transform(value)

        assert recorder.obs[0].unique().tolist() == [expected]


def test_differs_gray_frames_are_copied_and_have_three_channels():
    seen = []
    for make in (TorchRLVideoRecorder, VideoRecorder):
        recorder, picture = make(None, None), torch.zeros(8, 8, dtype=torch.uint8)
        recorder._apply_transform(picture)
        picture.fill_(7)
        seen.append((int(recorder.obs[0].max()), recorder.obs[0].shape[0]))

    assert seen == [(7, 1), (0, 3)]


def test_differs_several_keys_are_several_cameras():
    td = TensorDict({"a": torch.zeros(3, 8, 8), "b": torch.ones(3, 16, 16)})
    logger = Frames()
    ours = VideoRecorder(logger, "tag", in_keys=["a", "b"], skip=2)
    for _ in range(4):
        ours._call(td.clone())

    ours.dump()

    assert ours.cache.cameras == ["a", "b"]
    assert [(name, tuple(video.shape)) for name, video, _, _ in logger.calls] == [
        ("tag", (1, 2, 3, 8, 8)),
        ("tag_b", (1, 2, 3, 16, 16)),
    ]


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((64, 48, 4), (64, 48)),
        ((4, 64, 48), (64, 48)),
        ((12, 64, 48), (64, 48)),
        ((64, 48, 9), (64, 48)),
    ],
)
def test_differs_rgba_and_frame_stacks_are_recorded(shape, size):
    picture = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(RuntimeError):
        TorchRLVideoRecorder(None, None)._apply_transform(picture)
    recorder = VideoRecorder(None, None)

    recorder._apply_transform(picture)

    assert recorder.obs[0].shape == (3, *size)


def test_differs_clone_has_a_mark_of_its_own():
    recorder = VideoRecorder(Frames(), "a")
    recorder._apply_transform(torch.zeros(3, 8, 8, dtype=torch.uint8))
    clone = recorder.clone()
    recorder._apply_transform(torch.zeros(3, 8, 8, dtype=torch.uint8))

    clone.dump()

    assert clone.cache is recorder.cache
    assert clone.logger.calls[0][1].shape[1] == 1
    assert (len(recorder.obs), len(clone.obs)) == (2, 0)


@pytest.mark.parametrize(("height", "width", "side"), [(10, 12, 20), (11, 9, 4)])
def test_differs_center_crop_needs_no_torchvision(height, width, side):
    picture = torch.full((3, height, width), 9, dtype=torch.uint8)
    recorder = VideoRecorder(None, None, center_crop=side)

    recorder._apply_transform(picture)

    assert recorder.obs[0].shape == (3, side, side)
    assert int(recorder.obs[0].eq(9).sum()) == 3 * min(side, height) * min(side, width)


@pytest.mark.parametrize("skip", [0, -1, True, 1.5])
def test_differs_skip_is_checked_at_once(skip):
    with pytest.raises(ValueError, match="expected skip to be 1 or more"):
        VideoRecorder(None, None, skip=skip)


def test_differs_skip_follows_the_env_after_it_was_read():
    theirs, ours = TorchRLVideoRecorder(None, None), VideoRecorder(None, None)
    for recorder in (theirs, ours):
        assert (recorder.skip, recorder.make_grid) == (1, False)
        TransformedEnv(cartpole(), recorder)

    env = TransformedEnv(cartpole(), ours2 := VideoRecorder(None, None))
    assert (theirs.skip, theirs.make_grid) == (1, False)
    assert (ours2.skip, ours2.make_grid) == (2, True)
    env.close()


def test_differs_pickled_recorder_is_empty():
    _, ours, _, _ = both(skip=1, steps=3)

    copy = pickle.loads(pickle.dumps(VideoRecorder(None, "a")))
    ours.reset_parent()
    full = pickle.loads(pickle.dumps(ours))

    assert len(copy.obs) == len(full.obs) == full.count == full.cache.num_rows == 0


def test_differs_obs_reads_like_a_list_but_is_decoded_when_asked():
    theirs, ours, _, _ = both(skip=1, steps=4)

    assert ours.obs == theirs.obs
    assert torch.equal(torch.stack(list(ours.obs)), torch.stack(theirs.obs))
    assert torch.equal(ours.obs[-1], theirs.obs[-1])
    assert len(ours.obs[1:3]) == 2
    with pytest.raises(IndexError):
        ours.obs[99]
    with pytest.raises(ValueError, match="can only be emptied"):
        ours.obs = theirs.obs
    ours.obs = []
    assert len(ours.obs) == 0


def test_differs_out_keys_are_in_the_specs():
    env = TransformedEnv(cartpole(), VideoRecorder(None, "a", out_keys=["shown"]))

    check_env_specs(env)

    assert "shown" in env.rollout(2)
