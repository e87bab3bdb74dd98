"""Which pictures of a call are recorded, and which part of them, at which size.

Knows pictures. Knows nothing of rows and episodes.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._frames.convert import FloatScale, split_frames
from rollout_viewer._frames.transform import crop, resize
from rollout_viewer._recorder.recorder_checks import checked_box, checked_envs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._replay.recipe import Recipe

    Frame = npt.NDArray[np.uint8]


class FrameOptions:
    """A choice of envs, a crop and a size; each may be None.

    Attributes:
        envs: Numbers of the envs whose pictures are recorded.
        crop: (height, width) of the middle, or (top, left, height, width), in pixels.
        resize: (height, width) in pixels, after the crop.
        shares_picture: Where there is one picture, it is of all envs.

    Raises:
        ShapeError: `envs` are not different numbers below `num_envs`.
        FrameError: A box is not of integers, or empty.
    """

    def __init__(
        self,
        num_envs: int,
        envs: Sequence[int] | None,
        crop: Sequence[int] | None,
        resize: Sequence[int] | None,
        *,
        shares_picture: bool = False,
    ) -> None:
        self.envs = checked_envs(envs, num_envs)
        self.crop = checked_box("crop", crop, (2, 4))
        self.resize = checked_box("resize", resize, (2,))
        self.shares_picture = shares_picture
        self._scale = FloatScale()
        # Whether each env had its own picture before: one of all is a fault then.
        self._has_each = False

    def apply(self, pictures: Any, num_envs: int) -> tuple[Any, list[int] | None]:
        """Return the pictures to record, and which envs they show (None: all).

        Args:
            pictures: Of each env, of those in `envs` or of them all; or a dict of
                such, by camera.
            num_envs: Of the batch.
        """
        is_whole = self.crop is None and self.resize is None and self.envs is None
        images = pictures
        if type(images) is dict and len(images) == 1:
            (images,) = images.values()
        if is_whole and type(images) is list and len(images) == num_envs:
            # Nearly always; what is below would return them, too.
            self._has_each = self._has_each or num_envs > 1
            return pictures, None
        if isinstance(pictures, dict):
            applied = {
                camera: self.apply(of_camera, num_envs)
                for camera, of_camera in pictures.items()
            }
            shown = [numbers for _, numbers in applied.values()]
            by_camera = {camera: one for camera, (one, _) in applied.items()}
            return by_camera, shown[0] if shown else None
        if isinstance(pictures, list):
            if len(pictures) == 1 < num_envs and not self._has_each:
                self._check_shared(num_envs)
            self._has_each = self._has_each or len(pictures) == num_envs > 1
        # `_check_shared` may have chosen env 0.
        if is_whole and self.envs is None:
            return pictures, None
        frames = split_frames(pictures, scale=self._scale)
        envs = None
        if self.envs is not None and len(frames) == num_envs:
            envs = self.envs
            frames = [frames[env] for env in envs]
        elif not self.shares_picture and len(frames) == len(self.envs or ()):
            envs = self.envs
        return [None if frame is None else self._fit(frame) for frame in frames], envs

    def apply_later(self, recipe: Recipe) -> Recipe:
        """Return a recipe with what is to be pictured, and how."""
        return replace(recipe, envs=self.envs, crop=self.crop, resize=self.resize)

    def _check_shared(self, num_envs: int) -> None:
        """Take one picture of several envs as env 0's, unless it is known to be all's.

        Libraries of many envs render the first alone, as EnvPool and VMAS do.
        """
        if self.shares_picture or (self.envs is not None and len(self.envs) == 1):
            return
        self.envs = [0]
        warnings.warn(
            f"record: expected a picture of each of {num_envs} envs, got one. It is "
            "recorded as that of env 0. If it shows them all, set "
            "env.metadata['shared_picture'] = True before record(env).",
            RolloutViewerWarning,
            stacklevel=2,
        )

    def _fit(self, frame: Frame) -> Frame:
        if self.crop is not None:
            frame = crop(frame, self.crop)
        if self.resize is not None:
            frame = resize(frame, (self.resize[0], self.resize[1]))
        return frame
