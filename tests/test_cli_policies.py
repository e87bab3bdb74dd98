"""The command line: policies recorded from seeds, and compared."""

import importlib
import math
import pathlib
import pickle
import sys

import gymnasium as gym
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cli import main
from rollout_viewer.sources._load_policy import load_policy
from tests.evaluations import add_episodes, two_policies

MODULE = """
import threading

import gymnasium

def make_pole():
    return gymnasium.make(
        "CartPole-v1", render_mode="rgb_array", max_episode_steps=12
    )

def lean(observation):
    return int(observation[2] > 0)

def from_weights(weights):
    assert set(weights) == {"threshold"}
    return lambda observation: int(observation[2] > float(weights["threshold"]))

def lean_all(observations):
    return (observations[:, 2] > 0).astype(int)

NUMBER = 3

class Locked:
    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, observation):
        return 0

locked = Locked()

def make_nothing():
    pass
"""
MODULES = """
import torch

class Scores(torch.nn.Module):
    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        lean = observation.select(-1, 2)
        return torch.stack([-lean, lean], -1)

class Actions(torch.nn.Module):
    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return (observation.select(-1, 2) > 0).long()
"""


class Harm:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return pathlib.Path.write_text, (pathlib.Path("harmed"), "harmed")


@pytest.fixture
def module(monkeypatch):
    """The name of a module of the working directory."""
    monkeypatch.syspath_prepend(pathlib.Path.cwd())
    pathlib.Path("cli_policies.py").write_text(MODULE)
    yield "cli_policies"
    for name in ("cli_policies", "leaning"):
        sys.modules.pop(name, None)


def record(*arguments, output="out.rollout"):
    given = [*map(str, arguments)]
    if "--seeds" in given and "--workers" not in given:
        given += ["--workers", "1"]  # without processes, which take a second each
    return main(["record", *given, "-o", output])


def episodes_of(path):
    """Return what is known of the episodes of a file, by seed."""
    with rv.open(path) as cache:
        return {e.seed: (e.segment, e.length, e.success) for e in cache.episodes}


def test_record_with_seeds_has_an_episode_from_each(module):
    env, policy = f"{module}:make_pole", f"{module}:lean"
    assert record(env, "--policy", policy, "--seeds", "3:5") == 0

    with rv.open("out.rollout") as cache:
        found = [(one.segment, one.seed, one.length) for one in cache.episodes]
    assert found == [(policy, 3, 12), (policy, 4, 12)]


def test_workers_record_the_same_episodes(module):
    env, policy = f"{module}:make_pole", ("--policy", f"{module}:lean")
    options = ("--seeds", "0:4", "--success", "once")
    for workers in "12":
        output = f"{workers}.rollout"
        assert record(env, *policy, *options, "--workers", workers, output=output) == 0

    found = episodes_of("2.rollout")
    assert found == episodes_of("1.rollout")
    assert sorted(found) == [0, 1, 2, 3]
    with rv.open("2.rollout") as cache:
        assert cache.num_envs == 2


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_workers_load_a_torchscript_module_anew(module):
    torch = pytest.importorskip("torch", reason="the extra `torch`")
    pathlib.Path("leaning.py").write_text(MODULES)
    torch.jit.script(importlib.import_module("leaning").Scores()).save("leans.pt")
    policy = load_policy("torchscript:leans.pt", action_space=gym.spaces.Discrete(2))

    copy = pickle.loads(pickle.dumps(policy))

    assert [copy(np.array([0, 0, lean, 0])).item() for lean in (0.1, -0.1)] == [1, 0]


def test_success_of_the_command_line_is_a_rule(module, capsys):
    env, policy = f"{module}:make_pole", ("--policy", f"{module}:lean")
    options = ("--seeds", "0:2", "--success", "reward_threshold")

    assert record(env, *policy, *options) == 0
    assert [found[2] for found in episodes_of("out.rollout").values()] == [False] * 2
    for option in (("--success", "once"), ("--workers", "2")):
        assert record(env, *policy, *option) == 2
        assert f"expected {option[0]} with --seeds" in capsys.readouterr().err


def test_a_policy_that_only_this_process_has_is_refused_for_others(module, capsys):
    env, policy = f"{module}:make_pole", ("--policy", f"{module}:locked")

    assert record(env, *policy, "--seeds", "0:2", "--workers", "2") == 2
    assert "Use --workers 1." in capsys.readouterr().err
    assert main(["record", env, *policy, "--seeds", "0:2", "-o", "a.rollout"]) == 0


@pytest.mark.parametrize("options", [("--seeds", "0:2"), ("--steps", "3")])
def test_a_function_that_returns_no_environment_is_refused(module, options, capsys):
    for name, found in (("lean_all.__str__", "str"), ("make_nothing", "NoneType")):
        assert record(f"{module}:{name}", *options) == 2
        error = capsys.readouterr().err
        assert "to return an environment, with reset() and step(), got" in error
        assert error.count("\n") == 1
        assert f"got {found}." in error
    assert not pathlib.Path("out.rollout").exists()


def test_record_with_steps_gives_the_policy_a_batch(module):
    policy = ("--policy", f"{module}:lean_all")

    assert record("CartPole-v1", *policy, "--steps", "3", "--num-envs", "2") == 0

    with rv.open("out.rollout") as cache:
        leans = cache.column("obs")[:-1, :, 2] > 0
        assert (cache.column("action")[:-1] == leans).all()


def test_a_checkpoint_is_what_a_function_makes_a_policy_of(module):
    torch = pytest.importorskip("torch", reason="the extra `torch`")
    torch.save({"threshold": torch.tensor(0.0)}, "weights.pt")
    policy = ("--policy", f"{module}:from_weights", "--checkpoint", "weights.pt")

    assert record(f"{module}:make_pole", *policy, "--seeds", "0:2") == 0

    with rv.open("out.rollout") as cache:
        assert [one.length for one in cache.episodes] == [12, 12]


def test_a_checkpoint_is_not_unpickled_unless_that_is_allowed(module, capsys):
    pytest.importorskip("torch", reason="the extra `torch`")
    import torch

    torch.save({"threshold": Harm()}, "weights.pt")
    policy = ("--policy", f"{module}:from_weights", "--checkpoint", "weights.pt")

    assert record("CartPole-v1", *policy, "--seeds", "0:1") == 2
    error = capsys.readouterr().err
    assert "which runs whatever program is in the file" in error
    assert "--allow-pickle" in error
    assert not pathlib.Path("harmed").exists()
    assert not pathlib.Path("out.rollout").exists()
    record("CartPole-v1", *policy, "--seeds", "0:1", "--allow-pickle")
    assert pathlib.Path("harmed").exists()


def test_a_model_of_stable_baselines3_is_loaded_where_pickles_are_allowed(
    module, capsys
):
    sb3 = pytest.importorskip("stable_baselines3", reason="the extra `sb3`")
    for name in ("DQN", "PPO"):
        getattr(sb3, name)("MlpPolicy", "CartPole-v1").save(name)
    env = f"{module}:make_pole"

    assert record(env, "--policy", "sb3:PPO.zip", "--seeds", "0:1") == 2
    assert "files of Stable-Baselines3 hold pickled objects" in capsys.readouterr().err
    for name in ("DQN", "PPO"):
        policy = ("--policy", f"sb3:{name}.zip", "--allow-pickle")
        assert record(env, *policy, "--seeds", "0:1", output=f"{name}.rollout") == 0
        model = getattr(sb3, name).load(name)
        own = rv.evaluate(
            sys.modules[module].make_pole,
            {f"sb3:{name}.zip": model},
            seeds=[0],
            backend="serial",
        )
        with rv.open(f"{name}.rollout") as cache:
            assert cache.episodes[0].length == own.table["length_mean"][0]
    with_checkpoint = ("--policy", "sb3", "--checkpoint", "PPO.zip", "--allow-pickle")
    assert record("CartPole-v1", *with_checkpoint, "--steps", "2") == 0


@pytest.mark.parametrize("kind", ["Scores", "Actions"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_torchscript_module_returns_actions_or_their_scores(module, kind):
    torch = pytest.importorskip("torch", reason="the extra `torch`")
    pathlib.Path("leaning.py").write_text(MODULES)
    own = importlib.import_module("leaning")
    torch.jit.script(getattr(own, kind)()).save("leans.pt")
    policy = ("--policy", "torchscript:leans.pt")

    assert record(f"{module}:make_pole", *policy, "--seeds", "0:2") == 0
    batch = ("--num-envs", "2", "--steps", "3")
    assert record("CartPole-v1", *policy, *batch, output="batch.rollout") == 0

    with rv.open("out.rollout") as cache:
        assert [one.length for one in cache.episodes] == [12, 12]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "ppo.zip"], "expected --policy to be sb3:FILE"),
        (["--policy", "sb3"], "expected one file for --policy sb3"),
        (["--policy", "sb3:none.zip", "--allow-pickle"], "which is none"),
        (["--policy", "sb3:notes.txt", "--allow-pickle"], "that Stable-Baselines3"),
        (["--policy", "torchscript:notes.txt"], "that torch.jit.save wrote"),
        (["--policy", "random", "--checkpoint", "notes.txt"], "with --checkpoint"),
        (
            ["--policy", "cli_policies:from_weights", "--checkpoint", "none.pt"],
            "'none.pt', which is no file. Check the path",
        ),
        (["--policy", "no_such_module:f"], "expected --policy to name something"),
        (["--policy", "cli_policies:NUMBER"], "which is a int"),
        (["--seeds", "0:2", "--steps", "3"], "expected --seeds or --steps, got both"),
    ],
)
def test_what_cannot_be_recorded_is_one_line_and_no_file(
    module, capsys, arguments, message
):
    pytest.importorskip("stable_baselines3", reason="the extra `sb3`")
    pathlib.Path("notes.txt").write_text("notes")

    assert record("CartPole-v1", *arguments) == 2

    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not pathlib.Path("out.rollout").exists()


@pytest.mark.parametrize("seeds", ["", "3:3", "a:b", "-1:2", "1,x"])
def test_wrong_seeds_are_refused(seeds, capsys):
    with pytest.raises(SystemExit):
        main(["record", "CartPole-v1", f"--seeds={seeds}"])
    assert "expected seeds such as 0:50 or 3,7,9" in capsys.readouterr().err


# -- compare


def save(path, bonus, seeds=8):
    with rv.FrameCache(path) as cache:
        add_episodes(cache, {seed: [seed % 3 + bonus] for seed in range(seeds)})


def test_compare_prints_who_is_better_and_fails_where_one_is_worse(capsys):
    save("before.rollout", 1.0)
    save("after.rollout", 0.0)

    assert main(["compare", "before.rollout", "after.rollout"]) == 0
    assert "after against before, on 8 seeds: return -1" in capsys.readouterr().out
    both = ["before.rollout", "after.rollout"]
    assert main(["compare", *both, "--fail-if-worse"]) == 1
    assert capsys.readouterr().err == "rollout-viewer: worse: after\n"
    assert main(["compare", *both[::-1], "--fail-if-worse"]) == 0


def test_compare_takes_the_segments_of_one_file_and_writes_a_report(capsys):
    two_policies("eval.rollout").close()

    assert main(["compare", "eval.rollout", "--html", "eval.html"]) == 0

    *_, sentence, path = capsys.readouterr().out.splitlines()
    assert sentence.startswith("after against before, on 4 seeds")
    assert path == "eval.html"
    assert "<h1>after against before</h1>" in pathlib.Path(path).read_text("utf-8")


def test_compare_takes_the_values_of_a_label(capsys):
    with rv.FrameCache("training.rollout") as cache:
        for step in (0, 100):
            with cache.segment("eval", train_step=step):
                add_episodes(cache, {seed: [step + seed] for seed in range(3)})

    assert main(["compare", "training.rollout", "--by", "train_step"]) == 0

    assert "train_step 100 against train_step 0, on 3 seeds" in capsys.readouterr().out


def test_compare_names_files_of_equal_stems_by_their_paths(capsys):
    for name in ("a", "b"):
        pathlib.Path(name).mkdir()
        save(f"{name}/eval.rollout", 0.0)

    main(["compare", "a/eval.rollout", "b/eval.rollout"])

    assert "b/eval.rollout against a/eval.rollout" in capsys.readouterr().out


def test_compare_cannot_say_who_is_worse_without_pairs(capsys):
    save("alone.rollout", 0.0)
    with rv.FrameCache("unseeded.rollout") as cache:
        add_episodes(cache, {None: [1.0]})

    assert main(["compare", "alone.rollout", "--fail-if-worse"]) == 2
    assert "got one policy alone. Record each with" in capsys.readouterr().err
    both = ["alone.rollout", "unseeded.rollout"]
    assert main(["compare", *both, "--fail-if-worse"]) == 2
    assert "got 'unseeded': no seed in common." in capsys.readouterr().err
    assert main(["compare", "nothing.rollout"]) == 2


def test_compare_does_not_pass_what_has_too_few_pairs_or_no_finite_return(capsys):
    save("before.rollout", 1.0)
    save("crashed.rollout", -50.0, seeds=1)
    save("some.rollout", 2.0, seeds=5)
    save("diverged.rollout", -math.inf)

    why = {"crashed": "one seed in common", "diverged": "infinite returns"}
    for after, said in why.items():
        both = ["before.rollout", f"{after}.rollout"]
        assert main(["compare", *both, "--fail-if-worse"]) == 2
        assert f"got '{after}': {said}. Record each" in capsys.readouterr().err
        assert main(["compare", *both]) == 0
    # Judged on the seeds that both have, which it says.
    both = ["before.rollout", "some.rollout"]
    capsys.readouterr()
    assert main(["compare", *both, "--fail-if-worse"]) == 0
    said = "on 5 seeds that both have (0 episodes of some and 3 of before are not comp"
    assert said in capsys.readouterr().out


def test_a_pickle_is_not_a_module_of_torchscript(capsys):
    pytest.importorskip("torch", reason="the extra `torch`")
    pathlib.Path("f.pt").write_bytes(pickle.dumps(Harm()))

    assert record("CartPole-v1", "--policy", "torchscript:f.pt") == 2

    assert not pathlib.Path("harmed").exists()
