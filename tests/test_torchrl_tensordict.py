"""TensorDictRecorder: what it keeps, and a dump that TorchRL's cannot."""

import pathlib

import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")

from tensordict import TensorDict
from torchrl.envs import (
    Compose,
    GymWrapper,
    SerialEnv,
    StepCounter,
    TransformedEnv,
    check_env_specs,
)
from torchrl.record import TensorDictRecorder as Original

import rollout_viewer as rv
from rollout_viewer import TensorDictRecorder
from rollout_viewer.testing import CountingEnv


def counting(recorder, lengths=(99,)):
    """Return an env with `recorder`; an observation is (episode, step)."""
    return TransformedEnv(GymWrapper(CountingEnv(lengths)), recorder)


def load(path):
    return torch.load(path, weights_only=False)


def steps(saved):
    return saved["observation"][:, 1].int().tolist()


def test_a_dump_is_the_stack_of_the_steps():
    recorder = TensorDictRecorder("kept", skip=1)
    counting(recorder).rollout(5)

    path = recorder.dump()

    assert path == pathlib.Path("kept_tensordict.t")
    saved = load(path)
    assert steps(saved) == [1, 2, 3, 4, 5]
    assert saved["reward"].flatten().tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("skip", [1, 3, 4])
@pytest.mark.parametrize("skip_reset", [True, False])
@pytest.mark.parametrize("in_keys", [None, ["observation"]])
def test_what_is_kept_is_what_the_original_keeps(skip, skip_reset, in_keys):
    arguments = "kept", skip_reset, skip, in_keys
    original, ours = Original(*arguments), TensorDictRecorder(*arguments)
    for recorder in (original, ours):
        counting(recorder).rollout(13)
    # Without this, the dump of TorchRL 0.14 raises AttributeError.
    original.tag = "original"
    if skip == 1 and not skip_reset and in_keys is None:
        with pytest.raises(RuntimeError, match="sets of keys"):
            original.dump()  # the reset has no reward
        expected = [0, *range(1, 14)]
    else:
        original.dump()
        expected = steps(load("original_tensordict.t"))

    path = ours.dump()

    assert steps(load(path)) == expected
    assert (ours.count, ours.td, ours.iter) == (0, [], 1)


def test_the_original_cannot_dump():
    """TorchRL 0.14 raises AttributeError here."""
    recorder = Original("kept", skip=1)
    counting(recorder).rollout(2)

    with pytest.raises(AttributeError, match="tag"):
        recorder.dump()


def test_nothing_is_overwritten():
    for _ in range(3):
        recorder = TensorDictRecorder("kept", skip=1)
        counting(recorder).rollout(2)
        recorder.dump("best")

    assert sorted(path.name for path in pathlib.Path().iterdir()) == [
        "kept_best_tensordict-1.t",
        "kept_best_tensordict-2.t",
        "kept_best_tensordict.t",
    ]


def test_what_is_kept_is_a_copy():
    recorder = TensorDictRecorder("kept", skip_reset=False, skip=1)
    tensordict = TensorDict({"a": torch.zeros(1)}, [])
    for value in (1.0, 2.0):
        tensordict["a"].fill_(value)
        recorder._call(tensordict)

    saved = load(recorder.dump())

    assert saved["a"].flatten().tolist() == [1, 2]


def test_later_resets_are_left_out_with_the_first():
    recorder = TensorDictRecorder("kept", skip=1)
    counting(recorder, [2]).rollout(5, break_when_any_done=False)

    assert steps(load(recorder.dump())) == [1, 2, 1, 2, 1]


def test_resets_are_kept_where_that_is_asked_for():
    recorder = TensorDictRecorder("kept", skip_reset=False, skip=1)
    counting(recorder, [2]).rollout(5, break_when_any_done=False)

    saved = load(recorder.dump())

    assert steps(saved) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert saved[1]["reward"].item() == 1


def test_compose_dumps_it_with_a_step():
    env = counting(Compose(StepCounter(), TensorDictRecorder("kept", skip=1)))
    env.rollout(3)

    env.transform.dump(step=7)
    env.transform.dump(suffix="a", step=8)

    assert [path.name for path in pathlib.Path().iterdir()] == ["kept_tensordict.t"]


def test_an_empty_dump_does_nothing():
    recorder = TensorDictRecorder("kept")

    assert recorder.dump() is None
    assert recorder.iter == 0
    assert not list(pathlib.Path().iterdir())


def test_folders_are_made():
    recorder = TensorDictRecorder("a/b/kept", skip=1)
    counting(recorder).rollout(2)

    assert recorder.dump() == pathlib.Path("a/b/kept_tensordict.t")


def test_a_failing_disk_loses_nothing():
    pathlib.Path("taken").touch()
    recorder = TensorDictRecorder("taken/kept", skip=1)
    counting(recorder).rollout(2)

    with pytest.raises(rv.ExportError, match="TensorDictRecorder.dump: expected"):
        recorder.dump()

    recorder.out_file_base = "kept"
    assert steps(load(recorder.dump())) == [1, 2]


def test_batched_environments_are_kept_whole():
    env = SerialEnv(
        2, [lambda e=e: GymWrapper(CountingEnv([2, 9], env=e)) for e in (0, 1)]
    )
    recorder = TensorDictRecorder("kept", skip=1)
    env = TransformedEnv(env, recorder)
    check_env_specs(env)
    recorder.dump("check")

    env.rollout(4, break_when_any_done=False)

    assert load(recorder.dump())["observation"].shape[1:] == (2, 2)
    env.close()


def test_a_clone_keeps_what_comes_from_then_on():
    recorder = TensorDictRecorder("kept", skip=1)
    counting(recorder).rollout(3)

    clone = recorder.clone()
    counting(clone).rollout(2)

    assert (len(recorder.td), len(clone.td)) == (4, 3)


@pytest.mark.parametrize("skip", [0, -1, 2.5, True])
def test_a_wrong_skip_is_refused(skip):
    with pytest.raises(ValueError, match="expected skip to be 1 or more"):
        TensorDictRecorder("kept", skip=skip)
