"""Tensordicts of a device, a GPU's stand-in: the numbers of a call come in one copy."""

import numpy as np
import pytest
import torch
from tensordict import LazyStackedTensorDict, TensorDict
from torchrl.data import Composite, Unbounded
from torchrl.envs import EnvBase, TransformedEnv

import rollout_viewer as rv
from rollout_viewer.sources import _device_copies
from rollout_viewer.sources.torchrl._entries import entry_of, plain_entries
from rollout_viewer.sources.torchrl._numbers_here import NumbersHere
from tests.device_tensors import LateSide, OnGpu, on_gpu


@pytest.fixture(autouse=True)
def side(monkeypatch):
    """The side of the stand-in's copies; others wait by themselves, and are counted."""
    monkeypatch.setattr(_device_copies, "CudaSide", LateSide)
    OnGpu.num_waits = 0


def here(value):
    return value


class Simulation(EnvBase):
    """A batch whose tensors are where `as_tensor` puts them."""

    def __init__(self, num_envs, as_tensor):
        super().__init__(batch_size=(num_envs,))
        self.as_tensor, self.count = as_tensor, 0
        self.observation_spec = Composite(
            observation=Unbounded((num_envs, 4)),
            pixels=Unbounded((num_envs, 8, 8, 3), dtype=torch.uint8),
            success=Unbounded((num_envs, 1), dtype=torch.bool),
            shape=(num_envs,),
        )
        self.action_spec = Unbounded((num_envs, 2))
        self.reward_spec = Unbounded((num_envs, 1))

    def _observed(self):
        (n,), count, on = self.batch_size, self.count, self.as_tensor
        pixels = torch.full((n, 8, 8, 3), count, dtype=torch.uint8)
        return {
            "observation": on(torch.full((n, 4), float(count))),
            "pixels": on(pixels),
            "success": on(torch.full((n, 1), count % 3 == 0)),
        }

    def _reset(self, tensordict):
        self.count = 0
        return TensorDict(self._observed(), self.batch_size)

    def _step(self, tensordict):
        self.count += 1
        (n,), on = self.batch_size, self.as_tensor
        done = torch.arange(n)[:, None] == self.count % 7
        ends = {"done": on(done), "terminated": on(done.clone())}
        reward = on(torch.full((n, 1), float(self.count)))
        return TensorDict(
            {**self._observed(), "reward": reward, **ends}, self.batch_size
        )

    def _set_seed(self, seed):
        pass


def play(env, as_tensor, steps=6):
    td = env.reset()
    for number in range(steps):
        action = as_tensor(torch.full((5, 2), float(number)))
        td = env.step(td.set("action", action))["next"].exclude("reward")


def contents(cache):
    places = [(r, e) for r in range(cache.num_rows) for e in range(cache.num_envs)]
    return [(repr(cache.at(*place)), cache[place].tobytes()) for place in places]


def test_a_step_waits_once_for_its_numbers_and_once_for_its_pictures():
    ours, theirs = (rv.record(Simulation(5, on)) for on in (here, on_gpu))
    play(ours, here)
    theirs.reset()
    theirs.cache.clear()
    OnGpu.num_waits = 0
    copies = theirs.transform._numbers.copies
    before = copies.num_copies, copies.num_waits

    play(theirs, on_gpu)

    found = copies.num_copies - before[0], copies.num_waits - before[1]
    assert (found, OnGpu.num_waits) == ((7, 7), 7)  # with the reset
    assert contents(theirs.cache) == contents(ours.cache)


def test_a_video_recorder_waits_once_for_the_numbers_of_a_step(tmp_path):
    def recorded(as_tensor):
        logger = rv.CSVLogger("run", str(tmp_path), video_format="pt")
        recorder = rv.VideoRecorder(logger, tag=as_tensor.__name__)
        env = TransformedEnv(Simulation(5, as_tensor), recorder)
        play(env, as_tensor, 1)
        OnGpu.num_waits = 0
        play(env, as_tensor)
        return recorder

    ours, theirs = recorded(here), recorded(on_gpu)

    # Pictures of the reset and six steps; numbers come by the other way.
    assert OnGpu.num_waits == 7
    assert contents(theirs.cache) == contents(ours.cache)


def test_numbers_are_copied_and_pictures_stay():
    td = TensorDict(
        {
            "reward": on_gpu(torch.ones(3, 1)),
            "agents": {"done": on_gpu(torch.tensor([[True], [False], [True]]))},
            "pixels": on_gpu(torch.zeros(3, 8, 8, 3, dtype=torch.uint8)),
            "state": on_gpu(torch.zeros(3, 100_000)),
            "name": "a",
        },
        batch_size=3,
    )

    (found,) = NumbersHere().of(td, num_envs=3)

    assert found["reward"].device.type == "cpu"
    assert found["agents", "done"].tolist() == [[True], [False], [True]]
    assert found["pixels"] is td["pixels"]
    assert found["state"] is td["state"]
    assert td["reward"].device.type == "cuda"
    assert OnGpu.num_waits == 0


def test_what_is_here_or_of_different_environments_is_as_it_was():
    local = TensorDict({"reward": torch.ones(2, 1)}, batch_size=2)
    parts = [TensorDict({"reward": on_gpu(torch.ones(n))}, []) for n in (1, 2)]
    different = LazyStackedTensorDict(*parts, stack_dim=0)
    within = TensorDict(
        {"reward": on_gpu(torch.ones(2)), "group": different}, batch_size=2
    )

    found = NumbersHere().of(None, local, different, within, num_envs=2)

    assert found[0] is None
    assert found[1] is local
    assert found[2] is different
    assert found[3] is within
    assert np.ones(2).tolist() == within["reward"].tolist()


def test_entries_read_from_one_dict_are_those_of_the_tensordict():
    td = TensorDict({"reward": torch.ones(2, 1), "done": torch.zeros(2)}, [2])

    plain = plain_entries(td)

    assert plain is not None
    assert plain.batch_dims == 1
    for key in ("reward", ("done",), "info", ("agents", "reward")):
        assert entry_of(plain, key) is td.get(key, None)


@pytest.mark.parametrize(
    "value",
    [on_gpu(torch.ones(2)), TensorDict({"reward": torch.ones(2)}, [2]), "text"],
    ids=["elsewhere", "nested", "no tensor"],
)
def test_a_call_with_other_entries_is_read_from_its_tensordicts(value):
    td = TensorDict({"done": torch.zeros(2), "other": value}, [2])
    local = TensorDict({"done": torch.zeros(2)}, [2])

    found = NumbersHere().of_call(local, td, num_envs=2)

    assert found[0] is local
    assert isinstance(found[1], TensorDict)
    assert entry_of(td, "done") is td.get("done")
