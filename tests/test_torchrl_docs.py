"""The examples of TorchRL's documentation of recorders run, but for the import.

From the docstrings of torchrl 0.14.1's `VideoRecorder`, `PixelRenderTransform` and
`TensorDictRecorder`, and the reference page of `torchrl.record`. What cannot be had
here stands in by something with the same interface: a data set with OpenX's keys and
slices, and a batched simulation that renders one picture, as VMAS does.
"""

import pathlib

import pytest
import torch

pytest.importorskip("torchrl", reason="needs the extra torchrl")

import torchrl.data.datasets
from tensordict import TensorDict
from torchrl.data import LazyTensorStorage, SliceSampler, TensorDictReplayBuffer
from torchrl.envs import GymEnv, batched_envs

import rollout_viewer as rv
from tests.torchrl_envs import METHOD, Views

# name in the documentation -> our package
IMPORTS = {
    "from torchrl.record import VideoRecorder, CSVLogger": (
        "from rollout_viewer import VideoRecorder, CSVLogger"
    ),
    "from torchrl.record import VideoRecorder": (
        "from rollout_viewer import VideoRecorder"
    ),
    "from torchrl.record.loggers.csv import CSVLogger": (
        "from rollout_viewer.loggers import CSVLogger"
    ),
    "from torchrl.record.loggers import CSVLogger": (
        "from rollout_viewer.loggers import CSVLogger"
    ),
    "from torchrl.record.recorder import PixelRenderTransform, VideoRecorder": (
        "from rollout_viewer import PixelRenderTransform, VideoRecorder"
    ),
}


def run(snippet, *, ours=True, **names):
    """Run an example as it stands, with the imports of ours."""
    for theirs, here in IMPORTS.items() if ours else ():
        snippet = snippet.replace(theirs + "\n", here + "\n")
    namespace = {"__name__": "__main__", **names}
    exec(compile(snippet, "example", "exec"), namespace)
    return namespace


def frames_of(path):
    """Return the number of frames of a video file."""
    return rv.open(path).num_rows


VIDEO_RECORDER = """
from torchrl.record import VideoRecorder
from torchrl.record.loggers.csv import CSVLogger
from torchrl.envs import TransformedEnv, DMControlEnv
logger = CSVLogger(exp_name="cheetah", log_dir="cheetah_videos", video_format="mp4")
base_env = DMControlEnv("cheetah", "run", from_pixels=True)
env = TransformedEnv(base_env, VideoRecorder(logger=logger, tag="run_video"))
env.rollout(100)
env.transform.dump()
"""


def test_video_recorders_first_example(monkeypatch):
    # Any environment with pixels: dm-control's is recorded in its own test.
    monkeypatch.setattr(
        "torchrl.envs.DMControlEnv",
        lambda domain, task, **options: GymEnv("Pendulum-v1", **options),
    )

    run(VIDEO_RECORDER)

    (video,) = pathlib.Path().rglob("*.mp4")
    assert video == pathlib.Path("cheetah_videos/cheetah/videos/run_video_0.mp4")
    assert frames_of(video) == 50  # of 101 calls every second


DATASET = """
from torchrl.data.datasets import OpenXExperienceReplay
from torchrl.envs import Compose
from torchrl.record import VideoRecorder, CSVLogger
# Create a logger that saves videos as mp4 using 24 frames per sec
logger = CSVLogger("./dump", video_format="mp4", video_fps=24)
# We use the VideoRecorder transform to save register the images coming from the batch.
#  Setting the fps to 12 overrides the one set in the logger, not doing so keeps it unchanged.
t = VideoRecorder(logger=logger, tag="pixels", in_keys=[("next", "observation", "image")], fps=12)
# Each batch of data will have 10 consecutive videos of 200 frames each (maximum, since strict_length=False)
dataset = OpenXExperienceReplay("cmu_stretch", batch_size=2000, slice_len=200,
            download=True, strict_length=False,
            transform=t)
# Get a batch of data and visualize it
for data in dataset:
    t.dump()
    break
"""  # noqa: E501 - as it stands there


def local_open_x(
    name, *, batch_size, slice_len, download, strict_length, transform, length=40
):
    """Return a replay buffer with the keys and slices of the data set, but local."""
    episodes = []
    for number in range(3):
        image = torch.full((length, 3, 16, 20), number, dtype=torch.uint8)
        image += torch.arange(length).view(-1, 1, 1, 1).byte() * 4
        done = torch.zeros(length, 1, dtype=torch.bool)
        done[-1] = True
        following = {
            "observation": {"image": image},
            "done": done,
            "terminated": done.clone(),
            "truncated": torch.zeros_like(done),
            "reward": torch.ones(length, 1),
        }
        episode = {"next": following, "episode": torch.full((length,), number)}
        episodes.append(TensorDict(episode, [length]))
    dataset = TensorDictReplayBuffer(
        storage=LazyTensorStorage(3 * length),
        sampler=SliceSampler(
            slice_len=slice_len // 20, traj_key="episode", strict_length=strict_length
        ),
        batch_size=batch_size // 20,
        transform=transform,
    )
    dataset.extend(torch.cat(episodes))
    return dataset


def test_video_recorders_example_over_a_data_set(monkeypatch):
    monkeypatch.setattr(
        torchrl.data.datasets, "OpenXExperienceReplay", local_open_x, raising=False
    )

    names = run(DATASET)

    (video,) = pathlib.Path().rglob("*.mp4")
    assert video.name == "pixels_0.mp4"
    cache = names["t"].cache
    # ten slices of ten frames, also where a trajectory comes twice in a row
    assert frames_of(video) == 100
    assert [episode.length for episode in cache.episodes] == [10] * 10


def test_slices_of_that_example_are_told_apart_by_their_length(monkeypatch):
    monkeypatch.setattr(
        torchrl.data.datasets, "OpenXExperienceReplay", local_open_x, raising=False
    )

    names = run(DATASET.replace("fps=12)", "fps=12, slice_len=10)"))

    assert [episode.length for episode in names["t"].cache.episodes] == [10] * 10


BATCHED = """
from torchrl.envs import GymEnv, check_env_specs, ParallelEnv, EnvCreator
from torchrl.record.loggers import CSVLogger
from torchrl.record.recorder import PixelRenderTransform, VideoRecorder

def make_env():
    env = GymEnv("CartPole-v1", render_mode="rgb_array")
    env = env.append_transform(PixelRenderTransform())
    return env

if __name__ == "__main__":
    logger = CSVLogger("dummy", video_format="mp4")

    env = ParallelEnv(4, EnvCreator(make_env))

    env = env.append_transform(VideoRecorder(logger=logger, tag="pixels_record"))
    env.rollout(3)

    check_env_specs(env)

    r = env.rollout(30)
    print(env)
    env.transform.dump()
    env.close()
"""
# as the text above it says: on the outer environment alike
OUTER = BATCHED.replace(
    """    env = env.append_transform(PixelRenderTransform())
    return env
""",
    """    return env
""",
).replace(
    """    env = ParallelEnv(4, EnvCreator(make_env))
""",
    """    env = ParallelEnv(4, EnvCreator(make_env))
    env = env.append_transform(PixelRenderTransform())
""",
)


@pytest.mark.slow
@pytest.mark.parametrize("example", [BATCHED, OUTER], ids=["workers", "outer"])
def test_pixel_render_transforms_batched_example(example, monkeypatch):
    # Each of four spawned workers would import torch first. Of ParallelEnv's default:
    # test_torchrl_families.py, which records from spawned workers too.
    monkeypatch.setattr(batched_envs, "_get_default_mp_start_method", lambda: METHOD)

    names = run(example)

    (video,) = pathlib.Path().rglob("*.mp4")
    num_steps = names["r"].shape[1]
    assert video == pathlib.Path("csv_logs/dummy/videos/pixels_record_0.mp4")
    # two resets of rollouts, one or two of check_env_specs, and all their steps
    assert frames_of(video) > num_steps + 3


VMAS = """
from torchrl.envs import check_env_specs
from torchrl.envs.libs.vmas import VmasEnv
from torchrl.record.loggers import CSVLogger

env = VmasEnv(
    scenario="flocking",
    num_envs=32,
    continuous_actions=True,
    max_steps=200,
    device="cpu",
    seed=None,
    # Scenario kwargs
    n_agents=5,
)

logger = CSVLogger("dummy", video_format="mp4")

env = env.append_transform(PixelRenderTransform(mode="rgb_array", preproc=lambda x: x.copy()))
env = env.append_transform(VideoRecorder(logger=logger, tag="pixels_record"))

check_env_specs(env)

r = env.rollout(30)
env.transform[-1].dump()
"""  # noqa: E501 - as it stands there


def test_pixel_render_transforms_example_with_one_picture_of_all(monkeypatch):
    def simulation(*, num_envs, **_):
        return Views(batch_size=(num_envs,))

    monkeypatch.setattr("torchrl.envs.libs.vmas.VmasEnv", simulation)

    names = run(
        VMAS,
        PixelRenderTransform=rv.PixelRenderTransform,
        VideoRecorder=rv.VideoRecorder,
    )

    (video,) = pathlib.Path().rglob("*.mp4")
    cache = names["env"].transform[-1].cache
    assert (cache.num_envs, cache.is_shared) == (32, True)
    assert frames_of(video) >= 31


SWITCH = """
def switch(module):
    if isinstance(module, PixelRenderTransform):
        module.switch()
env.apply(switch)
"""


def test_pixel_render_transforms_switch():
    env = GymEnv("CartPole-v1", render_mode="rgb_array").append_transform(
        rv.PixelRenderTransform()
    )

    run(SWITCH, env=env, PixelRenderTransform=rv.PixelRenderTransform)

    assert not env.transform.enabled


# the reference page of torchrl.record: recording with from_pixels, and with logging
REFERENCE = """
from torchrl.record import VideoRecorder
from torchrl.record.loggers import CSVLogger
from torchrl.envs import Compose, GymEnv, StepCounter, TransformedEnv
logger = CSVLogger(exp_name="my_exp", video_format="pt")
record_env = TransformedEnv(
    GymEnv("CartPole-v1", from_pixels=True, pixels_only=False),
    Compose(StepCounter(max_steps=50), VideoRecorder(logger, tag="iteration")),
)
record_env.rollout(max_steps=3)
record_env.transform.dump()
record_env.rollout(max_steps=3)
record_env.transform.dump(suffix="second")
"""


def test_the_reference_pages_example():
    run(REFERENCE)

    videos = sorted(path.name for path in pathlib.Path().rglob("*.pt"))
    assert videos == ["iteration_0.pt", "iteration_second_1.pt"]


TENSORDICTS = """
env = TransformedEnv(GymEnv("CartPole-v1"), TensorDictRecorder("rollout", skip=1))
env.rollout(5)
env.transform.dump()
"""


def test_tensordict_recorder_does_what_its_docstring_says():
    from torchrl.envs import TransformedEnv

    run(
        TENSORDICTS,
        GymEnv=GymEnv,
        TransformedEnv=TransformedEnv,
        TensorDictRecorder=rv.TensorDictRecorder,
    )

    saved = torch.load("rollout_tensordict.t", weights_only=False)
    assert saved["observation"].shape == (5, 4)
