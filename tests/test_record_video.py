"""Segments and `RecordVideo`: the files of a video, and recovery from failures."""

import copy
import gc
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import textwrap
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._cli import main
from rollout_viewer._recorder import video_folder
from rollout_viewer._recorder.background_video import BackgroundVideo
from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer._video import read_video
from rollout_viewer.sources.gymnasium import vector
from rollout_viewer.testing import CountingEnv, counting_frame, read_count


def shown(path: pathlib.Path) -> list[tuple[int, int]]:
    """Return (episode, step) of each frame of a video."""
    return [CountingEnv.read(frame)[:2] for frame in read_video(path)]


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def play(env, *lengths: int) -> None:
    for length in lengths:
        env.reset(seed=length)
        for _ in range(length):
            env.step(0)


def every(_: int) -> bool:
    return True


# -- real wrappers


def test_one_class_makes_the_wrapper_of_each_kind(tmp_path):
    one = rv.RecordVideo(CountingEnv(), str(tmp_path / "one"))
    many = rv.RecordVideo(SyncVectorEnv([CountingEnv]), str(tmp_path / "many"))

    assert isinstance(one, gym.Wrapper)
    assert isinstance(many, gym.vector.VectorWrapper)
    assert isinstance(many, rv.VectorRecordVideo)
    assert vector.RecordVideo is rv.VectorRecordVideo
    one.close()
    many.close()


@pytest.mark.parametrize("third", [None, every])
def test_a_vector_env_takes_the_order_of_either_class(third, tmp_path):
    single = rv.RecordVideo(
        SyncVectorEnv([CountingEnv]), str(tmp_path), third, every, 3, "mine"
    )
    vectors: Any = rv.RecordVideo(
        SyncVectorEnv([CountingEnv]), str(tmp_path), (4, 3), True, third, every, 3
    )

    assert single.episode_trigger is third
    assert single.step_trigger is vectors.step_trigger is every
    assert (single.video_length, single.name_prefix) == (3, "mine")
    assert (vectors.video_aspect_ratio, vectors.record_first_only) == ((4, 3), True)
    single.close()
    vectors.close()


def test_a_bool_for_fps_is_the_older_disable_logger(tmp_path, capsys):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path), None, None, 0, "rl-video", False)

    play(env, 2)
    env.close()

    assert env.disable_logger is False
    assert env.frames_per_sec == 10  # of CountingEnv's metadata
    assert "rl-video-episode-0: 100%" in capsys.readouterr().err


def test_the_older_names_start_and_stop_a_video(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path), step_trigger=lambda step: False)

    env.reset()
    env.start_video_recorder()
    env.step(0)
    env.close_video_recorder()
    env.close_video_recorder()
    env.close()

    assert shown(tmp_path / "rl-video-step-0.mp4") == [(0, 1)]


def test_it_renders_only_while_a_video_runs(tmp_path):
    bare = CountingEnv()
    env = rv.RecordVideo(bare, str(tmp_path), lambda episode: episode == 1)

    play(env, 5, 5, 5)

    assert bare.num_renders == 6
    env.close()


def test_recorded_frames_are_the_pictures_as_they_came(tmp_path):
    bare = CountingEnv()
    env = rv.RecordVideo(bare, str(tmp_path))

    play(env, 3)

    assert len(env.recorded_frames) == 4
    assert (env.recorded_frames[-1] == bare.render()).all()
    assert [CountingEnv.read(f)[1] for f in env.recorded_frames] == [0, 1, 2, 3]
    env.close()
    assert len(env.recorded_frames) == 0


# -- what lies beside a video


def test_a_json_tells_of_the_episodes_of_a_video(tmp_path):
    env = rv.RecordVideo(
        CountingEnv([3, 9]),
        str(tmp_path),
        step_trigger=lambda step: step == 1,
        video_length=4,
    )

    play(env, 3, 4)
    env.close()

    content = json.loads((tmp_path / "rl-video-step-1.json").read_text())
    assert shown(tmp_path / content["video"]) == [
        (0, 2),
        (0, 3),
        (1, 0),
        (1, 1),
        (1, 2),
    ]
    assert (content["num_frames"], content["fps"], content["step_id"]) == (5, 10, 1)
    assert content["metadata"]["env_id"] == "CountingEnv"
    first, second = content["episodes"]
    assert first["frames"] == [0, 2]
    assert (first["episode"], first["seed"], first["terminated"]) == (0, 3, True)
    # The step that was not recorded counts as well.
    assert (first["length"], first["total_reward"]) == (3, 6.0)
    assert second["frames"] == [2, 5]
    assert (second["episode"], second["seed"], second["terminated"]) == (1, 4, False)


def test_the_recording_keeps_the_rows_of_all_videos(tmp_path):
    env = rv.RecordVideo(CountingEnv([4]), str(tmp_path), lambda e: e != 1)

    play(env, 4, 4, 4)
    env.close()

    with rv.open(tmp_path / "rl-video.rollout") as cache:
        drawn = [CountingEnv.read(cache[row, 0])[:2] for row in range(cache.num_rows)]
        assert drawn == [(e, s) for e in (0, 2) for s in range(5)]
        assert [e.segment for e in cache.episodes] == [
            "rl-video-episode-0",
            "rl-video-episode-2",
        ]
        assert [e.labels["episode"] for e in cache.episodes] == [0, 2]
        assert [e.total_reward for e in cache.episodes] == [10.0, 10.0]
        # The action is the one that was chosen at the frame.
        assert [cache.at(row, 0).action for row in (0, 4)] == [0, None]


def test_two_videos_of_one_episode_are_rows_of_one_episode(tmp_path):
    env = rv.RecordVideo(
        CountingEnv([20]),
        str(tmp_path),
        step_trigger=lambda step: step in (2, 8),
        video_length=1,
    )

    play(env, 12)
    env.close()

    (episode,) = env.cache.episodes
    assert env.cache.scalars["env_step"][:, 0].tolist() == [3, 4, 9, 10]
    assert (episode.length, episode.total_reward) == (10, 55.0)


def test_a_video_within_a_later_episode_is_none_of_the_earlier(tmp_path):
    env = rv.RecordVideo(
        CountingEnv([20]),
        str(tmp_path),
        step_trigger=lambda step: step in (2, 8),
        video_length=1,
    )

    play(env, 5, 8)
    env.close()

    first, second = env.cache.episodes
    assert (first.length, first.total_reward) == (4, 10.0)
    assert (second.length, second.total_reward) == (5, 15.0)
    assert (second.labels["episode"], second.seed) == (1, 8)


def test_nothing_recorded_leaves_nothing_behind(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path), lambda episode: False)

    play(env, 3)
    env.close()
    env.close()

    assert names(tmp_path) == []


def test_a_cache_that_is_handed_over_is_recorded_into_and_left_open(tmp_path):
    cache = rv.FrameCache(tmp_path / "mine.rollout")
    env = rv.RecordVideo(CountingEnv(), str(tmp_path / "videos"), cache=cache)

    play(env, 2)
    env.close()

    assert env.cache is cache
    assert cache.num_rows == 3
    assert not cache.is_closed
    assert names(tmp_path / "videos") == [
        "rl-video-episode-0.json",
        "rl-video-episode-0.mp4",
    ]


def test_garbage_is_collected_where_one_asks_for_it_and_not_by_default(
    tmp_path, monkeypatch
):
    def num_collected(folder: str, **options: Any) -> int:
        collected: list[bool] = []
        env = rv.RecordVideo(CountingEnv(), str(tmp_path / folder), every, **options)
        with monkeypatch.context() as patched:
            patched.setattr(gc, "collect", lambda: collected.append(True))
            play(env, 2, 2)
            env.close()
        return len(collected)

    assert num_collected("default") == 0
    assert num_collected("never", gc_trigger=lambda episode: False) == 0
    assert num_collected("always", gc_trigger=lambda episode: True) == 2


def test_a_logger_gets_each_video_too(tmp_path):
    logger = rv.CSVLogger("run", str(tmp_path / "logs"), video_format="mp4")
    env = rv.RecordVideo(CountingEnv(), str(tmp_path / "videos"), logger=logger)

    play(env, 3)
    env.close()

    assert len(names(tmp_path / "logs/run/videos")) == 1
    (path,) = (tmp_path / "logs/run/videos").iterdir()
    assert path.name.startswith("rl-video-episode-0")
    assert shown(path) == shown(tmp_path / "videos/rl-video-episode-0.mp4")


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (TypeError, {"logger": 3}, "expected a logger with log_video"),
        (TypeError, {"episode_trigger": 5}, "episode_trigger to be a function.*5"),
        (TypeError, {"step_trigger": "all"}, "step_trigger to be a function.*'all'"),
        (TypeError, {"gc_trigger": 1}, "gc_trigger to be a function.*1"),
        (TypeError, {"name_prefix": 3}, "name_prefix to be text, got 3"),
        (TypeError, {"cache": 3}, "cache to be a FrameCache"),
        (ValueError, {"name_prefix": "../x"}, "a name within"),
        (ValueError, {"video_length": -1}, "video_length to be 0 or more"),
        (ValueError, {"video_length": None}, "video_length to be 0 or more"),
        (ValueError, {"fps": "fast"}, "expected fps"),
        (ValueError, {"video_aspect_ratio": 3}, "video_aspect_ratio="),
        (ValueError, {"video_aspect_ratio": (1, 0)}, "video_aspect_ratio="),
    ],
)
def test_wrong_arguments_are_refused_at_once_and_leave_nothing(
    kind, wrong, message, tmp_path
):
    is_vector = "video_aspect_ratio" in wrong
    bare = SyncVectorEnv([CountingEnv]) if is_vector else CountingEnv()

    with pytest.raises(kind, match=message):
        rv.RecordVideo(bare, str(tmp_path / "videos"), **wrong)

    assert not (tmp_path / "videos").exists() or names(tmp_path / "videos") == []


def test_a_logger_that_fails_is_warned_of_and_the_video_is_there(tmp_path):
    pytest.importorskip("torch", reason="the logger is given a tensor")

    class Failing:
        def log_video(self, *args, **kwargs):
            raise OSError("no network")

    env = rv.RecordVideo(CountingEnv(), str(tmp_path), logger=Failing())
    play(env, 3)

    with pytest.warns(rv.RolloutViewerWarning, match="Failing to log.*no network"):
        env.close()

    assert len(shown(tmp_path / "rl-video-episode-0.mp4")) == 4


def test_rollout_records_everything_and_the_videos_go_on(tmp_path):
    env = rv.RecordVideo(CountingEnv([3]), str(tmp_path), lambda episode: episode == 1)

    cache = rv.rollout(env, max_steps=9, progress=False)
    env.close()

    assert len(cache.episodes) == 3
    assert shown(tmp_path / "rl-video-episode-1.mp4") == [(1, s) for s in range(4)]


def test_the_viewer_and_dump_write_into_the_folder(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path))
    play(env, 3)

    dumped = env.dump()
    pressed = env.viewer.dump(["mp4", "csv"])

    assert [path.name for path in dumped] == ["rl-video_0.mp4"]
    assert [path.name for path in pressed] == [
        "rl-video_r0-4_0.mp4",
        "rl-video_r0-4_0.csv",
    ]
    assert all(path.parent == tmp_path for path in dumped + pressed)
    assert env.viewer._dumps.folder() == str(tmp_path)
    env.viewer.close()
    env.close()


# -- a second run


def test_a_second_run_overwrites_nothing(tmp_path):
    for length in (2, 3):
        env = rv.RecordVideo(CountingEnv(), str(tmp_path))
        play(env, length)
        env.close()

    assert len(shown(tmp_path / "rl-video-episode-0.mp4")) == 3
    assert len(shown(tmp_path / "rl-video-episode-0-1.mp4")) == 4
    content = json.loads((tmp_path / "rl-video-episode-0-1.json").read_text())
    assert content["video"] == "rl-video-episode-0-1.mp4"
    assert (tmp_path / "rl-video-1.rollout").exists()


def test_overwrite_replaces_what_an_earlier_run_left_and_says_so(tmp_path):
    play(first := rv.RecordVideo(CountingEnv(), str(tmp_path)), 2)
    first.close()

    with pytest.warns(UserWarning, match="Overwriting existing videos at"):
        second = rv.RecordVideo(CountingEnv(), str(tmp_path), overwrite=True)
    play(second, 3)
    second.close()

    assert len(shown(tmp_path / "rl-video-episode-0.mp4")) == 4
    assert names(tmp_path) == [
        "rl-video-episode-0.json",
        "rl-video-episode-0.mp4",
        "rl-video.rollout",
    ]


def test_two_recorders_over_one_folder_keep_apart(tmp_path):
    one = rv.RecordVideo(CountingEnv(), str(tmp_path))
    two = rv.RecordVideo(CountingEnv(), str(tmp_path))

    play(one, 2)
    play(two, 3)
    one.close()
    two.close()

    assert one.cache.path != two.cache.path
    assert [len(shown(path)) for path in sorted(tmp_path.glob("*.mp4"))] == [4, 3]


# -- what is forgotten, dies or fails


def test_an_env_that_was_not_closed_loses_nothing(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path))
    play(env, 3)

    del env
    gc.collect()

    assert shown(tmp_path / "rl-video-episode-0.mp4") == [(0, s) for s in range(4)]
    assert names(tmp_path)[-1] == "rl-video.rollout"
    assert rv.open(tmp_path / "rl-video.rollout").is_closed


def script(folder: pathlib.Path, end: str) -> str:
    return textwrap.dedent(f"""
        import os, signal
        import rollout_viewer as rv
        from rollout_viewer.testing import CountingEnv
        env = rv.RecordVideo(
            CountingEnv([40]), {str(folder)!r}, lambda episode: episode != 1
        )
        for _ in range(3):
            env.reset(seed=7)
            for _ in range(40):
                env.step(0)
        env.cache.flush()
        {end}
    """)


def test_the_end_of_the_interpreter_loses_nothing(tmp_path):
    subprocess.run([sys.executable, "-c", script(tmp_path, "raise SystemExit")])

    assert names(tmp_path) == [
        "rl-video-episode-0.json",
        "rl-video-episode-0.mp4",
        "rl-video-episode-2.json",
        "rl-video-episode-2.mp4",
        "rl-video.rollout",
    ]


@pytest.fixture
def killed(tmp_path):
    """A folder whose recorder was killed in the middle of its second video."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            script(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"),
        ]
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "rl-video-episode-2.mp4").exists()
    return tmp_path


def test_the_next_recorder_writes_the_videos_of_a_killed_process(killed):
    before = (killed / "rl-video-episode-0.mp4").stat().st_mtime_ns

    rv.RecordVideo(CountingEnv(), str(killed)).close()

    assert shown(killed / "rl-video-episode-2.mp4") == [(2, s) for s in range(41)]
    content = json.loads((killed / "rl-video-episode-2.json").read_text())
    assert content["episodes"][0]["seed"] == 7
    assert (killed / "rl-video-episode-0.mp4").stat().st_mtime_ns == before
    assert not list(killed.glob("*.lock"))


def test_export_of_a_folder_writes_them_and_only_once(killed, capsys):
    assert main(["export", str(killed)]) == 0
    output = capsys.readouterr()
    assert output.out.split() == [str(killed / "rl-video-episode-2.mp4")]

    # A video that is deleted afterwards stays deleted.
    (killed / "rl-video-episode-2.mp4").unlink()
    (killed / "rl-video-episode-2.json").unlink()
    assert main(["export", str(killed)]) == 0

    output = capsys.readouterr()
    assert output.out == ""
    assert "no video is missing" in output.err
    assert not (killed / "rl-video-episode-2.mp4").exists()


def test_export_of_a_folder_takes_no_file_names(tmp_path, capsys):
    assert main(["export", str(tmp_path), "x.mp4"]) == 2
    assert "expected no files for a folder" in capsys.readouterr().err


def test_export_of_a_recording_needs_a_file_name(killed, capsys):
    assert main(["export", str(killed / "rl-video.rollout")]) == 2
    assert "Name one" in capsys.readouterr().err


def test_a_video_that_its_process_noted_too_late_is_not_written_twice(killed):
    rv.RecordVideo(CountingEnv(), str(killed)).close()
    from rollout_viewer._recording.database import amend_meta

    cache = rv.open(killed / "rl-video.rollout")
    start = cache.episodes[1].start
    cache.close()
    path = killed / "rl-video.rollout"
    amend_meta(path, "takes", [{"name": "rl-video-episode-2", "start": start}])

    assert main(["export", str(killed)]) == 0

    assert not (killed / "rl-video-episode-2-1.mp4").exists()


def test_what_is_recorded_right_now_is_left_alone(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path))
    play(env, 3)

    assert main(["export", str(tmp_path)]) == 0

    assert names(tmp_path)[0].startswith("rl-video.rollout")
    env.close()
    assert (tmp_path / "rl-video-episode-0.mp4").exists()


def test_a_trigger_whose_video_fails_warns_and_the_next_recorder_writes_it(
    tmp_path, monkeypatch
):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path), every)
    play(env, 3)

    def fail(*args, **options):
        raise rv.ExportError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(BackgroundVideo, "finish", fail)
        with pytest.warns(rv.RolloutViewerWarning, match="no space left"):
            play(env, 4)
    env.close()
    assert not (tmp_path / "rl-video-episode-0.mp4").exists()

    rv.RecordVideo(CountingEnv(), str(tmp_path)).close()

    assert len(shown(tmp_path / "rl-video-episode-0.mp4")) == 4
    assert len(shown(tmp_path / "rl-video-episode-1.mp4")) == 5


def test_a_stop_that_the_user_calls_raises_and_keeps_the_frames(tmp_path, monkeypatch):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path))
    play(env, 3)

    def fail(*args, **options):
        raise rv.ExportError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(BackgroundVideo, "finish", fail)
        with pytest.raises(rv.ExportError, match="no space left"):
            env.stop_recording()
    assert not env.recording
    env.close()

    assert main(["export", str(tmp_path)]) == 0
    assert len(shown(tmp_path / "rl-video-episode-0.mp4")) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_at_once(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError):
        rv.RecordVideo(CountingEnv(), str(tmp_path / "videos"))


def test_a_file_where_the_folder_should_be_is_refused_at_once(tmp_path):
    (tmp_path / "videos").write_text("no folder")
    with pytest.raises(OSError):
        rv.RecordVideo(CountingEnv(), str(tmp_path / "videos"))


def test_a_render_that_fails_in_a_step_ends_the_video_and_not_the_run(tmp_path):
    bare: Any = CountingEnv()
    env = rv.RecordVideo(bare, str(tmp_path))
    play(env, 2)
    bare.render = lambda: 1 / 0

    with pytest.warns(UserWarning, match="Recording stopped: ZeroDivisionError"):
        env.step(0)
    del bare.render
    env.step(0)
    env.close()

    steps = [step for _, step in shown(tmp_path / "rl-video-episode-0.mp4")]
    assert steps == [0, 1, 2]
    assert env.cache.episodes[0].total_reward == 6.0


def test_a_forked_child_leaves_the_video_to_its_parent(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path))
    play(env, 2)
    env.cache.flush()

    child = os.fork()
    if not child:  # pragma: no cover - in the child
        env.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not list(tmp_path.glob("*.mp4"))
    env.close()

    assert len(shown(tmp_path / "rl-video-episode-0.mp4")) == 3


def test_a_copy_records_for_itself(tmp_path):
    env = rv.RecordVideo(CountingEnv(), str(tmp_path), every)
    play(env, 2)

    other = copy.deepcopy(env)
    again = pickle.loads(pickle.dumps(env))
    play(other, 3)
    play(again, 4)
    for one in (other, again, env):
        one.close()

    assert len({one.cache.path for one in (env, other, again)}) == 3
    found = sorted(len(shown(path)) for path in tmp_path.glob("*.mp4"))
    assert found == [3, 4, 5]


def _recorded_in_a_worker(folder):
    return rv.RecordVideo(CountingEnv([4]), folder)


def test_workers_record_into_one_folder(tmp_path):
    def make():
        return _recorded_in_a_worker(str(tmp_path))

    envs = AsyncVectorEnv([make, make])
    envs.reset()
    for _ in range(3):
        envs.step(np.zeros(2, int))
    envs.close()

    found = sorted(tmp_path.glob("*.mp4"))
    assert [len(shown(path)) for path in found] == [4, 4]
    assert len(list(tmp_path.glob("*.rollout"))) == 2


# -- segments, as other wrappers use them


def test_rows_without_a_picture_are_no_frames_of_a_video(tmp_path):
    recorder = VideoFolderRecorder(1, tmp_path, prefix="sb3", where="VecVideoRecorder")
    recorder.start("clip")

    recorder.add([Kind.RESET], lambda: [counting_frame(0)])
    recorder.add(
        [Kind.TERMINAL_MISSING], lambda: [None], reward=[2.0], terminated=[True]
    )
    recorder.add([Kind.RESET], lambda: [counting_frame(2)], is_same_call=True)
    recorder.finish()

    assert recorder.num_frames == 2
    frames = read_video(tmp_path / "clip.mp4")
    assert [read_count(frame)[0] for frame in frames] == [0, 2]
    assert recorder.cache.episodes[0].total_reward == 2.0


def test_the_oldest_pictures_are_evicted_and_those_of_a_running_video_stay(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(video_folder, "RECORDING_BYTES", 1_000_000)
    rng = np.random.default_rng(0)
    recorder = VideoFolderRecorder(1, tmp_path, prefix="noise", where="RecordVideo")

    for number in range(4):
        recorder.start(f"clip-{number}")
        for row in range(64):
            recorder.add(
                [Kind.STEP if row else Kind.RESET],
                lambda: [rng.integers(0, 256, (48, 64, 3), np.uint8)],
                reward=[1.0],
                terminated=[row == 63],
            )
        recorder.stop()
    recorder.finish()

    assert recorder.cache.num_lost == 0
    assert recorder.cache.num_evicted > 0
    assert recorder.cache.path.stat().st_size <= 1_000_000
    assert [len(list(read_video(p))) for p in tmp_path.glob("*.mp4")] == [64] * 4


class ActsLater(CountingEnv):
    """Its actions have parts, which are known from the first reset on."""

    def reset(self, **options):
        self.action_space = gym.spaces.Dict(
            a=gym.spaces.Discrete(3), b=gym.spaces.Box(0, 1, (2,))
        )
        return super().reset(**options)


class ActsAfterReset(CountingEnv):
    """Its actions are asked for in vain before."""

    spaces = None

    @property
    def action_space(self):
        if self.spaces is None:
            raise RuntimeError("reset first")
        return self.spaces

    @action_space.setter
    def action_space(self, space):
        pass

    def reset(self, **options):
        self.spaces = gym.spaces.Dict(
            a=gym.spaces.Discrete(3), b=gym.spaces.Box(0, 1, (2,))
        )
        return super().reset(**options)


@pytest.mark.parametrize("make", [ActsLater, ActsAfterReset])
def test_actions_whose_parts_are_known_after_a_reset_are_recorded(make, tmp_path):
    env = rv.RecordVideo(make(), str(tmp_path), episode_trigger=lambda _: True)
    env.reset()
    env.step({"a": 1, "b": np.zeros(2)})

    assert env.cache.column("action", 0)[:1].tolist() == [[[1.0, 0.0, 0.0]]]
    env.close()
