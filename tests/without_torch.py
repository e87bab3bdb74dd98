"""What has to work where torch is not installed, as a script that uses all of it.

test_light_install.py runs it with torch hidden, test_wheel.py in a venv without torch.
Ends with 0 if everything worked; writes into the working directory.
"""

import importlib.util
import pathlib
import subprocess
import sys


def main() -> None:
    """Record, look, write and log; then ask for what needs torch."""
    import gymnasium as gym
    import numpy as np

    import rollout_viewer as rv

    assert _has_no_torch()

    # -- record
    envs = gym.make_vec("CartPole-v1", num_envs=2, render_mode="rgb_array")
    cache = rv.rollout(envs, max_steps=12, seed=0, progress=False)
    own_loop = rv.record(
        gym.make("CartPole-v1", render_mode="rgb_array"), resize=(84, 126)
    )
    own_loop.reset(seed=0)
    for _ in range(5):
        own_loop.step(own_loop.action_space.sample())
    assert cache[3].shape == (2, 400, 600, 3)
    assert own_loop.cache[3, 0].shape == (84, 126, 3)

    # -- look
    viewer = rv.view({"a": cache, "b": own_loop.cache})
    assert viewer.snapshot().ndim == 3
    rv.view(cache).to_html("poles.html")

    # -- write
    clip = cache.clip(0, 8)
    for suffix in ("mp4", "webm", "gif", "png", "npz", "memmap", "csv", "html"):
        (path,) = clip.write(f"clip.{suffix}", labels=suffix == "mp4")
        assert path.stat().st_size > 0
    assert rv.open("clip.mp4").num_rows == 8

    # -- log
    files = rv.CSVLogger("run", video_format="mp4")
    files.log_scalar("reward", 1.0)
    clip.dump(files, "eval", formats=("mp4", "csv"))
    video = np.zeros((1, 3, 3, 16, 16), np.uint8)
    assert files.log_video("array", video).suffix == ".mp4"
    assert rv.view(cache).dump()
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    with rv.RecordVideo(env, "videos", episode_trigger=lambda _: True) as recorded:
        recorded.reset(seed=0)
        recorded.step(1)
    assert pathlib.Path("videos", "rl-video-episode-0.mp4").exists()

    # -- what needs torch
    torch_itself = (
        'needs torch, which is not installed. Run: pip install "rollout-viewer'
    )
    of_torch = f"{torch_itself}[torch]"
    default = rv.CSVLogger("default")
    _is_refused(clip.to_tensor, f"Clip.to_tensor {of_torch}")
    _is_refused(lambda: clip.write("clip.pt"), f"Clip.write: .pt {of_torch}")
    _is_refused(
        lambda: default.log_video("a", video), 'video_format="mp4", which needs'
    )
    _is_refused(lambda: clip.dump(default, "a"), 'video_format="mp4", which needs')
    _is_refused(lambda: clip.dump(_Foreign(), "a"), of_torch)
    for name in ("VideoRecorder", "PixelRenderTransform", "TensorDictRecorder"):
        _is_refused(lambda name=name: getattr(rv, name), "[torchrl]")
    _is_refused(lambda: rv.VecVideoRecorder, "[sb3]")
    _is_refused(lambda: rv.TensorboardLogger("run"), "[tensorboard]")
    assert not list(pathlib.Path().rglob("*.pt"))

    # -- the command line
    command = (sys.executable, "-m", "rollout_viewer")
    for arguments in (
        ("record", "CartPole-v1", "--num-envs=2", "--steps=9", "-o", "poles.rollout"),
        ("info", "poles.rollout", "--json"),
        ("export", "poles.rollout", "poles.mp4", "poles.csv", "--labels"),
        ("view", "poles.rollout", "--html", "page.html"),
        ("compact", "poles.rollout"),
        ("demo", "--dir=demo", "--num-envs=2", "--steps=20", "--no-open"),
    ):
        subprocess.run((*command, *arguments), check=True, stdout=subprocess.DEVNULL)

    assert "torch" not in sys.modules


class _Foreign:
    """A logger that takes tensors alone."""

    def log_video(self, name, video, step=None):
        raise AssertionError("no tensor can be made")


def _has_no_torch() -> bool:
    try:
        return importlib.util.find_spec("torch") is None
    except ModuleNotFoundError:
        return True


def _is_refused(call, message: str) -> None:
    from rollout_viewer import MissingDependencyError

    said = "nothing"
    try:
        call()
    except MissingDependencyError as error:
        said = str(error)
    assert message in said, said


if __name__ == "__main__":
    main()
