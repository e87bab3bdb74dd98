"""A recorder term of Isaac Lab that records the env while it runs."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Sequence  # noqa: TC003  configclass reads them
from typing import TYPE_CHECKING, Any

from isaaclab.managers.recorder_manager import (
    DatasetExportMode,
    RecorderManagerBaseCfg,
    RecorderTerm,
    RecorderTermCfg,
)
from isaaclab.utils import configclass

from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._process.finalizers import finalize
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer.sources._guard import SurvivesFaults
from rollout_viewer.sources.isaaclab._hook_rows import HookRows

if TYPE_CHECKING:
    from rollout_viewer._recorder.recorder import Recorder

# Env -> its recording, also when it has deleted its recorder manager.
_rows_of: weakref.WeakKeyDictionary[Any, HookRows] = weakref.WeakKeyDictionary()


class RolloutRecorder(SurvivesFaults, RecorderViews, RecorderTerm):  # type: ignore[misc]  # untyped
    """Records pictures, rewards, ends, actions, success and observations of an env.

    Into one recording, while the env runs: a row for each step of all envs, with the
    pictures of a few of them. It returns nothing to Isaac Lab's own episodes. On a GPU
    one copy a step is started and waited for by the next hook, so that the simulation
    goes on meanwhile; the newest row is there then, or when the recording is read.

    What cannot be recorded, or drawn, does not stop the simulation: it is a warning,
    once. Only the very first step, and arguments that name nothing, raise.

    An episode begins with its first step's row, or with that of its reset where the env
    renders again after resets (``env_cfg.num_rerenders_on_reset``). `Episode.success`
    is the termination term ``"success"`` at its last step, as in Isaac Lab; the other
    terms are ``data["info.ends.<name>"]``.

    Args:
        cfg: A `RolloutRecorderCfg`.
        env: A `ManagerBasedEnv`; without rewards and ends those are not recorded.

    Attributes:
        rows: Makes the rows.

    Raises:
        RenderError: The scene has none of the cameras.
        ValueError: An argument is out of its range.
    """

    cfg: RolloutRecorderCfg

    def __init__(self, cfg: RolloutRecorderCfg, env: Any) -> None:
        RecorderTerm.__init__(self, cfg, env)
        cache = cfg.cache
        self.rows = HookRows(
            env,
            cache=cache() if callable(cache) else cache,
            envs=cfg.envs,
            cameras=cfg.cameras,
            with_observations=cfg.observations,
            success_term=cfg.success_term,
            **(cfg.options or {}),
        )
        # An env that allows no weak references cannot be looked up, only recorded.
        with contextlib.suppress(TypeError):
            _rows_of[env] = self.rows
        # Isaac Lab before 2.3 calls no `close`.
        finalize(self, _append_last, self.rows)

    @property
    def recorder(self) -> Recorder:
        """Makes the rows; of `viewer` and `dump`."""
        return self.rows.recorder

    @property
    def _views_of(self) -> Recorder:
        return self.recorder

    def record_pre_step(self) -> tuple[None, None]:
        """Append the rows of the last step, which have come meanwhile."""
        if self.rows.is_waiting:
            self._record_call("step", self.rows.append_waiting)
        return None, None

    def record_post_step(self) -> tuple[None, None]:
        """Record a step; its ended envs are not reset yet."""
        self._record_call("step", self.rows.note_step)
        return None, None

    def record_post_reset(self, env_ids: Any) -> tuple[None, None]:
        """Record a reset of envs: numbers, a tensor, a slice, or None for all."""
        self._record_call("reset", self.rows.note_reset, env_ids)
        return None, None

    def close(self, file_path: str = "") -> None:
        """Write the recording to its file; it stays open and readable.

        Args:
            file_path: Isaac Lab's, of its own export.
        """
        del file_path
        self.rows.finish()


def _append_last(rows: HookRows) -> None:
    with contextlib.suppress(Exception):
        rows.append_waiting()


@configclass
class RolloutRecorderCfg(RecorderTermCfg):  # type: ignore[misc]  # untyped
    """What a `RolloutRecorder` records, and where."""

    class_type: type[RecorderTerm] = RolloutRecorder

    cache: str | Callable[[], Any] | None = None
    """A path or URL of the recording, or a function that returns a `FrameCache`, or
    what `FrameCache.remote` returned; None: a temporary file. A function, since Isaac
    Lab copies configurations and writes them to YAML."""

    envs: int | Sequence[int] | None = 16
    """Whose pictures are recorded: how many, from the first, or their numbers; None:
    all. Rewards, ends and actions are recorded of all."""

    cameras: Sequence[str] | None = None
    """Names of sensors of the scene; None: all cameras with color; empty: none, so
    that there are no pictures."""

    observations: bool = True
    """Record the numbers in the env's observations, up to 64 kB an env, as
    ``data["obs.<group>"]``."""

    success_term: str = "success"
    """Name of the termination term that means success."""

    options: dict[str, Any] | None = None
    """Others of `rollout_viewer.record`: every, keep_episode, skip, resize, crop,
    logger, tag, info, success."""


@configclass
class RolloutRecorderManagerCfg(RecorderManagerBaseCfg):  # type: ignore[misc]  # untyped
    """Records by a `RolloutRecorder`, and exports no episodes of Isaac Lab's own.

    For ``env_cfg.recorders``. Other terms may be added; to export what those record,
    set `dataset_export_mode`.
    """

    dataset_export_mode: DatasetExportMode = DatasetExportMode.EXPORT_NONE

    rollout: RolloutRecorderCfg = RolloutRecorderCfg()


def recorder_of(env: Any) -> Recorder:
    """Return what records an env: its `cache`, `viewer` and `dump`.

    Args:
        env: Of Isaac Lab, also wrapped, or closed.

    Raises:
        RolloutViewerError: It has none.

    Example: ``recorder_of(env).viewer`` as the last line of a cell.
    """
    plain = getattr(env, "unwrapped", env)
    rows = _rows_of.get(plain)
    if rows is None:
        raise RolloutViewerError(
            f"recorder_of: expected an env that a RolloutRecorder records, got "
            f"{type(plain).__name__}. Set env_cfg.recorders = "
            "RolloutRecorderManagerCfg() before it is made."
        )
    return rows.recorder
