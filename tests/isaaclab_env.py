"""A simulation that calls a recorder manager as `ManagerBasedRLEnv` does."""

import types
from typing import Any

import numpy as np
import torch

from rollout_viewer.testing import counting_frame
from tests import isaaclab_stand_in

_names = isaaclab_stand_in.load()
RecorderManager: Any = _names["RecorderManager"]
RecorderManagerBaseCfg: Any = _names["RecorderManagerBaseCfg"]
RecorderTerm: Any = _names["RecorderTerm"]
RecorderTermCfg: Any = _names["RecorderTermCfg"]
DatasetExportMode: Any = _names["DatasetExportMode"]
EpisodeData: Any = _names["EpisodeData"]
configclass: Any = _names["configclass"]
RolloutDatasetFileHandler: Any = _names["RolloutDatasetFileHandler"]
RolloutRecorder: Any = _names["RolloutRecorder"]
RolloutRecorderCfg: Any = _names["RolloutRecorderCfg"]
RolloutRecorderManagerCfg: Any = _names["RolloutRecorderManagerCfg"]
recorder_of: Any = _names["recorder_of"]


class Camera:
    """Shows env and moment of the env, as the last drawing was."""

    def __init__(self, env, data_types=("rgb",), channels=3):
        self._env = env
        self.cfg = types.SimpleNamespace(data_types=list(data_types))
        self.channels = channels
        self.num_reads = 0

    @property
    def data(self):
        self.num_reads += 1
        return types.SimpleNamespace(output=self.output())

    def output(self):
        env = self._env
        batch = np.stack([counting_frame(int(n), e) for e, n in enumerate(env.drawn)])
        if self.channels == 4:
            batch = np.concatenate([batch, np.full_like(batch[..., :1], 255)], axis=-1)
        return {"rgb": env.on_device(torch.from_numpy(batch))}


class Terminations:
    def __init__(self, env):
        self._env = env
        self.active_terms = ["success", "time_out"]
        self.compute()

    def compute(self):
        count, place = self._env.count, torch.arange(self._env.num_envs)
        # Env e ends after e % 3 + 2 steps, each third by success.
        over = count >= place % 3 + 2
        self._terms = {"success": over & (place % 3 == 0)}
        self._terms["time_out"] = over & ~self._terms["success"]

    def get_term(self, name):
        return self._env.on_device(self._terms[name])

    @property
    def terminated(self):
        return self._env.on_device(self._terms["success"])

    @property
    def time_outs(self):
        return self._env.on_device(self._terms["time_out"])


class StickyTerminations(Terminations):
    """Of Isaac Lab 2.2 and 2.3: a term keeps how the last episode of an env ended.

    Source: ``TerminationManager.compute``; isaac-sim/IsaacLab, issue 3720.
    """

    def compute(self):
        super().compute()
        if not hasattr(self, "_last"):
            self._last = {k: torch.zeros_like(v) for k, v in self._terms.items()}
        for name, ended in self._terms.items():
            for last in self._last.values():
                last[ended] = False
            self._last[name][ended] = True

    def get_term(self, name):
        return self._env.on_device(self._last[name])


class RLEnv:
    """Counts steps. Reward: the step; observation: step and env; action: as given."""

    step_dt = 0.05

    def __init__(self, recorders, num_envs=4, *, on_device=lambda t: t, cameras=None):
        self.num_envs = num_envs
        self.device = "cpu"
        self.on_device = on_device
        self.cfg = types.SimpleNamespace(env_name="Counting", num_rerenders_on_reset=0)
        self.count = torch.zeros(num_envs, dtype=torch.int64)
        self.drawn = self.count.clone()
        sensors = {"front": Camera(self)} if cameras is None else cameras(self)
        self.scene = types.SimpleNamespace(sensors=sensors)
        self.action_manager = types.SimpleNamespace(action=None)
        # Isaac Lab makes it before the managers of rewards and ends.
        self.recorder_manager = RecorderManager(recorders, self)
        self.termination_manager = Terminations(self)
        self.reward_buf = on_device(torch.zeros(num_envs))
        self.obs_buf = {}

    @property
    def unwrapped(self):
        return self

    def observe(self):
        step_and_env = torch.stack([self.count, torch.arange(self.num_envs)], dim=1)
        self.obs_buf = {"policy": self.on_device(step_and_env.float())}
        return self.obs_buf

    def draw(self):
        self.drawn = self.count.clone()

    def reset(self, env_ids=None):
        self.recorder_manager.record_pre_reset(env_ids)
        self._reset(slice(None) if env_ids is None else env_ids)
        self.recorder_manager.record_post_reset(env_ids)
        return self.observe(), {}

    def _reset(self, env_ids):
        self.count[env_ids] = 0
        self.recorder_manager.reset(env_ids)
        if self.cfg.num_rerenders_on_reset:
            self.draw()

    def step(self, action):
        self.action_manager.action = self.on_device(action)
        self.recorder_manager.record_pre_step()
        self.count += 1
        self.draw()
        ends = self.termination_manager
        ends.compute()
        # In place, as simulations do.
        self.reward_buf[:] = self.count.float()
        self.observe()
        self.recorder_manager.record_post_step()
        over = ends.terminated | ends.time_outs
        ended = torch.as_tensor(over.as_subclass(torch.Tensor)).nonzero().squeeze(-1)
        if len(ended):
            self.recorder_manager.record_pre_reset(ended)
            self._reset(ended)
            self.recorder_manager.record_post_reset(ended)
        return self.observe(), self.reward_buf, ends.terminated, ends.time_outs, {}


class Steps(RecorderTerm):
    """What Isaac Lab's own terms return: actions, observations, states, a camera."""

    def record_post_reset(self, env_ids):
        env = self._env
        count = env.count if env_ids is None else env.count[env_ids]
        return "initial_state", {
            "articulation": {"robot": {"root_pose": count.float()}}
        }

    def record_pre_step(self):
        return "actions", self._env.action_manager.action

    def record_post_step(self):
        env = self._env
        states = {
            "robot/joint_pos": torch.stack([env.count, env.count], 1).double(),
            "grasped": env.count > 1,
            "action": env.count.to(torch.float16),
        }
        camera = env.scene.sensors["front"].data.output["rgb"]
        return "obs", {**states, "front": camera, "rewards": env.reward_buf}


@configclass
class StepsCfg(RecorderTermCfg):
    class_type: type = Steps


@configclass
class ExportCfg(RecorderManagerBaseCfg):
    dataset_file_handler_class_type: type = RolloutDatasetFileHandler
    steps: StepsCfg = StepsCfg()
