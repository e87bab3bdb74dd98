"""Gymnasium's recorders and ours side by side, on the same seeded environments.

What differs on purpose:

- Frames: ours has each once and in order, the original repeats and loses some.
- Files: a JSON lies beside each video, and <name_prefix>.rollout beside them all.
- A run does not overwrite an earlier one's videos, unless overwrite=True.
- SAME_STEP: the last picture of an episode is there where final_obs is it.
- Gray, float, unequal and odd-sized pictures work.
- A frame of another size is fitted into the video, with a warning.
- render() of a vector env adds nothing to the video.
- fps must be positive; the spec of the vector class keeps all arguments.
- An env that was not closed, or died, loses nothing: see test_record_video.py.
"""

import doctest
import importlib
import inspect
import pathlib
import re
import warnings
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordVideo as Original
from gymnasium.wrappers.vector import RecordVideo as VectorOriginal

import rollout_viewer as rv
from rollout_viewer._video import read_video
from rollout_viewer.testing import CountingEnv, counting_frame, read_count
from tests.small_poles import small_cartpole

pytestmark = pytest.mark.slow  # beside the originals: not for every edit


class Run(NamedTuple):
    """What one recorder left."""

    videos: dict[str, list[Any]]  # name -> frames, of the original before moviepy
    said: list[str]
    folder: pathlib.Path


def run(original: Any, make_env: Any, play: Any, folder: Any, **options: Any) -> Run:
    """Play with Gymnasium's recorder, and note what it hands to moviepy."""
    handed = {}

    class Noting(original):  # any of the two
        def stop_recording(self):
            if self.recorded_frames:
                handed[f"{self._video_name}.mp4"] = list(self.recorded_frames)
            super().stop_recording()

    said = played(lambda: Noting(make_env(), str(folder), **options), play, folder)
    assert sorted(handed) == sorted(path.name for path in folder.glob("*.mp4"))
    return Run(handed, said, folder)


def run_ours(make_env: Any, play: Any, folder: Any, **options: Any) -> Run:
    def make():
        return rv.RecordVideo(make_env(), str(folder), **options)

    said = played(make, play, folder)
    paths = sorted(folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime_ns)
    return Run({path.name: list(read_video(path)) for path in paths}, said, folder)


def played(make: Any, play: Any, folder: pathlib.Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = make()
        play(env)
        env.close()
    # moviepy leaves files open, and says what it deprecates
    others = (ResourceWarning, DeprecationWarning)
    return [
        re.sub(r"\x1b\[\d+m", "", str(w.message)).replace(str(folder), "FOLDER")
        for w in caught
        if not issubclass(w.category, others)
    ]


def both(original: Any, make_env: Any, play: Any, tmp_path: Any, **options: Any):
    theirs = run(original, make_env, play, tmp_path / "a", **options)
    ours = run_ours(make_env, play, tmp_path / "b", **options)
    return theirs, ours


def same(theirs: Run, ours: Run) -> None:
    """Names and their order, frames and their order, warnings and theirs."""
    assert list(ours.videos) == list(theirs.videos)
    for name, frames in theirs.videos.items():
        assert len(ours.videos[name]) == len(frames), name
        for mine, frame in zip(ours.videos[name], frames, strict=True):
            # H.264 in 4:2:0 is not exact; another frame would be far off.
            assert off(mine, frame) < 4, name
    assert ours.said == theirs.said


def off(mine: Any, frame: Any) -> float:
    height, width = frame.shape[:2]
    return float(np.abs(mine[:height, :width].astype(int) - frame).mean())


def episodes(count: int, length: int | None = None, seed: int = 0) -> Any:
    def play(env: Any) -> None:
        for episode in range(count):
            env.reset(seed=seed + episode)
            env.action_space.seed(seed + episode)
            steps, is_over = 0, False
            while not is_over and (length is None or steps < length):
                _, _, terminated, truncated, _ = env.step(env.action_space.sample())
                is_over, steps = terminated or truncated, steps + 1

    return play


def steps(count: int) -> Any:
    def play(envs: Any) -> None:
        envs.reset(seed=0)
        envs.action_space.seed(0)
        for _ in range(count):
            envs.step(envs.action_space.sample())

    return play


def counting(*lengths: int, **options: Any) -> Any:
    return lambda: CountingEnv(lengths or (5,), **options)


TRIGGERS: dict[str, dict[str, Any]] = {
    "no trigger": {},
    "episodes": {"episode_trigger": lambda episode: episode % 2 == 1},
    "steps": {"step_trigger": lambda step: step % 4 == 0},
    "steps of a length": {"step_trigger": lambda s: s % 7 == 3, "video_length": 3},
    "both": {
        "episode_trigger": lambda episode: episode == 2,
        "step_trigger": lambda step: step == 4,
    },
    "length over episodes": {
        "episode_trigger": lambda episode: episode == 0,
        "video_length": 8,
        "name_prefix": "long",
    },
}


@pytest.fixture
def moviepy_encodes_nothing(monkeypatch):
    """Keep ffmpeg out, a second for each video: the frames are compared before it."""
    clip = importlib.import_module("moviepy.video.io.ImageSequenceClip")

    def touch(self, filename, **options):
        pathlib.Path(filename).touch()

    monkeypatch.setattr(clip.ImageSequenceClip, "write_videofile", touch)


# -- one environment


@pytest.mark.usefixtures("moviepy_encodes_nothing")
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_one_env_gives_the_same_videos_as_gymnasiums(trigger, tmp_path):
    theirs, ours = both(
        Original, counting(5, 3), episodes(5), tmp_path, **TRIGGERS[trigger]
    )

    same(theirs, ours)
    assert theirs.videos


@pytest.mark.parametrize("trigger", ["no trigger", "steps of a length"])
def test_cartpole_gives_the_same_videos_as_gymnasiums(trigger, tmp_path):
    theirs, ours = both(
        Original, small_cartpole, episodes(4), tmp_path, **TRIGGERS[trigger]
    )

    same(theirs, ours)


def test_pong_gives_the_same_videos_as_gymnasiums(tmp_path):
    gym.register_envs(pytest.importorskip("ale_py", reason="Atari"))

    theirs, ours = both(
        Original,
        lambda: gym.make("ALE/Pong-v5", render_mode="rgb_array"),
        episodes(2, length=40),
        tmp_path,
        step_trigger=lambda step: step % 30 == 0,
        video_length=20,
    )

    same(theirs, ours)
    assert len(ours.videos) == 3


def test_a_list_render_mode_gives_the_same_videos_and_the_same_render(tmp_path):
    rendered = []

    def play(env):
        env.reset(seed=0)
        for step in range(12):
            env.step(0)
            if step % 5 == 4:
                rendered.append([CountingEnv.read(one) for one in env.render()])

    theirs, ours = both(
        Original,
        counting(20, render_mode="rgb_array_list"),
        play,
        tmp_path,
        step_trigger=lambda step: step in (3, 8),
        video_length=2,
    )

    same(theirs, ours)
    half = len(rendered) // 2
    assert rendered[:half] == rendered[half:]
    assert [len(one) for one in rendered[half:]] == [6, 5]


def test_an_emptied_list_is_warned_of_and_gives_no_frame_as_there(tmp_path):
    def play(env):
        env.reset()
        for step in range(4):
            env.step(0)
            if step == 1:
                env.unwrapped.render, render = list, env.unwrapped.render
                env.step(0)  # somebody else took what there was
                env.unwrapped.render = render

    theirs, ours = both(
        Original, counting(20, render_mode="rgb_array_list"), play, tmp_path
    )

    same(theirs, ours)
    assert len(ours.said) == 1


# -- many environments


def sync(mode: AutoresetMode, *lengths: list[int], **options: Any) -> Any:
    return lambda: SyncVectorEnv(
        [
            lambda e=e, n=n: CountingEnv(n, env=e, **options)  # type: ignore[misc]
            for e, n in enumerate(lengths)
        ],
        autoreset_mode=mode,
    )


def masked_steps(count: int) -> Any:
    """Step, and in DISABLED mode reset those that ended."""

    def play(envs: Any) -> None:
        envs.reset(seed=0)
        for _ in range(count):
            *_, terminated, truncated, _ = envs.step(np.zeros(envs.num_envs, int))
            ended = terminated | truncated
            if envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED and any(ended):
                envs.reset(options={"reset_mask": ended})

    return play


@pytest.mark.usefixtures("moviepy_encodes_nothing")
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_envs_give_the_same_videos_as_gymnasiums(mode, trigger, tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(mode, [5, 3], [2], [4]),
        masked_steps(24),
        tmp_path,
        **TRIGGERS[trigger],
    )

    same(theirs, ours)
    assert theirs.videos


@pytest.mark.usefixtures("moviepy_encodes_nothing")
@pytest.mark.parametrize("ratio", [(1, 1), (16, 9), (1, 4)])
def test_the_grid_has_the_shape_of_gymnasiums(ratio, tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(AutoresetMode.NEXT_STEP, *[[5]] * 6),
        masked_steps(4),
        tmp_path,
        video_aspect_ratio=ratio,
    )

    same(theirs, ours)


def test_the_first_env_alone_is_recorded_as_there(tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(AutoresetMode.NEXT_STEP, [5], [5]),
        masked_steps(4),
        tmp_path,
        record_first_only=True,
    )

    same(theirs, ours)


def test_vector_cartpoles_give_the_same_videos_as_gymnasiums(tmp_path):
    theirs, ours = both(
        VectorOriginal,
        lambda: SyncVectorEnv([small_cartpole] * 3),
        steps(60),
        tmp_path,
        episode_trigger=lambda episode: episode == 1,
    )

    same(theirs, ours)


# -- signatures and errors


@pytest.mark.parametrize(
    ("original", "ours"),
    [(Original, rv.RecordVideo), (VectorOriginal, rv.VectorRecordVideo)],
)
def test_arguments_are_gymnasiums_and_six_more_by_keyword(original, ours):
    theirs = inspect.signature(original.__init__).parameters
    mine = inspect.signature(ours.__init__).parameters

    assert list(mine)[: len(theirs)] == list(theirs)
    assert list(mine)[len(theirs) :] == [
        *("logger", "cache", "info", "overwrite", "render", "make_env"),
    ]
    for name, parameter in theirs.items():
        if name not in ("self", "gc_trigger"):
            assert mine[name].default == parameter.default, name
            assert mine[name].kind == parameter.kind, name
    assert mine["gc_trigger"].default(3) is theirs["gc_trigger"].default(3) is True


def test_the_default_schedule_is_gymnasiums():
    from gymnasium.utils.save_video import capped_cubic_video_schedule

    ours = capped_cubic_video_schedule

    for episode in range(5000):
        assert ours(episode) == capped_cubic_video_schedule(episode)


def error_of(make: Any) -> tuple[type, str]:
    with pytest.raises((ValueError, TypeError, AssertionError)) as caught:
        make()
    return caught.type, str(caught.value)


@pytest.mark.parametrize("mode", [None, "human", "ansi"])
@pytest.mark.parametrize("is_vector", [False, True])
def test_a_mode_without_images_is_refused_in_the_same_words(mode, is_vector, tmp_path):
    env: Any = CountingEnv()
    original: Any = Original
    if is_vector:
        env = SyncVectorEnv([CountingEnv])
        original = VectorOriginal
    env.render_mode = mode

    kind, text = error_of(lambda: original(env, str(tmp_path / "a")))
    ours, mine = error_of(lambda: rv.RecordVideo(env, str(tmp_path / "a")))

    assert issubclass(ours, kind)
    assert mine == text
    assert not (tmp_path / "a").exists()


def test_a_vector_env_or_none_in_the_wrong_class_is_refused_as_there(tmp_path):
    envs = SyncVectorEnv([CountingEnv])

    kind, _ = error_of(lambda: Original(envs, str(tmp_path)))
    assert kind is TypeError
    kind, text = error_of(lambda: VectorOriginal(CountingEnv(), str(tmp_path)))
    assert (kind, text) == error_of(
        lambda: rv.VectorRecordVideo(CountingEnv(), str(tmp_path))
    )
    kind, text = error_of(lambda: Original(3, str(tmp_path)))
    assert (kind, text) == error_of(lambda: rv.RecordVideo(3, str(tmp_path)))


def test_stopping_what_was_not_started_is_refused_as_there(tmp_path):
    theirs = Original(CountingEnv(), str(tmp_path / "a"))
    ours = rv.RecordVideo(CountingEnv(), str(tmp_path / "b"))

    assert error_of(theirs.stop_recording) == error_of(ours.stop_recording)
    ours.close()


def test_starting_and_stopping_without_frames_is_warned_of_as_there(tmp_path):
    def play(env):
        env.start_recording("nothing")
        env.stop_recording()

    theirs, ours = both(Original, counting(), play, tmp_path)

    same(theirs, ours)
    assert len(ours.said) == 1


@pytest.mark.parametrize("bad", [None, "text", 3])
def test_what_is_no_picture_ends_the_video_with_the_same_warning(bad, tmp_path):
    def play(env):
        env.reset()
        env.step(0)
        env.unwrapped.render = lambda: bad
        env.step(0)
        del env.unwrapped.render
        env.step(0)
        env.reset()
        env.step(0)

    theirs, ours = both(Original, counting(), play, tmp_path)

    same(theirs, ours)
    assert [len(frames) for frames in ours.videos.values()] == [2, 2]
    assert len(ours.said) == 1


@pytest.mark.parametrize("bad", [None, [], [None]])
def test_a_vector_env_without_its_pictures_is_warned_of_and_not_refused_as_there(
    bad, tmp_path
):
    for number, recorder in enumerate((VectorOriginal, rv.RecordVideo)):
        envs = recorder(
            sync(AutoresetMode.NEXT_STEP, [5], [5])(), str(tmp_path / str(number))
        )
        envs.env.render = lambda: bad
        if recorder is VectorOriginal:
            with pytest.raises(AssertionError):
                envs.reset()
            envs.recording = False
            continue
        with pytest.warns(UserWarning, match="zero frames|Recording stopped: ") as said:
            envs.reset()
        assert len(said) == 2
        assert not envs.recording
        envs.step([0, 0])
        envs.close()


# -- what differs on purpose


def test_a_clip_of_300_frames_has_300_where_the_original_has_299(tmp_path):
    def make_env():
        env = CountingEnv([1000])
        env.render = lambda: counting_frame(env.env_step)
        return env

    def play(env):
        env.reset()
        for _ in range(299):
            env.step(0)

    theirs, ours = both(Original, make_env, play, tmp_path, fps=30)

    drawn = [read_count(f) for f in theirs.videos["rl-video-episode-0.mp4"]]
    kept = [read_count(f) for f in ours.videos["rl-video-episode-0.mp4"]]
    assert kept == drawn == [(step, 0) for step in range(300)]
    path = theirs.folder / "rl-video-episode-0.mp4"
    there = [read_count(frame) for frame in read_video(path)]
    assert len(there) == 299
    assert len(set(drawn) - set(there)) == 41


def test_same_step_has_the_last_picture_where_final_obs_is_it(tmp_path):
    theirs, ours = both(
        VectorOriginal,
        sync(AutoresetMode.SAME_STEP, [3, 9], shows_itself=True),
        masked_steps(5),
        tmp_path,
        episode_trigger=lambda episode: True,
    )

    def drawn(run):
        return [
            [CountingEnv.read(f)[:2] for f in frames] for frames in run.videos.values()
        ]

    assert drawn(theirs) == [
        [(0, 0), (0, 1), (0, 2)],
        [(1, 0), (1, 1), (1, 2)],
    ]
    assert drawn(ours) == [
        [(0, 0), (0, 1), (0, 2), (0, 3)],
        [(1, 0), (1, 1), (1, 2)],
    ]


PICTURES = {
    "gray": lambda n: counting_frame(n)[..., 0],
    "gray with an axis": lambda n: counting_frame(n)[..., :1],
    "float": lambda n: counting_frame(n) / 255.0,
    "odd": lambda n: counting_frame(n, height=49, width=65),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures_work_that_the_original_loses(kind, tmp_path):
    bare = CountingEnv()
    bare.render = lambda: PICTURES[kind](bare.env_step)
    env = rv.RecordVideo(bare, str(tmp_path))

    episodes(1)(env)
    env.close()

    frames = list(read_video(tmp_path / "rl-video-episode-0.mp4"))
    assert [read_count(frame[:49, :65])[0] for frame in frames] == [0, 1, 2, 3, 4, 5]


def test_vector_envs_may_have_pictures_of_unequal_sizes(tmp_path):
    bare = SyncVectorEnv([counting(), counting(height=24, width=40)])
    envs = rv.RecordVideo(bare, str(tmp_path))

    masked_steps(3)(envs)
    envs.close()

    (path,) = tmp_path.glob("*.mp4")
    frames = list(read_video(path))
    assert frames[0].shape == (48, 128, 3)
    assert [read_count(f[12:36, 76:116])[0] & 255 for f in frames] == [0, 1, 2, 3]


def test_a_picture_of_another_size_is_fitted_into_the_video_with_a_warning(tmp_path):
    bare = CountingEnv()
    env = rv.RecordVideo(bare, str(tmp_path))
    env.reset()
    env.step(0)
    bare.size = 24, 32

    env.step(0)
    with pytest.warns(rv.RolloutViewerWarning, match="1 of another size than"):
        env.close()

    frames = list(read_video(tmp_path / "rl-video-episode-0.mp4"))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3


def test_render_of_a_vector_env_adds_nothing_to_the_video(tmp_path):
    envs = sync(AutoresetMode.NEXT_STEP, [5], [5], render_mode="rgb_array")()
    envs = rv.RecordVideo(envs, str(tmp_path))

    envs.reset()
    pictures = envs.render()
    envs.step([0, 0])
    envs.close()

    assert len(pictures) == 2
    assert len(list(read_video(tmp_path / "rl-video-episode-0.mp4"))) == 2


@pytest.mark.parametrize("fps", [0, -1, float("inf"), float("nan"), "fast"])
def test_an_fps_that_is_none_is_refused_at_once(fps, tmp_path):
    with pytest.raises(ValueError, match="RecordVideo: expected fps"):
        rv.RecordVideo(CountingEnv(), str(tmp_path), fps=fps)


# -- spec


def trigger(_: int) -> bool:
    return True


def test_the_spec_makes_the_same_recorder_again(tmp_path):
    given = {
        "video_folder": str(tmp_path / "videos"),
        "episode_trigger": trigger,
        "step_trigger": trigger,
        "video_length": 7,
        "name_prefix": "mine",
        "fps": 12,
        "disable_logger": False,
        "gc_trigger": None,
        "overwrite": True,
    }
    env = rv.RecordVideo(gym.make("CartPole-v1", render_mode="rgb_array"), **given)

    with pytest.warns(UserWarning, match="Overwriting"):
        again = gym.make(env.spec)

    assert type(again) is rv.RecordVideo
    assert again.spec.additional_wrappers == env.spec.additional_wrappers
    (kept,) = (w.kwargs or {} for w in again.spec.additional_wrappers)
    assert {name: kept[name] for name in given} == given
    assert (again.video_length, again.frames_per_sec) == (7, 12)
    env.close()
    again.close()


def test_the_vector_class_keeps_every_argument_that_it_was_given(tmp_path):
    arguments = set(inspect.signature(rv.VectorRecordVideo.__init__).parameters)

    envs = rv.RecordVideo(SyncVectorEnv([CountingEnv]), str(tmp_path), fps=12)

    assert set(envs._saved_kwargs) == arguments - {"self", "env"}
    assert envs._saved_kwargs["fps"] == 12
    envs.close()


# -- the documented snippets, but for the import


def lunar_lander(_: Any = None, **options: Any) -> Any:
    return small_cartpole(**options)


@pytest.mark.parametrize("original", [Original, VectorOriginal])
def test_the_documented_snippets_run_unchanged(original, tmp_path, monkeypatch):
    """Box2D is not installed here: CartPole stands for LunarLander."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gym, "make", lunar_lander)
    tests = doctest.DocTestFinder(recurse=False).find(
        original, "snippet", globs={"RecordVideo": rv.RecordVideo}
    )
    ran = 0
    for test in tests:
        for example in test.examples:
            source = example.source.replace(
                "from gymnasium.wrappers.vector import RecordVideo",
                "from rollout_viewer import RecordVideo",
            )
            if "len(os.listdir" not in source:
                exec(compile(source, "snippet", "single"), test.globs)
                continue
            (folder,) = re.findall(r'"(.*)"', source)
            videos = list((tmp_path / folder).glob("*.mp4"))
            ran += 1
            if original is VectorOriginal or "save_videos1" in folder:
                # of the others the episodes' lengths decide
                assert len(videos) == int(example.want)
            assert len(list((tmp_path / folder).glob("*.json"))) == len(videos) > 0
    assert ran == (1 if original is VectorOriginal else 3)
