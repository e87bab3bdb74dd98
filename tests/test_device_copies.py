"""What comes from a GPU comes at once: one copy a call, into memory used again."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import rollout_viewer as rv
from rollout_viewer._frames.convert import FloatScale, split_frames
from rollout_viewer.sources import _device_copies
from rollout_viewer.sources._device_calls import DeviceCalls, Render
from rollout_viewer.sources._device_copies import CudaSide, DeviceCopies
from rollout_viewer.testing import counting_frames
from tests.device_tensors import LateSide, OnGpu, on_gpu

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="measures copies of a CUDA device, and torch finds none here",
)


@pytest.fixture
def side(monkeypatch):
    """The side of the stand-in's copies; nothing may be waited for but by it."""
    side = LateSide()
    monkeypatch.setattr(_device_copies, "CudaSide", lambda: side)
    OnGpu.num_waits = 0
    return side


# -- blocks


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(5, dtype=torch.float64),
        torch.arange(6.0).reshape(2, 3).T,
        torch.tensor([True, False, True]),
        torch.tensor(7, dtype=torch.int16),
        torch.zeros(0, 3),
        torch.arange(4, dtype=torch.float16),
        torch.ones(3, requires_grad=True),
        torch.tensor([1 + 2j]),
    ],
    ids=str,
)
def test_tensors_of_each_form_come_as_they_are(side, tensor):
    others = on_gpu(torch.arange(3, dtype=torch.uint8)), torch.tensor([1.5])

    with DeviceCopies().start([others[0], on_gpu(tensor), others[1]]) as transfer:
        first, array, last = transfer.arrays()

        assert array.dtype == tensor.detach().numpy().dtype
        assert array.tolist() == tensor.tolist()
        assert (first.tolist(), last.tolist()) == ([0, 1, 2], [1.5])


def test_bfloat16_comes_as_the_float32_that_numpy_has(side):
    with DeviceCopies().start([on_gpu(torch.tensor([1.5], dtype=torch.bfloat16))]) as t:
        assert t.arrays()[0].dtype == np.float32
        assert t.arrays()[0].tolist() == [1.5]


def test_all_tensors_of_a_device_are_one_copy_and_one_wait(side):
    copies = DeviceCopies()

    with copies.start([on_gpu(torch.ones(n)) for n in range(1, 9)]) as transfer:
        assert transfer.is_on_its_way
        assert copies.num_waits == 0
        transfer.arrays()

    assert (copies.num_copies, copies.num_waits, OnGpu.num_waits) == (1, 1, 0)


def test_a_tensor_that_is_changed_after_the_start_comes_as_it_was(side):
    tensor = on_gpu(torch.ones(3))

    with DeviceCopies().start([tensor, on_gpu(torch.zeros(2))]) as transfer:
        tensor.fill_(5)

        assert transfer.arrays()[0].tolist() == [1, 1, 1]


def test_memory_is_used_again_only_after_it_was_released(side):
    copies = DeviceCopies()
    first = copies.start([on_gpu(torch.full((9,), 1.0))])
    second = copies.start([on_gpu(torch.full((9,), 2.0))])

    assert second.arrays()[0].tolist() == [2.0] * 9
    assert first.arrays()[0].tolist() == [1.0] * 9
    assert side.num_buffers == 2
    for transfer in (first, second):
        transfer.release()
    for number in range(20):
        with copies.start([on_gpu(torch.full((9,), float(number)))]) as transfer:
            assert transfer.arrays()[0].tolist() == [number] * 9
    assert side.num_buffers == 2


def test_a_transfer_that_nobody_reads_is_over_before_its_memory_is_used_again(side):
    copies = DeviceCopies()
    copies.start([on_gpu(torch.full((9,), 1.0))]).release()

    with copies.start([on_gpu(torch.full((9,), 2.0))]) as transfer:
        assert transfer.arrays()[0].tolist() == [2.0] * 9
    assert side.num_buffers == 1


def test_more_bytes_than_before_get_other_memory(side):
    copies = DeviceCopies()

    for size in (10, 1_000_000, 10):
        with copies.start([on_gpu(torch.arange(size))]) as transfer:
            assert transfer.arrays()[0].tolist() == list(range(size))

    assert side.num_buffers == 2


def test_a_device_that_copies_otherwise_is_waited_for_once():
    copies = DeviceCopies({})
    OnGpu.num_waits = 0

    with copies.start([on_gpu(torch.ones(2)), on_gpu(torch.zeros(3))]) as transfer:
        assert [array.tolist() for array in transfer.arrays()] == [[1, 1], [0, 0, 0]]

    assert (copies.num_copies, OnGpu.num_waits) == (1, 1)


def test_a_device_that_cannot_join_tensors_is_waited_for_by_each(monkeypatch):
    def packed(flat):
        raise NotImplementedError("aten::view.dtype")

    monkeypatch.setattr(_device_copies, "_packed", packed)
    OnGpu.num_waits = 0

    with DeviceCopies({}).start([on_gpu(torch.ones(2, 2)), on_gpu(7)]) as transfer:
        assert [array.tolist() for array in transfer.arrays()] == [[[1, 1], [1, 1]], 7]

    assert OnGpu.num_waits == 2


def test_other_arrays_and_tensors_of_this_side_are_only_referred_to():
    array, tensor = np.arange(3), torch.arange(3)

    with DeviceCopies().start([array, tensor, [1]]) as transfer:
        found = transfer.arrays()

        assert found[0] is array
        assert np.shares_memory(found[1], tensor.numpy())
        assert found[2] == [1]


def test_memory_is_of_this_side_whatever_the_default_device_is():
    torch.set_default_device("meta")
    try:
        buffer = CudaSide().buffer(9)
    finally:
        torch.set_default_device(None)

    assert (buffer.device.type, buffer.dtype, len(buffer)) == ("cpu", torch.uint8, 9)


def test_memory_of_a_call_in_inference_mode_is_written_outside_it():
    with torch.inference_mode():
        buffer = CudaSide().buffer(9)

    buffer.copy_(torch.arange(9, dtype=torch.uint8))

    assert buffer.tolist() == list(range(9))


# -- pictures


@pytest.mark.parametrize("num_envs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [(20, 30), (3, 30), (20, 30, 3), (3, 20, 30)], ids=str)
def test_a_list_of_pictures_is_read_as_one_of_this_side(side, num_envs, size):
    each = [torch.full(size, 10 + n, dtype=torch.uint8) for n in range(num_envs)]
    render = Render(lambda: [on_gpu(one) for one in each], FloatScale())

    with DeviceCalls().bring({}, lambda *_: True, {"pixels": render}) as call:
        frames = split_frames(call.pictures("pixels"))

        expected = split_frames(each)
        assert [one.shape for one in frames] == [one.shape for one in expected]
        assert np.array_equal(frames, expected)


@pytest.mark.parametrize(
    "batch",
    [
        torch.arange(150, dtype=torch.uint8).reshape(2, 5, 5, 3),
        torch.arange(150, dtype=torch.uint8).reshape(2, 3, 5, 5),
        torch.arange(240, dtype=torch.uint8).reshape(2, 5, 6, 4),
        torch.arange(50, dtype=torch.int32).reshape(2, 5, 5, 1),
        torch.linspace(0, 1, 150).reshape(2, 5, 5, 3),
        torch.linspace(0, 255, 150).reshape(2, 5, 5, 3),
        torch.linspace(0, 1, 150, dtype=torch.float16).reshape(2, 3, 5, 5),
        torch.rand(2, 5, 5, 1) > 0.5,
    ],
    ids=lambda one: f"{one.dtype} {tuple(one.shape)}",
)
@pytest.mark.filterwarnings("ignore:as_frames")
def test_pictures_of_a_device_are_those_that_as_frames_makes(side, batch):
    calls = DeviceCalls()
    render = Render(lambda: on_gpu(batch), FloatScale())

    with calls.bring({}, lambda *_: True, {"pixels": render}) as call:
        frames = np.stack(call.pictures("pixels"))

    assert (frames == rv.as_frames(batch)).all()
    assert calls.copies.num_copies == 1


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (torch.full((1, 5, 5, 3), torch.nan), "NaN"),
        (torch.full((1, 5, 5, 3), 300.0), "0..255, got 300"),
        (torch.full((1, 5, 5, 3), -1, dtype=torch.int32), "0..255, got -1"),
        (torch.zeros(1, 5, 5, 3, dtype=torch.complex64), "complex64"),
        (torch.zeros(1, 5, 5, 7), "expected images of shape"),
    ],
    ids=["nan", "wide", "negative", "complex", "channels"],
)
def test_pictures_that_are_none_say_so_when_they_are_asked_for(side, batch, message):
    render = Render(lambda: on_gpu(batch), FloatScale())

    with (
        DeviceCalls().bring({}, lambda *_: True, {"pixels": render}) as call,
        pytest.raises(rv.FrameError, match=message),
    ):
        call.pictures("pixels")


# -- simulations


class Simulation(gymnasium.Env):
    """Env e ends every e % 5 + 2 steps and resets in that call."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"

    def __init__(self, num_envs, as_tensor):
        self.num_envs, self.as_tensor = num_envs, as_tensor
        self.single_observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space = Box(-np.inf, np.inf, (num_envs, 2), np.float32)
        self.action_space = Box(-1, 1, (num_envs, 4), np.float32)
        self.count = np.zeros(num_envs, np.int64)
        self.num_renders = 0
        self.dtype = torch.uint8

    def observe(self):
        obs = np.stack([self.count, np.arange(self.num_envs)], axis=1)
        return self.as_tensor(torch.as_tensor(obs.astype(np.float32)))

    def reset(self, *, seed=None, options=None):
        self.count[:] = 0
        return self.observe(), {}

    def step(self, action):
        self.count += 1
        reward = self.count.astype(np.float32)
        ended = self.count >= np.arange(self.num_envs) % 5 + 2
        final = self.observe()
        is_first = self.count == 1
        self.count[ended] = 0
        parts = (reward, ended, np.zeros(self.num_envs, bool))
        tensors = [self.as_tensor(torch.as_tensor(part.copy())) for part in parts]
        info = {
            "success": self.as_tensor(torch.as_tensor(ended.copy())),
            "stage": {"first": self.as_tensor(torch.as_tensor(is_first))},
            "final_obs": final,
        }
        return (self.observe(), *tensors, info)

    def render(self):
        self.num_renders += 1
        frames = [counting_frames(1, 1, start=int(n))[0, 0] for n in self.count]
        batch = torch.from_numpy(np.stack(frames))
        if self.dtype.is_floating_point:
            batch = batch.to(self.dtype) / 255
        return self.as_tensor(batch)


def recorded(as_tensor, num_envs=6, steps=6, dtype=torch.uint8, **options):
    simulation = Simulation(num_envs, as_tensor)
    simulation.dtype = dtype
    env = rv.record(simulation, **options)
    env.reset(seed=1)
    for number in range(steps):
        action = torch.full((num_envs, 4), number / 10)
        env.step(as_tensor(action))
    return env


def contents(cache):
    """Return everything of a recording, as it compares."""
    rows = []
    for row in range(cache.num_rows):
        for env in range(cache.num_envs):
            now = dict(cache.at(row, env))
            if now["has_picture"]:
                now["picture"] = cache[row, env].tobytes()
            rows.append({key: np.asarray(value).tolist() for key, value in now.items()})
    return repr(rows), [
        (e.env, e.start, e.stop, e.success, e.total_reward) for e in cache.episodes
    ]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"envs": [0, 4]},
        {"envs": [2, 3]},
        {"skip": 2},
        {"every": 2},
        {"info": False},
    ],
    ids=str,
)
def test_a_simulation_on_a_device_is_recorded_as_one_on_this_side(side, options, dtype):
    here = recorded(lambda tensor: tensor, dtype=dtype, **options)
    there = recorded(on_gpu, dtype=dtype, **options)

    assert contents(there.cache) == contents(here.cache)
    assert there.env.num_renders == here.env.num_renders


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_step_of_thousands_is_one_copy_and_one_wait(side, dtype):
    env = recorded(on_gpu, num_envs=256, steps=1, dtype=dtype, envs=[0, 100, 255])
    copies = env._device_calls.copies
    before = copies.num_copies, copies.num_waits
    OnGpu.num_waits = 0

    for _ in range(10):
        env.step(on_gpu(torch.zeros(256, 4)))

    # Ends, reward, action, observations, those of ended envs, info, pictures.
    assert copies.num_copies - before[0] == 10
    assert copies.num_waits - before[1] == 10
    assert OnGpu.num_waits == 0
    assert side.num_buffers <= 2


@pytest.mark.parametrize("has_limits", [False, True])
def test_four_values_of_old_gym_come_in_one_copy_too(side, has_limits):
    class Old:
        """As Isaac Gym's tasks: ends in one tensor, time limits in the info."""

        num_envs = 4

        def __init__(self):
            self.count = 0

        def reset(self):
            return on_gpu(torch.zeros(4, 3))

        def step(self, action):
            self.count += 1
            done = on_gpu(torch.tensor([0, 0, 1, 1]) * (self.count % 2))
            limits = on_gpu(torch.tensor([False, True, False, True]))
            info = {"time_outs": limits} if has_limits else {}
            return on_gpu(torch.zeros(4, 3)), on_gpu(torch.ones(4)), done, info

        def render(self):
            return on_gpu(torch.full((4, 9, 9, 3), self.count, dtype=torch.uint8))

    env = rv.record(Old())
    env.reset()
    copies, OnGpu.num_waits = env._device_calls.copies, 0
    before = copies.num_copies

    *_, terminated, truncated, _ = env.step(on_gpu(torch.zeros(4)))

    assert (copies.num_copies - before, OnGpu.num_waits) == (1, 0)
    assert terminated.tolist() == [False, False, True, not has_limits]
    assert truncated.tolist() == [False, False, False, has_limits]
    assert [e.terminated for e in env.cache.episodes if e.is_finished][:1] == [True]


@pytest.mark.parametrize("info", [True, False, ["elapsed", "episode"]], ids=str)
def test_info_of_steps_that_ended_is_in_the_one_copy_too(side, info):
    class Ending(Simulation):
        """As ManiSkill's vector environments: all of `final_info` is on the device."""

        def step(self, action):
            obs, reward, ended, truncated, info = super().step(action)
            on, count = self.as_tensor, torch.arange(self.num_envs)
            has_it = on(count % 2 == 0)
            final = {
                "success": info.pop("success"),
                "elapsed": on(count),
                "episode": {"r": on(count * 10.0)},
                "_episode": has_it,
            }
            info |= {"final_info": final, "_final_info": ended}
            info |= {"success": on(count < 0), "elapsed": on(-count)}
            return obs, reward, ended, truncated, info

    def steps(as_tensor):
        env = rv.record(Ending(6, as_tensor), info=info)
        env.reset(seed=1)
        before = env._device_calls.copies.num_copies
        OnGpu.num_waits = 0
        for _ in range(6):
            env.step(as_tensor(torch.zeros(6, 4)))
        return env.cache, env._device_calls.copies.num_copies - before

    here, _ = steps(lambda tensor: tensor)
    there, num_copies = steps(on_gpu)

    assert (num_copies, OnGpu.num_waits) == (6, 0)
    assert contents(there) == contents(here)
    assert any(e.success for e in there.episodes)
    if info:
        first = next(e for e in there.episodes if e.env == 2)
        assert there.at(first.stop - 1, 2)["info.episode.r"] == 20


def test_a_tensordict_of_a_device_in_the_info_ends_no_run(side):
    tensordict = pytest.importorskip("tensordict", reason="of TorchRL's users")

    class Logging(Simulation):
        def step(self, action):
            *values, info = super().step(action)
            log = tensordict.TensorDict({}, batch_size=[6], device="cuda:0")
            inner = tensordict.TensorDict({"a": torch.ones(6)}, batch_size=[6])
            return (*values, {**info, "log": log, "inner": inner})

    env = rv.record(Logging(6, on_gpu))
    env.reset()
    for _ in range(3):
        env.step(on_gpu(torch.zeros(6, 4)))

    assert env.cache.at(1, 0)["info.inner.a"] == 1
    assert np.nansum(env.cache.scalars["reward"][:, 4]) == 6


def test_a_list_of_tensors_is_one_copy_and_of_the_pictured_alone(side):
    class Listed(Simulation):
        def render(self):
            return list(super().render())

    env = rv.record(Listed(64, on_gpu), envs=[5, 6])
    env.reset()
    copies, before = env._device_calls.copies, env._device_calls.copies.num_copies
    OnGpu.num_waits = 0

    env.step(on_gpu(torch.zeros(64, 4)))

    assert (copies.num_copies - before, OnGpu.num_waits) == (1, 0)
    assert env.cache.pictured_envs == (5, 6)


def test_a_render_that_raises_in_the_middle_costs_that_picture(side):
    class Faulty(Simulation):
        def render(self):
            if self.num_renders == 3:
                self.num_renders += 1
                raise RuntimeError("out of memory")
            return super().render()

    env = rv.record(Faulty(4, on_gpu))
    env.reset()
    with pytest.warns(rv.RolloutViewerWarning, match="out of memory"):
        for _ in range(5):
            env.step(on_gpu(torch.zeros(4, 4)))

    rewards = env.cache.scalars["reward"][:, 3]
    assert rewards[~np.isnan(rewards)].tolist() == [1, 2, 3, 4, 5]
    assert env.cache.num_rows > 5


def test_what_is_not_recorded_is_not_rendered(side):
    env = recorded(on_gpu, steps=9, skip=5)

    assert env.env.num_renders == 2


# -- a GPU


@needs_gpu
def test_a_cuda_simulation_is_recorded_exactly_with_one_copy_a_step():
    here = recorded(lambda tensor: tensor, num_envs=64, envs=[0, 9, 63])
    there = recorded(lambda tensor: tensor.cuda(), num_envs=64, envs=[0, 9, 63])

    copies = there._device_calls.copies
    assert contents(there.cache) == contents(here.cache)
    assert copies.num_copies == copies.num_waits <= 10


@needs_gpu
def test_a_cuda_copy_does_not_wait_for_what_the_device_still_does():
    copies = DeviceCopies()
    busy = torch.randn(4096, 4096, device="cuda")
    copies.start([busy[0]]).release()  # starts the device, and pins memory
    for _ in range(50):
        busy = busy @ busy

    with copies.start([busy[0], busy[1]]) as transfer:
        ((event, _, _),) = transfer._waiting
        is_there: Any = event
        assert not is_there.query()
        assert transfer.arrays()[0].shape == (4096,)
