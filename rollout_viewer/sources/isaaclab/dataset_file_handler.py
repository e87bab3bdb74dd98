"""A dataset handler of Isaac Lab whose file is a recording."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from isaaclab.utils.datasets import EpisodeData
from isaaclab.utils.datasets.dataset_file_handler_base import DatasetFileHandlerBase

from rollout_viewer._cache.cache import FrameCache, open_recording
from rollout_viewer._errors import StorageError, warn_once
from rollout_viewer._recording.storable import storable_json
from rollout_viewer.sources._device_copies import DeviceCopies
from rollout_viewer.sources.isaaclab._episode_rows import (
    ACTIONS,
    append_episode,
    as_json,
    described,
    leaves_from,
    leaves_of,
    read_episode,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIX = ".rollout"
# Keys of what is kept in the file: of each episode, and of the environment.
_EPISODE, _ENV_ARGS = "isaaclab_episode/", "isaaclab_env_args"


class RolloutDatasetFileHandler(DatasetFileHandlerBase):  # type: ignore[misc]  # untyped
    """Keeps the episodes that Isaac Lab exports in a recording, and reads them.

    For ``dataset_file_handler_class_type``, in place of `HDF5DatasetFileHandler`, with
    its methods and its names of episodes. All tensors come back as they were, on
    any device; camera pictures (uint8, three channels) are compressed as a recording's,
    and `rollout_viewer.open` shows them, one episode after the other. Differs from it:
    a file that exists stays, and the new one gets ``-1``, ... before its suffix; and a
    disk that is full while episodes are exported is a warning.
    """

    def __init__(self) -> None:
        self._cache: FrameCache | None = None
        self._episodes: dict[str, dict[str, Any]] = {}
        self._env_args: dict[str, Any] = {}
        self._copies = DeviceCopies()
        self._num_numbered = 0

    # -- files

    def open(self, file_path: str, mode: str = "r") -> None:
        """Open a recording that this class wrote, for reading.

        Args:
            file_path: With or without the suffix ``.rollout``.
            mode: Only "r".

        Raises:
            RuntimeError: A file is open already.
            ValueError: `mode` is another one.
            RecordingError: There is no such recording.
        """
        self._check_is_closed()
        if mode != "r":
            raise ValueError(
                "RolloutDatasetFileHandler.open: expected mode 'r', got "
                f"{mode!r}. Write episodes into a new file with create()."
            )
        path = Path(file_path)
        self._cache = open_recording(path if path.exists() else _with_suffix(file_path))
        meta = self._cache.recording.meta
        found = {
            key.removeprefix(_EPISODE): dict(value)
            for key, value in meta.items()
            if key.startswith(_EPISODE)
        }
        # In the order in which they were written.
        self._episodes = dict(sorted(found.items(), key=lambda one: one[1]["start"]))
        self._env_args = dict(meta.get(_ENV_ARGS, {}))

    def create(self, file_path: str, env_name: str | None = None, **_: Any) -> None:
        """Create a recording.

        Args:
            file_path: The suffix ``.rollout`` is added where it is missing; folders
                are made.
            env_name: Of the environment.
            **_: What forks of Isaac Lab pass besides.

        Raises:
            RuntimeError: A file is open already.
            RecordingError: The path cannot be written.
        """
        self._check_is_closed()
        path = _with_suffix(file_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._cache = FrameCache(path, metadata={"env_id": env_name or ""})
        self._episodes, self._num_numbered = {}, 0
        self._env_args = {}
        self.add_env_args({"env_name": env_name or "", "type": 2})

    @property
    def path(self) -> Path:
        """The file; its name may have a number more than was asked for."""
        return Path(self._opened().path)

    def flush(self) -> None:
        """Write everything to the file; a full disk is a warning."""
        self._without_fault(self._opened().flush)

    def close(self) -> None:
        """Complete and close the file, if one is open; a full disk is a warning."""
        cache, self._cache = self._cache, None
        if cache is not None:
            self._without_fault(cache.close)

    def __del__(self) -> None:
        # As Python ends, names that it needs may be gone.
        with contextlib.suppress(Exception):
            if getattr(self, "_cache", None) is not None:
                self.close()

    def _without_fault(self, write: Any) -> None:
        try:
            write()
        except StorageError as error:
            warn_once(
                f"RolloutDatasetFileHandler: expected room for the episodes, {error} "
                "The simulation goes on."
            )

    # -- about the environment

    def add_env_args(self, env_args: dict[str, Any]) -> None:
        """Add to what is kept of the environment: JSON values."""
        cache = self._opened()
        self._env_args.update(env_args)
        cache.set_meta(_ENV_ARGS, storable_json(self._env_args))

    def set_env_name(self, env_name: str) -> None:
        """Set the name of the environment."""
        self.add_env_args({"env_name": env_name})

    def get_env_name(self) -> str | None:
        """Return the name of the environment; None: it is not known."""
        self._opened()
        name = self._env_args.get("env_name")
        return None if name is None else str(name)

    # -- episodes

    def get_episode_names(self) -> Iterable[str]:
        """Return the names of the episodes, ``demo_0``, ..."""
        self._opened()
        return list(self._episodes)

    def get_num_episodes(self) -> int:
        """Return how many episodes the file has."""
        return len(self._episodes)

    @property
    def demo_count(self) -> int:
        """How many episodes the file has."""
        return len(self._episodes)

    def write_episode(self, episode: Any, demo_id: int | None = None) -> None:
        """Add an episode, after those that are there.

        Args:
            episode: An `EpisodeData`; an empty one is not written.
            demo_id: Its number; None: the next.

        Raises:
            RuntimeError: No file is open.
            ReadOnlyError: It was opened for reading.
            ValueError: There is an episode of this number.
        """
        cache = self._opened()
        if episode.is_empty():
            return
        name = f"demo_{self._num_numbered if demo_id is None else demo_id}"
        if name in self._episodes:
            raise ValueError(
                f"RolloutDatasetFileHandler.write_episode: expected a new number, got "
                f"{name!r}, which {self.path} has."
            )
        found = leaves_of(episode.data)
        with self._copies.start([value for _, value in found]) as transfer:
            arrays = [np.asarray(array) for array in transfer.arrays()]
            leaves = described(found, arrays)
            by_path = {path: a for (path, _), a in zip(found, arrays, strict=True)}
            start, stop = append_episode(
                cache,
                leaves,
                {leaf.name: by_path[leaf.path] for leaf in leaves},
                name=name,
                seed=None if episode.seed is None else int(episode.seed),
                success=None if episode.success is None else bool(episode.success),
            )
        self._keep(name, episode, leaves, start, stop)
        if demo_id is None:
            self._num_numbered += 1

    def _keep(
        self, name: str, episode: Any, leaves: Any, start: int, stop: int
    ) -> None:
        cache = self._opened()
        num_samples = next((one.length for one in leaves if one.path == (ACTIONS,)), 0)
        success = None if episode.success is None else bool(episode.success)
        self._episodes[name] = {
            "start": start,
            "stop": stop,
            "num_samples": num_samples,
            "seed": None if episode.seed is None else int(episode.seed),
            "success": success,
            "env_id": episode.env_id if isinstance(episode.env_id, int) else None,
            "tensors": as_json(leaves),
        }
        cache.set_meta(_EPISODE + name, self._episodes[name])

    def load_episode(
        self, episode_name: str, device: Any = "cpu", **_: Any
    ) -> EpisodeData | None:
        """Return an episode with its tensors as they were; None: there is none.

        Args:
            episode_name: As of `get_episode_names`.
            device: Of the tensors.
            **_: What releases of Isaac Lab pass besides, of its own files.

        Raises:
            RecordingError: A row of it is damaged, or its pictures were evicted.
        """
        import torch

        cache = self._opened()
        known = self._episodes.get(episode_name)
        if known is None:
            return None
        leaves = leaves_from(known["tensors"])
        dtypes = {leaf.path: getattr(torch, leaf.dtype) for leaf in leaves}

        def tensors(within: dict[str, Any], path: tuple[str, ...] = ()) -> Any:
            return {
                key: tensors(value, (*path, key))
                if isinstance(value, dict)
                else torch.tensor(value, device=device, dtype=dtypes[(*path, key)])
                for key, value in within.items()
            }

        episode = EpisodeData()
        episode.data = tensors(read_episode(cache, known["start"], leaves))
        for name in ("seed", "success", "env_id"):
            if known[name] is not None:
                setattr(episode, name, known[name])
        return episode

    # -- states

    def _opened(self) -> FrameCache:
        if self._cache is None:
            raise RuntimeError(
                "RolloutDatasetFileHandler: expected an open file, got none. Call "
                "create() or open() first."
            )
        return self._cache

    def _check_is_closed(self) -> None:
        if self._cache is not None:
            raise RuntimeError(
                "RolloutDatasetFileHandler: expected no open file, got "
                f"{self.path}. Call close() first."
            )


def _with_suffix(file_path: str) -> Path:
    name = os.fspath(file_path)
    return Path(name if name.endswith(_SUFFIX) else name + _SUFFIX)
