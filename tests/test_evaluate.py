"""evaluate(): policies on the same seeds, recorded as segments and compared."""

import copy

import gymnasium as gym
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._errors import (
    RenderError,
    ShapeError,
    UnsupportedEnvError,
)
from rollout_viewer._evaluate.lines import rows_of
from rollout_viewer.testing import CountingEnv


def make_pole(**options):
    options = {"render_mode": "rgb_array", "max_episode_steps": 12, **options}
    return gym.make("CartPole-v1", **options)


def evaluate(*arguments, **options):
    """Run without processes, which take a second each."""
    return rv.evaluate(*arguments, backend="serial", **options)


def lean(observation):
    """Push to where the pole leans: upright for longer than any episode here."""
    return int(observation[2] > 0)


POLICIES = {"left": lambda observation: 0, "leans": lean}


def test_each_policy_is_a_segment_with_an_episode_from_each_seed():
    result = evaluate(make_pole, POLICIES, seeds=[5, 3, 8])

    (cache,) = {id(one): one for one in result.caches.values()}.values()
    found = [(one.segment, one.seed, one.is_finished) for one in cache.episodes]
    assert found == [
        (name, seed, True) for name in ("left", "leans") for seed in (5, 3, 8)
    ]
    assert result.table["policy"].tolist() == ["left", "leans"]
    assert result.table["return_mean"][1] == 12
    assert result.paired["seed"].tolist() == [3, 5, 8]
    assert result.paired["winner"].tolist() == ["leans"] * 3


def test_episodes_are_those_of_a_loop_with_the_same_seeds():
    result = evaluate(make_pole, {"left": POLICIES["left"]}, seeds=range(3))

    env, lengths = make_pole(), []
    for seed in range(3):
        env.reset(seed=seed)
        lengths.append(0)
        is_over = False
        while not is_over:
            *_, terminated, truncated, _ = env.step(0)
            is_over = terminated or truncated
            lengths[-1] += 1
    assert [one.length for one in result.lines[0].episodes] == lengths


def test_processes_give_the_same_numbers_in_the_same_segments():
    options = {"seeds": range(5), "success": lambda episode: episode.length > 9}
    policies = {"random": None, "leans": lambda observation: int(observation[2] > 0)}

    def make_env():
        return gym.make("CartPole-v1", render_mode="rgb_array", max_episode_steps=12)

    here = evaluate(make_env, policies, **options)
    there = rv.evaluate(make_env, policies, num_workers=2, **options)

    assert repr(there.table) == repr(here.table)
    assert repr(there.paired) == repr(here.paired)
    cache = there.caches["leans"]
    # One may take all seeds before the other has started.
    assert {episode.env for episode in cache.episodes} <= {0, 1}
    for episode in there.lines[1].episodes:
        rows = rows_of(cache, episode)
        (own,) = (e for e in here.lines[1].episodes if e.seed == episode.seed)
        frames = here.caches["leans"][own.start : own.stop, own.env]
        assert np.array_equal(cache.frames(rows, [episode.env])[:, 0], frames)


def test_random_actions_are_the_same_for_the_same_seeds():
    first, second = (
        evaluate(make_pole, None, seeds=range(3)).lines[0] for _ in range(2)
    )

    assert first.name == "policy"
    assert [one.length for one in first.episodes] == [
        one.length for one in second.episodes
    ]


def test_each_policy_has_a_new_environment_that_is_closed():
    made: list[CountingEnv] = []
    closed: list[CountingEnv] = []

    class Closing(CountingEnv):
        def close(self):
            closed.append(self)

    def make_env():
        made.append(Closing())
        return made[-1]

    evaluate(make_env, {"a": None, "b": None}, seeds=[0, 1])

    assert [env.episode for env in made] == [1, 1]
    assert closed == made


def test_success_is_what_the_function_says_and_is_kept(tmp_path):
    result = evaluate(
        make_pole,
        POLICIES,
        seeds=range(3),
        success=lambda episode: episode.length == 12,
        cache=tmp_path / "eval.rollout",
    )

    assert result.table["success_rate"].tolist() == [0.0, 1.0]
    assert result.paired["flip"].tolist() == ["gained"] * 3
    with rv.open(tmp_path / "eval.rollout") as opened:
        again = rv.EvaluationResult.from_recordings(opened)
    assert [one.success for one in opened.episodes] == [False] * 3 + [True] * 3
    assert repr(again.table) == repr(result.table)


def test_an_earlier_evaluation_in_the_recording_is_not_counted():
    with rv.FrameCache() as cache:
        for _ in range(2):
            result = evaluate(make_pole, POLICIES, seeds=range(2), cache=cache)

        assert len(cache.episodes) == 8
        assert result.table["n"].tolist() == [2, 2]
        assert len(result.paired["seed"]) == 2


def test_pictures_can_be_rendered_later():
    result = evaluate(
        lambda: make_pole(render_mode=None), POLICIES, seeds=[4], render="later"
    )

    cache = result.caches["leans"]
    assert not cache.has_picture(0, 0)
    env = make_pole()
    env.reset(seed=4)
    assert np.array_equal(cache[0, 0], env.render())


def test_a_function_of_a_notebook_makes_what_workers_render_later():
    class Wrapped(gym.Wrapper):
        """A class that no other process can import by its name."""

    def make_env():
        return Wrapped(make_pole())

    result = rv.evaluate(make_env, POLICIES, seeds=[4], render="later", num_workers=1)

    (episode,) = result.lines[1].episodes
    env = make_pole()
    env.reset(seed=4)
    cache = result.caches["leans"]
    assert np.array_equal(cache[episode.start, episode.env], env.render())


def test_an_environment_that_does_not_say_how_it_is_made_is_rendered_later_too():
    result = evaluate(CountingEnv, None, seeds=[0], render="later")

    assert CountingEnv.read(result.caches["policy"][2, 0])[1] == 2


def test_models_of_stable_baselines3_do_not_explore():
    pytest.importorskip("stable_baselines3", reason="the extra `sb3`")

    class Model:
        asked: list[bool] = []

        def predict(self, observation, deterministic=False):
            self.asked.append(deterministic)
            return 0, None

    evaluate(make_pole, {"model": Model()}, seeds=[0])
    assert set(Model.asked) == {True}
    evaluate(make_pole, {"model": Model()}, seeds=[0], deterministic=False)
    assert Model.asked[-1] is False


def test_modules_of_torchrl_are_policies():
    pytest.importorskip("torchrl", reason="the extra `torchrl`")
    from tensordict.nn import TensorDictModule
    from torchrl.envs import GymEnv, StepCounter, TransformedEnv

    module = TensorDictModule(
        lambda observation: (observation[..., 2] > 0).long(),
        in_keys=["observation"],
        out_keys=["action"],
    )

    def make_env():
        env = GymEnv(
            "CartPole-v1", render_mode="rgb_array", categorical_action_encoding=True
        )
        return TransformedEnv(env, StepCounter(max_steps=12))

    result = evaluate(make_env, {"leans": module}, seeds=[0, 1])

    assert [one.seed for one in result.lines[0].episodes] == [0, 1]
    assert result.table["return_mean"].tolist() == [12.0]


@pytest.mark.parametrize("seeds", [3, [], [1.5], [-1], [True], ["0"]])
def test_wrong_seeds_are_refused(tmp_path, seeds):
    with pytest.raises(ValueError, match="expected seeds to be whole numbers"):
        evaluate(make_pole, POLICIES, seeds=seeds, cache=tmp_path / "a.rollout")
    assert list(tmp_path.iterdir()) == []


def test_wrong_policies_and_environments_are_refused(tmp_path):
    def run(make_env=make_pole, policies=None, **options):
        path = tmp_path / "a.rollout"
        rv.evaluate(
            make_env,
            policies,
            seeds=[0],
            cache=path,
            **{"backend": "serial", **options},
        )

    with pytest.raises(TypeError, match="expected make_env to be a function"):
        run(make_pole())
    with pytest.raises(ValueError, match="expected policies by name, got an empty"):
        run(policies={})
    with pytest.raises(TypeError, match="expected policy 'a' to be callable, to have"):
        run(policies={"a": 3})
    with pytest.raises(TypeError, match="expected names of policies as text, got 3"):
        run(policies={3: None})
    with pytest.raises(ValueError, match="expected backend to be one of"):
        run(backend="threads")
    for success in ("always", 3, ["once"]):
        with pytest.raises(
            ValueError, match="^rv.evaluate: expected success to be a f"
        ):
            run(success=success)
    for weights in (0.5, [0.5], [0.5, np.nan], ["a", "b"], [[1, 2]]):
        with pytest.raises(ValueError, match="two or more finite numbers"):
            run(reward_weights=weights)
    with pytest.raises(
        TypeError, match="expected cache to be a FrameCache or the path"
    ):
        rv.evaluate(make_pole, None, seeds=[0], cache=3)
    with pytest.raises(RenderError):
        run(lambda: make_pole(render_mode=None))
    with pytest.raises(UnsupportedEnvError, match="one environment, got a batch of 2"):
        run(lambda: gym.make_vec("CartPole-v1", 2, render_mode="rgb_array"))
    assert list(tmp_path.iterdir()) == []


def test_what_was_recorded_before_an_error_is_kept(tmp_path):
    def fail(observation):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        evaluate(
            make_pole,
            {"left": POLICIES["left"], "fails": fail},
            seeds=[0, 1],
            cache=tmp_path / "a.rollout",
        )

    episodes = rv.open(tmp_path / "a.rollout").episodes
    assert [one.segment for one in episodes] == ["left", "left"]


class Reports(CountingEnv):
    """Reports success in the middle of an episode of an even seed, not at its end."""

    def reset(self, *, seed=None, options=None):
        self.is_even = seed is not None and seed % 2 == 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        *result, info = super().step(action)
        return *result, {**info, "success": self.is_even and self.env_step == 2}


def test_success_follows_the_rules_of_record():
    def rates(make_env, success, policies=None):
        result = evaluate(make_env, policies, seeds=range(4), success=success)
        saved = rv.EvaluationResult.from_recordings(result.lines[0].cache)
        assert repr(saved.table) == repr(result.table)
        return result.table["success_rate"].tolist()

    assert rates(Reports, "end") == rates(Reports, None) == [0.0]
    assert rates(Reports, "once") == [0.5]
    spec = copy.deepcopy(gym.spec("CartPole-v1"))
    spec.reward_threshold = 12.0
    short = {"render_mode": "rgb_array", "max_episode_steps": 12}
    found = rates(lambda: gym.make(spec, **short), "reward_threshold", POLICIES)
    assert found == [0.0, 1.0]


def test_a_rule_of_success_is_followed_in_processes():
    result = rv.evaluate(Reports, None, seeds=range(4), success="once", num_workers=2)

    found = {e.seed: e.success for e in result.lines[0].episodes}
    assert found == {0: True, 1: False, 2: True, 3: False}


@pytest.mark.parametrize("backend", ["serial", "processes"])
def test_an_environment_without_a_threshold_is_refused(tmp_path, backend):
    with pytest.raises(ValueError, match="^record: expected an environment wi"):
        rv.evaluate(
            CountingEnv,
            None,
            seeds=[0],
            success="reward_threshold",
            cache=tmp_path / "a.rollout",
            backend=backend,
        )
    assert list(tmp_path.iterdir()) == []


class Objectives(CountingEnv):
    """Rewards of two objectives."""

    def step(self, action):
        obs, _, *result = super().step(action)
        return obs, np.array([1.0, -2.0]), *result


def test_several_objectives_are_weighted(tmp_path):
    plain = evaluate(Objectives, None, seeds=[0])
    weighted = evaluate(Objectives, None, seeds=[0], reward_weights=[3, 0.5])

    assert plain.table["return_mean"].tolist() == [-5.0]
    assert weighted.table["return_mean"].tolist() == [10.0]
    page = weighted.report(tmp_path / "a.html").read_text("utf-8")
    assert "Rewards: several objectives, weighted 3, 0.5" in page
    with pytest.raises(ShapeError, match="of 3 objectives, one for each of reward_wei"):
        evaluate(Objectives, None, seeds=[0], reward_weights=[1, 1, 1])
    with pytest.raises(ShapeError, match="got 1"):
        evaluate(CountingEnv, None, seeds=[0], reward_weights=[1, 1])


@pytest.mark.parametrize("said", ["no", np.array([True, False])])
def test_success_is_no_text_and_what_was_recorded_is_kept(said):
    def success(episode):
        return said

    with pytest.raises(TypeError, match="expected success to return True") as caught:
        evaluate(make_pole, POLICIES, seeds=[0], success=success)

    cache = vars(caught.value)["cache"]
    assert [one.segment for one in cache.episodes] == ["left", "leans"]
    with pytest.raises(TypeError, match="^rv.report: expected success to return True"):
        rv.report(cache, "never.html", success=success)


def test_success_that_is_nan_is_not_known():
    result = evaluate(make_pole, None, seeds=[0], success=lambda one: float("nan"))

    assert result.lines[0].successes == [None]


def test_a_temporary_recording_survives_a_later_policy_without_an_environment():
    def make_env():
        if made:
            raise OSError("no display")
        made.append(1)
        return make_pole()

    made = []
    with pytest.raises(OSError, match="no display") as caught:
        evaluate(make_env, POLICIES, seeds=[0])

    assert [one.segment for one in vars(caught.value)["cache"].episodes] == ["left"]


def test_a_seed_that_is_there_twice_is_no_second_episode():
    with pytest.raises(ValueError, match="expected seeds that differ"):
        evaluate(make_pole, None, seeds=[1, 2, 1])
