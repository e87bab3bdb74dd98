"""The hooks of Isaac Lab's recorder manager as rows of a recording.

A step is one row: after it, before ended envs are reset, cameras show the last pictures
of their episodes. A reset has a row where the env draws once more then; else its first
picture is that after its first step. Rows are appended by the hook after theirs: until
then their tensors come from the device, while the simulation goes on. Knows recorders.
Does not import Isaac Lab.
"""

from __future__ import annotations

import functools
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import StorageError
from rollout_viewer._frames.convert import FloatScale
from rollout_viewer._recorder.faults import always_raises
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import IDLE, RESET, STEP
from rollout_viewer.sources._device_calls import DeviceCalls, Render
from rollout_viewer.sources._spaces import observation_data, parts_like
from rollout_viewer.sources.isaaclab._env_values import (
    camera_names,
    env_mask,
    metadata_of,
    pictured_envs,
    pictures_of,
    renders_after_reset,
    step_values,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._device_calls import CallHere
    from rollout_viewer.sources._spaces import Part


class _Waiting(NamedTuple):
    """A call that has no row yet."""

    call: CallHere
    append: Callable[[CallHere], object]


class HookRows:
    """Records an env of Isaac Lab, told by the hooks of a recorder term.

    Args:
        env: A `ManagerBasedEnv`, with or without rewards and ends; not kept alive.
        cache: Where to record, as of `Recorder`.
        envs: Whose pictures are recorded: how many, or their numbers; None: all.
        cameras: Names of sensors; None: all with color; empty: no pictures.
        with_observations: Record the numbers in the env's observations.
        success_term: Name of the termination term that means success.
        **options: Of `Recorder`.

    Attributes:
        recorder: Makes the rows.
        device_calls: Counts copies and waits.

    Raises:
        RenderError: The env has none of the cameras.
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        env: Any,
        *,
        cache: Any = None,
        envs: Any = None,
        cameras: Sequence[str] | None = None,
        with_observations: bool = True,
        success_term: str = "success",
        **options: Any,
    ) -> None:
        self._find_env = _weakly(env)
        self._num_envs: int = env.num_envs
        self._cameras = camera_names(env, cameras)
        self._pictured = pictured_envs(envs, self._num_envs) if self._cameras else []
        metadata, fps = metadata_of(env)
        # Before the recorder, which may make a file: what is above may raise.
        self.recorder = Recorder(
            self._num_envs,
            cache=cache,
            envs=self._pictured or None,
            metadata=metadata,
            fps=fps,
            **options,
        )
        self.device_calls = DeviceCalls()
        self._scales = {camera: FloatScale() for camera in self._cameras}
        self._success_term = success_term
        self._with_observations = with_observations
        self._parts: list[Part] | None = None
        self._waiting: list[_Waiting] = []
        self._has_rows = False
        # Held while rows are appended: a reader in another thread, or in a function
        # that the recorder calls, finds those that are there.
        self._lock = threading.Lock()
        self.recorder.cache.before_reading(self.complete)

    def note_step(self) -> None:
        """Record a step, which has been computed; ended envs are not reset yet."""
        self.append_waiting()
        values = step_values(self._env, self._success_term)
        if not self._with_observations:
            values["obs"] = None
        if self._parts is None:
            self._parts = parts_like(values["obs"] or {}, self._num_envs)
        with_pictures = self.recorder.takes_each_call
        self._start(values, self._append_step, with_pictures=with_pictures)

    def note_reset(self, env_ids: Any) -> None:
        """Record a reset of some envs, which has been done.

        Args:
            env_ids: Numbers, a slice, or None: all.
        """
        mask = env_mask(env_ids, self._num_envs)
        is_drawn = renders_after_reset(self._env) and bool(mask[self._pictured].any())
        append = functools.partial(self._append_reset, mask, is_drawn=is_drawn)
        self._start({}, append, with_pictures=is_drawn)

    def _start(
        self,
        values: dict[str, Any],
        append: Callable[[CallHere], object],
        *,
        with_pictures: bool,
    ) -> None:
        renders = {}
        if with_pictures:
            for camera, scale in self._scales.items():
                pictures = functools.partial(self._selected, camera)
                renders[camera] = Render(pictures, scale)
        call = self.device_calls.bring(values, self._wants, renders)
        may_wait = (
            # The env changes its tensors of this side in place,
            not call.is_local
            # the recorder may ask for pictures that are not in the call,
            and self.recorder.takes_each_call
            # and the first row shows whether such an env can be recorded at all.
            and self._has_rows
        )
        is_next = not (self._waiting or call.is_on_its_way)
        self._waiting.append(_Waiting(call, append))
        if is_next or not may_wait:
            self.append_waiting()

    def _selected(self, camera: str) -> Any:
        batch = pictures_of(self._env, camera)
        return self.device_calls.select(batch, self._pictured)

    def _wants(self, path: tuple[Any, ...], tensor: Any) -> bool:
        del tensor
        if path[0] == "obs":
            return any(part.path == path[1:] for part in self._parts or ())
        return path[0] != "info" or self.recorder.may_want_info(path[1])

    # -- rows

    @property
    def is_waiting(self) -> bool:
        """Whether a call has no row yet."""
        return bool(self._waiting)

    @property
    def _env(self) -> Any:
        return self._find_env()

    def append_waiting(self) -> None:
        """Append the rows whose tensors have come, or wait for them.

        Raises:
            Exception: One cannot be recorded; it has no row then, and the others do.
        """
        with self._lock:
            self._append_all()

    def complete(self) -> None:
        """Append them before the recording is read, unless that is being done.

        What cannot be recorded is a warning: it is no fault of whoever reads.
        """
        if not self._waiting or self._lock.locked():
            return
        # Not `acquire(blocking=False)`: interrupted, its result would be lost.
        with self._lock:
            try:
                self._append_all()
            except Exception as error:
                if always_raises(error):
                    raise
                lost = "This step is counted by the next row."
                self.recorder.warning.warn(error, lost)

    def _append_all(self) -> None:
        error: Exception | None = None
        while self._waiting:
            waiting = self._waiting.pop(0)
            num_calls = self.recorder.num_calls
            with waiting.call:
                try:
                    waiting.append(waiting.call)
                except Exception as one:
                    error = error or one
                    # Here, and not by whoever is told of it: resets may follow.
                    is_step = waiting.append == self._append_step
                    if is_step and num_calls == self.recorder.num_calls:
                        self.recorder.add_unknown_step()
        if error is not None:
            raise error

    def _append_step(self, call: CallHere) -> None:
        values = call.values()
        obs, info = values.pop("obs"), values.pop("info")
        self.recorder.add(
            np.full(self._num_envs, STEP, np.uint8),
            functools.partial(self._pictures, call),
            data=observation_data(obs, self._parts or [], [self._num_envs]),
            step_info=info or None,
            **values,
        )
        self._has_rows = True

    def _append_reset(self, mask: Mask, call: CallHere, *, is_drawn: bool) -> None:
        self.recorder.add(
            np.where(mask, RESET, IDLE),
            functools.partial(self._pictures, call if is_drawn else None),
            # Without pictures the episode begins with its first step.
            is_kept=is_drawn,
        )

    def _pictures(self, call: CallHere | None) -> Any:
        """Return the pictures of the recorded envs, by camera; None: no cameras."""
        if not self._cameras:
            return None
        if call is None:  # not drawn yet
            return {camera: [None] * len(self._pictured) for camera in self._cameras}
        found = {}
        for camera in self._cameras:
            if call.has_camera(camera):
                found[camera] = call.pictures(camera)
            else:  # the recorder was not expected to ask
                found[camera] = self._selected(camera)
        return found

    def finish(self) -> None:
        """Append all rows, and write them to the file; a full disk is a warning."""
        try:
            self.append_waiting()
        except Exception as error:
            if always_raises(error):
                raise
            self.recorder.warning.warn(error, "The last step has no row.")
        try:
            self.recorder.finish()
        except StorageError as error:
            self.recorder.warning.warn(error, "The simulation goes on.")


def _weakly(env: Any) -> Callable[[], Any]:
    """Return what returns the env, as long as there is one."""
    try:
        return weakref.ref(env)
    except TypeError:
        return lambda: env
