"""Gymnasium's environments, single and vector, in all three autoreset modes."""

import gc

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers.vector import DictInfoToList

import rollout_viewer as rv
from rollout_viewer._errors import RenderError
from rollout_viewer._frames.convert import as_frames
from rollout_viewer.sources._record import record
from rollout_viewer.testing import CountingEnv, counting_frame
from tests.row_model import episodes, table, vector

# Every kind of env here runs for so many calls: past the first ends.
NUM_CALLS = 7


def run(env, num_calls: int = NUM_CALLS) -> None:
    """Step so that the action of call n at env e is (n + e) % 4."""
    env.reset(seed=5)
    for call in range(num_calls):
        actions = (call + np.arange(env.num_envs)) % 4
        *_, terminated, truncated, _ = env.step(actions)
        ended = terminated | truncated
        if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and ended.any():
            env.reset(options={"reset_mask": ended})


# -- the row model, written by hand


def test_next_step_autoreset_gives_one_row_a_call():
    env = record(vector(AutoresetMode.NEXT_STEP, [2, 9], [3], truncated_episodes=[1]))

    run(env)

    # kind, (episode, step) in the picture, reward, end, action chosen there
    assert table(env.cache, 0) == [
        ("reset", (0, 0), None, "", 0),
        ("step", (0, 1), 1.0, "", 1),
        ("step", (0, 2), 2.0, "T", None),
        ("reset", (1, 0), None, "", 3),
        ("step", (1, 1), 1.0, "", 0),
        ("step", (1, 2), 2.0, "", 1),
        ("step", (1, 3), 3.0, "", 2),
        ("step", (1, 4), 4.0, "", None),
    ]
    assert table(env.cache, 1) == [
        ("reset", (0, 0), None, "", 1),
        ("step", (0, 1), 1.0, "", 2),
        ("step", (0, 2), 2.0, "", 3),
        ("step", (0, 3), 3.0, "T", None),
        ("reset", (1, 0), None, "", 1),
        ("step", (1, 1), 1.0, "", 2),
        ("step", (1, 2), 2.0, "", 3),
        ("step", (1, 3), 3.0, "t", None),
    ]
    assert episodes(env.cache, 0) == [
        (0, 3, 2, 3.0, True, False),
        (3, 8, 4, 10.0, False, False),
    ]
    assert episodes(env.cache, 1) == [
        (0, 4, 3, 6.0, True, False),
        (4, 8, 3, 6.0, False, True),
    ]


def test_same_step_autoreset_gives_two_rows_where_an_env_ends():
    env = record(vector(AutoresetMode.SAME_STEP, [2, 9], [3]))

    run(env, 4)

    assert table(env.cache, 0) == [
        ("reset", (0, 0), None, "", 0),
        ("step", (0, 1), 1.0, "", 1),
        ("terminal_missing", None, 2.0, "T", None),
        ("reset", (1, 0), None, "", 2),
        ("step", (1, 1), 1.0, "", 3),
        ("idle", (1, 1), None, "", 3),
        ("step", (1, 2), 2.0, "", None),
    ]
    assert table(env.cache, 1) == [
        ("reset", (0, 0), None, "", 1),
        ("step", (0, 1), 1.0, "", 2),
        ("step", (0, 2), 2.0, "", 3),
        ("idle", (0, 2), None, "", 3),
        ("terminal_missing", None, 3.0, "T", None),
        ("reset", (1, 0), None, "", 0),
        ("step", (1, 1), 1.0, "", None),
    ]
    assert episodes(env.cache, 0) == [
        (0, 3, 2, 3.0, True, False),
        (3, 7, 2, 3.0, False, False),
    ]
    assert episodes(env.cache, 1) == [
        (0, 5, 3, 6.0, True, False),
        (5, 7, 1, 1.0, False, False),
    ]


def test_same_step_autoreset_shows_final_obs_where_it_is_the_picture():
    env = record(vector(AutoresetMode.SAME_STEP, [2], [9], shows_itself=True))

    run(env, 3)

    assert table(env.cache, 0) == [
        ("reset", (0, 0), None, "", 0),
        ("step", (0, 1), 1.0, "", 1),
        ("step", (0, 2), 2.0, "T", None),
        ("reset", (1, 0), None, "", 2),
        ("step", (1, 1), 1.0, "", None),
    ]
    assert [kind for kind, *_ in table(env.cache, 1)] == [
        "reset",
        "step",
        "step",
        "idle",
        "step",
    ]


class OtherView(CountingEnv):
    """Its observations are images, of the size of its pictures, of something else."""

    def _observe(self):
        return 255 - super()._observe()


def test_final_obs_is_found_in_infos_that_are_a_list():
    envs = [
        vector(AutoresetMode.SAME_STEP, [2], [9], shows_itself=True) for _ in range(2)
    ]
    of_dict, of_list = record(envs[0]), record(DictInfoToList(envs[1]))

    run(of_dict)
    run(of_list)

    assert table(of_list.cache, 0) == table(of_dict.cache, 0)
    assert of_list.cache.at(2, 0).kind == "step"


def test_a_list_of_infos_without_final_obs_has_missing_pictures():
    env = record(DictInfoToList(vector(AutoresetMode.SAME_STEP, [2], [9])))

    run(env, 2)

    assert [row[0] for row in table(env.cache, 0)][2:] == ["terminal_missing", "reset"]


def test_same_step_autoreset_does_not_take_another_image_for_the_picture():
    envs = SyncVectorEnv(
        [lambda: OtherView([2], shows_itself=True)] * 2,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    env = record(envs)

    run(env, 2)

    assert env.cache.scalars["kind"][2].tolist() == ["terminal_missing"] * 2
    assert not env.cache.has_picture(2, 0)


def test_disabled_autoreset_makes_the_others_idle_while_one_is_reset():
    env = record(vector(AutoresetMode.DISABLED, [2, 9], [3]))

    run(env, 4)

    assert table(env.cache, 0) == [
        ("reset", (0, 0), None, "", 0),
        ("step", (0, 1), 1.0, "", 1),
        ("step", (0, 2), 2.0, "T", None),
        ("reset", (1, 0), None, "", 2),
        ("step", (1, 1), 1.0, "", 3),
        ("idle", (1, 1), None, "", 3),
        ("step", (1, 2), 2.0, "", None),
    ]
    assert table(env.cache, 1) == [
        ("reset", (0, 0), None, "", 1),
        ("step", (0, 1), 1.0, "", 2),
        ("step", (0, 2), 2.0, "", 3),
        ("idle", (0, 2), None, "", 3),
        ("step", (0, 3), 3.0, "T", None),
        ("reset", (1, 0), None, "", 0),
        ("step", (1, 1), 1.0, "", None),
    ]


def test_a_single_env_has_a_row_for_each_reset_and_step():
    env = record(CountingEnv([2, 3], truncated_episodes=[1]))

    for num_steps in (2, 3, 1):
        env.reset()
        for action in range(num_steps):
            env.step(action)

    assert table(env.cache, 0) == [
        ("reset", (0, 0), None, "", 0),
        ("step", (0, 1), 1.0, "", 1),
        ("step", (0, 2), 2.0, "T", None),
        ("reset", (1, 0), None, "", 0),
        ("step", (1, 1), 1.0, "", 1),
        ("step", (1, 2), 2.0, "", 2),
        ("step", (1, 3), 3.0, "t", None),
        ("reset", (2, 0), None, "", 0),
        ("step", (2, 1), 1.0, "", None),
    ]
    assert episodes(env.cache, 0) == [
        (0, 3, 2, 3.0, True, False),
        (3, 7, 3, 6.0, False, True),
        (7, 9, 1, 1.0, False, False),
    ]


def test_a_reset_in_the_middle_leaves_the_episode_unfinished():
    env = record(CountingEnv([9]))

    env.reset()
    env.step(0)
    env.reset()
    env.step(0)

    assert episodes(env.cache, 0) == [
        (0, 2, 1, 1.0, False, False),
        (2, 4, 1, 1.0, False, False),
    ]


def test_a_single_env_that_resets_itself_gives_a_reset_row():
    env = record(gymnasium.wrappers.Autoreset(CountingEnv([2])))

    env.reset()
    for _ in range(4):
        env.step(0)

    kinds = [row[0] for row in table(env.cache, 0)]
    assert kinds == ["reset", "step", "step", "reset", "step"]


def test_seeds_and_options_stand_with_the_episode():
    env = record(vector(AutoresetMode.DISABLED, [1], [1]))

    env.reset(seed=7, options={"level": 3})
    env.step(np.array([0, 0]))
    options = {"reset_mask": np.array([False, True]), "level": 4}
    env.reset(seed=[None, 11], options=options)

    found = [(e.env, e.index, e.seed, e.options) for e in env.cache.episodes]
    assert found == [
        (0, 0, 7, {"level": 3}),
        (1, 0, 8, {"level": 3}),
        (1, 1, 11, {"level": 4}),
    ]


# -- what else is recorded


def test_observations_are_data_and_the_env_is_metadata():
    env = record(gymnasium.make("CartPole-v1", render_mode="rgb_array"))

    obs, _ = env.reset(seed=1)
    after = env.step(0)[0]

    np.testing.assert_array_equal(env.cache.at(0, 0).obs, obs)
    np.testing.assert_array_equal(env.cache.at(1, 0).obs, after)
    assert env.cache.metadata["env_id"] == "CartPole-v1"
    assert env.cache.metadata["env_kwargs"] == {"render_mode": "rgb_array"}
    assert env.cache.fps == 50


def test_the_observation_at_an_end_in_same_step_mode_is_the_final_one():
    env = record(vector(AutoresetMode.SAME_STEP, [2], [9]))

    run(env, 3)

    obs = env.cache.column("obs")
    np.testing.assert_array_equal(obs[:, 0], [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]])


def test_an_observation_that_breaks_its_promise_is_left_out():
    class Liar(CountingEnv):
        def _observe(self):
            return super()._observe() if self.env_step == 0 else None

    env = record(Liar())

    env.reset()
    env.step(0)

    assert env.cache.data_names(0) == ["obs"]
    assert "obs" not in env.cache.data_names(1)


def test_images_are_no_data():
    env = record(CountingEnv(shows_itself=True))

    env.reset()

    assert env.cache.data_names(0) == []


def test_actions_of_several_numbers_are_recorded():
    env = record(gymnasium.make("Pendulum-v1", render_mode="rgb_array"))

    env.reset(seed=0)
    env.step(np.array([0.5], np.float32))
    env.step(np.array([-1.5], np.float32))

    assert env.cache.column("action")[:2].tolist() == [[[0.5]], [[-1.5]]]


def test_what_passes_through_is_untouched():
    env = record(vector(AutoresetMode.NEXT_STEP, [2], [3]))
    bare = vector(AutoresetMode.NEXT_STEP, [2], [3])

    for one in (env, bare):
        one.reset(seed=0)
    recorded, expected = env.step(np.array([1, 2])), bare.step(np.array([1, 2]))

    for ours, theirs in zip(recorded[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert isinstance(env, VectorEnv)
    assert env.single_action_space == bare.single_action_space
    assert isinstance(record(CountingEnv()), gymnasium.Env)
    assert env.unwrapped is env.env  # type: ignore[attr-defined]


def test_chosen_envs_alone_are_rendered():
    bare = vector(AutoresetMode.NEXT_STEP, [2], [3], [4])
    env = record(bare, envs=[2, 0])

    run(env, 3)

    renders: list[int] = [one.unwrapped.num_renders for one in bare.envs]  # type: ignore[attr-defined]
    assert renders == [4, 0, 4]
    assert env.cache.pictured_envs == (0, 2)
    assert CountingEnv.read(env.cache[3, 2]) == (0, 3, 2)
    assert env.cache.scalars["reward"][3].tolist()[1:] == [3.0, 3.0]


class OneViewport(SyncVectorEnv):
    """Renders one picture of all envs."""

    def render(self):
        return counting_frame(int(self.envs[0].unwrapped.env_step), 9)  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_one_picture_of_all_envs_is_shared(mode):
    vector = OneViewport([lambda: CountingEnv([2])] * 3, autoreset_mode=mode)
    vector.metadata = {**vector.metadata, "shared_picture": True}
    env = record(vector)

    run(env, 3)

    assert env.cache.is_shared
    assert env.cache.num_envs == 3
    assert env.cache.has_picture(2, 2)


class Spaceless(VectorEnv):
    """Declares no space."""

    num_envs = 2
    render_mode = "rgb_array"
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 3)), {}

    def step(self, actions):
        ends = np.zeros(2, np.bool_)
        return np.ones((2, 3)), np.ones(2), ends, ends, {}

    def render(self):
        return tuple(counting_frame(0, env) for env in range(2))


def test_a_vector_env_without_spaces_is_recorded(tmp_path):
    cache = rv.rollout(
        Spaceless(), policy=lambda obs: np.zeros(2), max_steps=3, progress=False
    )
    video = rv.VectorRecordVideo(Spaceless(), str(tmp_path), episode_trigger=bool)
    video.reset()
    video.step(np.zeros(2))
    video.reset()
    video.step(np.zeros(2))
    video.close()

    assert cache.at(1, 1).obs.tolist() == [1, 1, 1]
    assert list(tmp_path.glob("*.mp4"))


def test_a_list_render_mode_is_recorded_and_render_still_gives_the_list():
    env = record(CountingEnv([9], render_mode="rgb_array_list"))

    env.reset()
    env.step(0)
    first = env.render()
    env.step(0)
    second = env.render()

    assert [CountingEnv.read(f)[1] for f in first] == [0, 1]
    assert [CountingEnv.read(f)[1] for f in second] == [2]
    assert [row[1] for row in table(env.cache, 0)] == [(0, 0), (0, 1), (0, 2)]


def test_gymnasiums_own_list_render_mode_is_recorded():
    env = record(gymnasium.make("CartPole-v1", render_mode="rgb_array_list"))

    env.reset(seed=0)
    env.step(0)

    assert env.cache.num_rows == 2
    assert len(env.render()) == 2
    env.close()


# -- the real thing, bit for bit


class Seen:
    """Notes a copy of everything that an environment renders."""

    def __init__(self, env):
        self.frames = []
        self._render = env.render
        env.render = self.render

    def render(self):
        rendered = self._render()
        self.frames.append(as_frames(rendered).copy())
        return rendered


def make_pong(**options):
    return gymnasium.make_vec("ALE/Pong-v5", 2, render_mode="rgb_array", **options)


REAL = {
    "CartPole": lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array"),
    "Pendulum": lambda: gymnasium.make("Pendulum-v1", render_mode="rgb_array"),
    "CartPole native": lambda: gymnasium.make_vec(
        "CartPole-v1",
        3,
        vectorization_mode="vector_entry_point",
        render_mode="rgb_array",
    ),
    "CartPole sync": lambda: gymnasium.make_vec(
        "CartPole-v1", 3, vectorization_mode="sync", render_mode="rgb_array"
    ),
    "CartPole async": lambda: gymnasium.make_vec(
        "CartPole-v1", 2, vectorization_mode="async", render_mode="rgb_array"
    ),
    "Pendulum sync": lambda: gymnasium.make_vec(
        "Pendulum-v1", 2, vectorization_mode="sync", render_mode="rgb_array"
    ),
    "Pong sync": lambda: make_pong(vectorization_mode="sync"),
    "Pong async": lambda: make_pong(vectorization_mode="async"),
}


@pytest.mark.parametrize("name", REAL)
def test_what_a_real_env_renders_is_read_back_bit_for_bit(name):
    bare = REAL[name]()
    seen = Seen(bare)
    env = record(bare)
    env.action_space.seed(0)

    env.reset(seed=0)
    for _ in range(40):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if env.recorder.num_envs == 1 and (terminated or truncated):
            env.reset()
    env.close()

    assert env.cache.num_rows == len(seen.frames) >= 41
    np.testing.assert_array_equal(env.cache[:], np.array(seen.frames))


def test_a_real_env_in_same_step_mode_shows_pongs_terminal_picture():
    envs = SyncVectorEnv(
        [
            lambda: gymnasium.wrappers.TimeLimit(
                gymnasium.make("ALE/Pong-v5", render_mode="rgb_array"), 5
            )
        ],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    env = record(envs)

    env.reset(seed=0)
    for _ in range(5):
        *_, info = env.step(np.array([0]))

    assert env.cache.scalars["kind"][:, 0].tolist() == ["reset", *["step"] * 5, "reset"]
    np.testing.assert_array_equal(env.cache[5, 0], info["final_obs"][0])
    env.close()


# -- bad input


@pytest.mark.parametrize("mode", [None, "human", "ansi"])
def test_an_env_without_pictures_is_refused_at_once(mode):
    with pytest.raises(RenderError, match=f"render_mode={mode!r}.*rgb_array"):
        record(CountingEnv(render_mode=mode))
    with pytest.raises(RenderError, match="make_vec.*vectorization_mode='sync'"):
        record(SyncVectorEnv([lambda: CountingEnv(render_mode=mode)] * 2))


def test_ales_own_vector_env_does_not_render_and_is_told_how_to():
    env = ale_py.AtariVectorEnv("pong", 2)

    with pytest.raises(RenderError, match="make_vec.*vectorization_mode='sync'"):
        record(env)
    env.close()


def test_a_closed_env_is_refused():
    envs = vector(AutoresetMode.NEXT_STEP, [2])
    envs.close()
    single = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    single.reset()
    single.render()
    single.close()

    for env in (envs, single):
        with pytest.raises(RenderError, match="expected an open environment.*closed"):
            record(env)


@pytest.mark.parametrize("name", ["Pendulum-v1", "FrozenLake-v1", "ALE/Pong-v5"])
@pytest.mark.parametrize("num_renders", [0, 1])
def test_an_env_that_keeps_no_trace_of_its_closing_is_refused(name, num_renders):
    env = gymnasium.make(name, render_mode="rgb_array")
    env.reset()
    for _ in range(num_renders):
        env.render()
    env.close()

    with pytest.raises(RenderError, match="expected an open environment.*closed"):
        record(env)


def test_what_a_recording_wrapper_closed_is_refused():
    for env in (record(CountingEnv()), record(vector(AutoresetMode.DISABLED, [2]))):
        env.close()

        with pytest.raises(RenderError, match="expected an open environment.*closed"):
            record(env)


def test_a_first_render_that_fails_names_the_environment():
    env = record(CountingEnv())
    env.env.render = lambda: 1 / 0

    with pytest.raises(RenderError, match=r"CountingEnv\.render\(\), got ZeroDivision"):
        env.reset()

    assert env.cache.num_rows == 0


def test_a_later_render_that_fails_ends_no_run():
    env = record(CountingEnv())
    env.reset()
    env.env.render = lambda: 1 / 0

    with pytest.warns(
        rv.RolloutViewerWarning, match="got ZeroDivision.*Row 1 is"
    ) as said:
        env.step(0)
        env.step(0)

    assert len(said) == 1
    assert [env.cache.has_picture(row, 0) for row in range(3)] == [True, False, False]
    assert env.cache.episodes[0].length == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "return an image, got None"),
        (np.zeros((48, 64, 3), np.float32), "frames of uint8 as before, got float32"),
        (np.zeros((48, 64, 3), np.int64), "int64"),
        (np.zeros((48, 64, 7), np.uint8), r"got .*\(48, 64, 7\)"),
        ([], "empty list"),
    ],
)
def test_rows_of_bad_pictures_in_the_middle_are_recorded_without_them(bad, message):
    bare = CountingEnv()
    env = record(bare)
    env.reset()
    env.step(0)
    render = bare.render
    bare.render = lambda: bad

    with pytest.warns(rv.RolloutViewerWarning, match=f"{message}.*Row 2 is recorded"):
        env.step(1)
    bare.render = render
    env.step(2)

    assert env.cache.scalars["reward"][1:, 0].tolist() == [1.0, 2.0, 3.0]
    assert env.cache.scalars["env_step"][:, 0].tolist() == [0, 1, 2, 3]
    assert [env.cache.is_shown(row, 0) for row in range(4)] == [True, True, False, True]
    assert CountingEnv.read(env.cache[3, 0])[:2] == (0, 3)


def test_an_exception_of_the_env_passes_and_leaves_what_was_recorded():
    bare = CountingEnv()
    env = record(bare)
    env.reset()

    def step(action):
        raise RuntimeError("simulator died")

    bare.step = step
    with pytest.raises(RuntimeError, match="simulator died"):
        env.step(0)

    assert env.cache.num_rows == 1
    assert CountingEnv.read(env.cache[0, 0]) == (0, 0, 0)


# -- lifetime


def test_closing_completes_the_file_and_leaves_the_cache_readable(tmp_path):
    env = record(CountingEnv(), cache=rv.FrameCache(tmp_path / "run.rollout"))
    env.reset()
    env.step(0)

    env.close()

    assert [path.name for path in tmp_path.glob("run.rollout-*")] == []
    assert rv.open(tmp_path / "run.rollout").num_rows == 2
    assert not env.cache.is_closed
    env.cache.close()


def test_a_wrapper_that_is_forgotten_leaves_the_env_open():
    for bare in (vector(AutoresetMode.NEXT_STEP, [3]), CountingEnv()):
        closed = []
        bare.close = lambda **_: closed.append(1)  # noqa: B023
        env = record(bare)
        env.reset()
        del env
        gc.collect()

        assert not closed


def test_an_async_env_is_recorded_as_a_sync_one():
    env = record(
        AsyncVectorEnv(
            [lambda e=e: CountingEnv([2 + e], env=e) for e in range(2)]  # type: ignore[misc]
        )
    )
    same = record(vector(AutoresetMode.NEXT_STEP, [2], [3]))

    run(env, 5)
    run(same, 5)
    env.close()

    for e in range(2):
        assert table(env.cache, e) == table(same.cache, e)
