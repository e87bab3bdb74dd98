"""Recorder, TorchRL's LogValidationReward: in a trainer, and beside the original."""

import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")

from tensordict import TensorDict
from tensordict.nn import TensorDictSequential
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import (
    Compose,
    EnvCreator,
    GymEnv,
    GymWrapper,
    SerialEnv,
    StepCounter,
    TransformedEnv,
)
from torchrl.envs.utils import ExplorationType, exploration_type
from torchrl.modules import EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss
from torchrl.record import CSVLogger
from torchrl.trainers import DefaultOptimizationStepper, Trainer
from torchrl.trainers import LogValidationReward as Original

import rollout_viewer as rv
from rollout_viewer import LogValidationReward, Recorder
from rollout_viewer.testing import CountingEnv
from tests.torchrl_envs import forked


def counting_env(*lengths, env=0):
    gym = CountingEnv(lengths or (3,), env=env)
    return GymWrapper(gym, categorical_action_encoding=True)


def recorded(env=None, logger=None, **options):
    """Return an environment that renders and records."""
    recorder = rv.VideoRecorder(logger, "eval_video", skip=1, **options)
    return TransformedEnv(
        env or counting_env(), Compose(rv.PixelRenderTransform(), recorder)
    )


def zeros(tensordict):
    return tensordict.set("action", torch.zeros(tensordict.batch_size).long())


def hook(environment, **options):
    arguments = {"record_interval": 1, "record_frames": 5, "policy_exploration": zeros}
    return Recorder(**{**arguments, "environment": environment, **options})


BATCH = TensorDict({}, [])


# -- beside the original


@pytest.mark.parametrize("lengths", [(3,), (2, 4), (9,)])
@pytest.mark.parametrize("num_envs", [None, 2])
def test_metrics_are_those_of_the_original(lengths, num_envs):
    found = []
    for kind in (Original, Recorder):
        env = counting_env(*lengths)
        if num_envs:
            env = SerialEnv(
                num_envs, [lambda n=n: counting_env(*lengths, n + 2) for n in range(2)]
            )
        env = TransformedEnv(env, StepCounter())
        evaluate = kind(
            record_interval=2,
            record_frames=7,
            frame_skip=2,
            policy_exploration=zeros,
            environment=env,
            log_pbar=True,
        )
        # Batched, the original makes its envs anew for each evaluation, or fails.
        found.append([evaluate(BATCH) for _ in range(1 if num_envs else 3)])
        if num_envs and kind is Recorder:
            env.close()

    assert found[0] == found[1]
    assert set(found[1][0]) == {"r_evaluation", "total_r_evaluation", "log_pbar"}
    assert found[1][1:2] in ([None], [])


def test_names_in_the_log_are_chosen_as_with_the_original():
    found: list[dict] = []
    for kind in (Original, Recorder):
        env = TransformedEnv(counting_env(3), StepCounter())
        evaluate = kind(
            record_interval=1,
            record_frames=3,
            policy_exploration=zeros,
            environment=env,
            log_keys=[("next", "reward")],
            out_keys={("next", "reward"): "score"},
        )
        found.append(evaluate(BATCH))

    assert found[0] == found[1]
    assert found[1]["total_score"] == 6


def test_other_entries_are_means_without_the_padding():
    """TorchRL 0.14 returns whole tensors, under a tuple."""
    env = TransformedEnv(counting_env(2, 4), StepCounter())

    logged = hook(
        env, record_frames=6, log_keys=["step_count", ("next", "step_count")]
    )(BATCH)

    assert logged["next/step_count"] == pytest.approx((1 + 2 + 1 + 2 + 3 + 4) / 6)
    assert logged["step_count"] == pytest.approx((0 + 1 + 0 + 1 + 2 + 3) / 6)


def test_an_entry_that_is_not_there_is_named():
    with pytest.raises(KeyError, match="got .*score.*It has"):
        hook(counting_env(), log_keys="score")(BATCH)


def test_state_is_that_of_the_original():
    ours = hook(TransformedEnv(counting_env(), StepCounter()))
    original = Original(
        record_interval=1,
        record_frames=5,
        policy_exploration=zeros,
        environment=TransformedEnv(counting_env(), StepCounter()),
    )
    for evaluate in (ours, original):
        evaluate(BATCH)

    state = ours.state_dict()
    other = hook(TransformedEnv(counting_env(), StepCounter()), record_interval=3)
    other.load_state_dict(state)

    assert isinstance(ours, Original)
    assert set(state) == set(original.state_dict()) == {"_count", "recorder_state_dict"}
    assert other(BATCH) is None  # the second call of three


def test_the_older_argument_still_works():
    with pytest.warns(UserWarning, match="passed under the 'environment' key"):
        evaluate = hook(None, recorder=counting_env())

    assert evaluate(BATCH)["total_r_evaluation"] > 0
    with pytest.raises(ValueError, match="environment and recorder conflict"):
        hook(counting_env(), recorder=counting_env())


def test_both_names_are_one_class():
    assert Recorder is LogValidationReward


# -- differences


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ExplorationType.DETERMINISTIC),
        ({"exploration_type": ExplorationType.RANDOM}, ExplorationType.RANDOM),
    ],
)
def test_the_policy_is_deterministic_unless_told_otherwise(options, expected):
    seen = set()

    def policy(tensordict):
        seen.add(exploration_type())
        return zeros(tensordict)

    hook(counting_env(), policy_exploration=policy, **options)(BATCH)

    assert seen == {expected}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [SerialEnv, forked])
def test_the_environment_stays_open(kind):
    env = TransformedEnv(kind(2, EnvCreator(counting_env)), StepCounter())
    evaluate = hook(env, record_interval=2)

    for _ in range(3):
        evaluate(BATCH)
        assert not env.is_closed

    env.close()


@pytest.mark.parametrize("name", ["record_interval", "record_frames", "frame_skip"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
def test_wrong_numbers_are_refused_at_once(name, value):
    with pytest.raises(ValueError, match=f"expected {name} to be 1 or more"):
        hook(counting_env(), **{name: value})


@pytest.mark.parametrize("environment", [None, CountingEnv()])
def test_an_environment_that_is_none_is_refused_at_once(environment):
    with pytest.raises(TypeError, match="to be a TorchRL environment, got"):
        hook(environment)


def test_a_video_that_cannot_be_written_does_not_end_the_training():
    class Full:
        def log_video(self, name, video, step=None, **kwargs):
            raise OSError("disk full")

    env = recorded(logger=Full())
    evaluate = hook(env)

    with pytest.warns(rv.RolloutViewerWarning, match="disk full.*Training continues"):
        logged = evaluate(BATCH)

    assert logged["r_evaluation"] > 0
    assert len(env.transform[-1].obs) > 0


def test_a_failing_policy_leaves_the_networks_in_training_mode():
    net = nn.Linear(2, 1)

    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, tensordict):
            assert not self.training
            raise OverflowError("nan")

    policy = Failing()
    with pytest.raises(OverflowError):
        hook(counting_env(), policy_exploration=policy)(BATCH)

    assert policy.training
    assert net.training


# -- what is recorded


def test_each_evaluation_is_a_segment_of_the_recording(tmp_path):
    logger = CSVLogger("run", log_dir=str(tmp_path), video_format="pt")
    env = recorded(logger=logger)
    evaluate = hook(env, record_interval=2, suffix="best")

    for _ in range(3):
        evaluate(BATCH)

    cache = env.transform[-1].cache
    found = [(e.segment, e.labels["train_step"], e.length) for e in cache.episodes]
    assert found == [("eval", 0, 3), ("eval", 0, 2), ("eval", 2, 3), ("eval", 2, 2)]
    videos = sorted(path.name for path in (tmp_path / "run" / "videos").iterdir())
    assert videos == ["eval_video_best_0.pt", "eval_video_best_1.pt"]
    assert evaluate.cache is cache
    assert evaluate.viewer is env.transform[-1].viewer


def test_a_recorded_environment_is_evaluated_in_segments():
    env = rv.record(counting_env())
    evaluate = hook(env)

    evaluate(BATCH)

    assert {episode.segment for episode in env.cache.episodes} == {"eval"}
    assert evaluate.cache is env.cache
    assert evaluate.viewer is env.viewer


def test_without_a_recorder_there_is_nothing_to_look_at():
    evaluate = hook(TransformedEnv(counting_env(), StepCounter()))

    evaluate(BATCH)

    with pytest.raises(AttributeError, match="Append a rollout_viewer.VideoRecorder"):
        evaluate.viewer


def test_an_environment_without_transforms_is_evaluated():
    """The original raises an AttributeError."""
    assert hook(counting_env())(BATCH)["total_r_evaluation"] > 0


# -- in a trainer


def train(hook_of, total_frames=400):
    """Train a DQN on CartPole; `hook_of` makes the hook of the policy."""
    env = GymEnv("CartPole-v1")
    net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    actor = QValueActor(net, in_keys=["observation"], spec=env.action_spec)
    explore = EGreedyModule(env.action_spec, annealing_num_steps=200)
    policy = TensorDictSequential(actor, explore)
    loss = DQNLoss(actor, action_space=env.action_spec, delay_value=False)
    trainer = Trainer(
        collector=Collector(
            env,
            policy,
            frames_per_batch=50,
            total_frames=total_frames,
            auto_register_policy_transforms=True,
        ),
        total_frames=total_frames,
        frame_skip=1,
        optim_steps_per_batch=2,
        loss_module=loss,
        optimization_stepper=DefaultOptimizationStepper(),
        optimizer=torch.optim.Adam(loss.parameters(), 1e-3),
        logger=CSVLogger("train", log_dir="logs"),
        log_interval=1,
        auto_log_optim_steps=False,
        progress_bar=False,
    )
    evaluate = hook_of(actor)
    evaluate.register(trainer)
    trainer.train()
    return trainer, evaluate


def test_a_trainer_evaluates_logs_and_keeps_the_state():
    logger = CSVLogger("eval", log_dir="logs", video_format="pt")
    env = TransformedEnv(
        GymEnv("CartPole-v1", from_pixels=True, pixels_only=False),
        rv.VideoRecorder(logger, "cartpole", skip=4),
    )

    trainer, evaluate = train(
        lambda actor: hook(
            env, record_interval=4, record_frames=60, policy_exploration=actor
        )
    )

    # batches of 50 frames; the hook is called after each, and evaluates at 0 and 4
    steps = sorted(
        {episode.labels["train_step"] for episode in evaluate.cache.episodes}
    )
    assert steps == [50, 250]
    assert trainer._modules["recorder"] is evaluate
    assert evaluate.state_dict()["_count"] == 8
    with open("logs/train/scalars/r_evaluation.csv") as file:
        assert [float(line.split(",")[0]) for line in file] == [50.0, 250.0]
    with open("logs/train/scalars/total_r_evaluation.csv") as file:
        assert all(1 <= float(line.split(",")[1]) <= 60 for line in file)
