"""Stand-in of the recorder manager: configurations, terms, and who calls them."""

import enum
import os

import torch

from ..utils import configclass
from ..utils.datasets import EpisodeData, HDF5DatasetFileHandler


class DatasetExportMode(enum.IntEnum):
    EXPORT_NONE = 0
    EXPORT_ALL = 1
    EXPORT_SUCCEEDED_FAILED_IN_SEPARATE_FILES = 2
    EXPORT_SUCCEEDED_ONLY = 3


@configclass
class RecorderTermCfg:
    class_type: type | None = None


@configclass
class RecorderManagerBaseCfg:
    dataset_file_handler_class_type: type = HDF5DatasetFileHandler
    dataset_export_dir_path: str = "/tmp/isaaclab/logs"
    dataset_filename: str = "dataset"
    dataset_export_mode: DatasetExportMode = DatasetExportMode.EXPORT_ALL
    export_in_record_pre_reset: bool = True


class RecorderTerm:
    """Called at five places; each returns a key and a value, or None twice."""

    def __init__(self, cfg, env):
        self.cfg = cfg
        self._env = env

    def reset(self, env_ids=None):
        pass

    def record_pre_reset(self, env_ids):
        return None, None

    def record_post_reset(self, env_ids):
        return None, None

    def record_pre_step(self):
        return None, None

    def record_post_step(self):
        return None, None

    def record_post_physics_decimation_step(self):
        return None, None

    def close(self, file_path):
        pass


class RecorderManager:
    """Calls the terms of a configuration; exports the episodes that they fill."""

    def __init__(self, cfg, env):
        self.cfg, self._env = cfg, env
        settings = set(vars(RecorderManagerBaseCfg()))
        terms = {n: c for n, c in vars(cfg).items() if n not in settings and c}
        if not isinstance(cfg, RecorderManagerBaseCfg):
            raise TypeError(f"not a RecorderManagerBaseCfg: {cfg!r}")
        self._terms = {name: one.class_type(one, env) for name, one in terms.items()}
        for name, term in self._terms.items():
            if not isinstance(term, RecorderTerm):
                raise TypeError(f"not a RecorderTerm: {name}")
        self._episodes = {env_id: EpisodeData() for env_id in range(env.num_envs)}
        self._handlers = {}
        if self._terms and cfg.dataset_export_mode != DatasetExportMode.EXPORT_NONE:
            names = {True: ""}
            if (
                cfg.dataset_export_mode
                == DatasetExportMode.EXPORT_SUCCEEDED_FAILED_IN_SEPARATE_FILES
            ):
                names[False] = "_failed"
            for is_success, end in names.items():
                handler = cfg.dataset_file_handler_class_type()
                path = os.path.join(
                    cfg.dataset_export_dir_path, cfg.dataset_filename + end
                )
                handler.create(path, env_name=getattr(env.cfg, "env_name", None))
                self._handlers[is_success] = handler

    @property
    def active_terms(self):
        return list(self._terms)

    def reset(self, env_ids=None):
        for env_id in self._numbers(env_ids):
            self._episodes[env_id] = EpisodeData()
        for term in self._terms.values():
            term.reset(env_ids=env_ids)
        return {}

    def record_pre_step(self):
        self._call("record_pre_step", None)

    def record_post_step(self):
        self._call("record_post_step", None)

    def record_post_physics_decimation_step(self):
        self._call("record_post_physics_decimation_step", None)

    def record_pre_reset(self, env_ids):
        numbers = self._numbers(env_ids)
        self._call("record_pre_reset", numbers, numbers)
        terms = getattr(self._env, "termination_manager", None)
        for env_id in numbers:
            has_it = terms is not None and "success" in terms.active_terms
            is_success = has_it and bool(terms.get_term("success")[env_id])
            self._episodes[env_id].success = is_success
        if self.cfg.export_in_record_pre_reset:
            self.export_episodes(numbers)

    def record_post_reset(self, env_ids):
        self._call("record_post_reset", self._numbers(env_ids), env_ids)

    def export_episodes(self, env_ids=None):
        for env_id in self._numbers(env_ids):
            episode = self._episodes[env_id]
            self._episodes[env_id] = EpisodeData()
            mode = self.cfg.dataset_export_mode
            if episode.is_empty() or not self._handlers:
                continue
            if mode == DatasetExportMode.EXPORT_SUCCEEDED_ONLY and not episode.success:
                continue
            episode.pre_export()
            handler = self._handlers.get(bool(episode.success), self._handlers[True])
            handler.write_episode(episode)
        for handler in self._handlers.values():
            handler.flush()

    def close(self):
        for term in self._terms.values():
            term.close(self.cfg.dataset_export_dir_path)
        for handler in self._handlers.values():
            handler.close()

    def _numbers(self, env_ids):
        every = list(range(self._env.num_envs))
        if env_ids is None:
            return every
        if isinstance(env_ids, slice):
            return every[env_ids]
        return env_ids.tolist() if isinstance(env_ids, torch.Tensor) else list(env_ids)

    def _call(self, hook, numbers, *arguments):
        for term in self._terms.values():
            key, value = getattr(term, hook)(*arguments)
            if key is not None:
                self._add(key, value, self._numbers(numbers))

    def _add(self, key, value, numbers):
        if isinstance(value, dict):
            for name, one in value.items():
                self._add(f"{key}/{name}", one, numbers)
            return
        for place, env_id in enumerate(numbers):
            self._episodes[env_id].add(key, value[place])
