"""TensorDictRecorder: TorchRL's transform that keeps tensordicts and saves them.

Knows tensordicts and files. Knows nothing of pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tensordict import LazyStackedTensorDict
from torchrl.record import recorder as _originals

from rollout_viewer._files.names import path_inside
from rollout_viewer._files.new_files import new_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensordict import TensorDictBase


class TensorDictRecorder(_originals.TensorDictRecorder):  # type: ignore[misc]  # untyped base
    """Keeps each `skip`-th tensordict of resets and steps; `dump` saves their stack.

    TorchRL's, with a `dump` that works; TorchRL's always fails. It keeps copies, where
    TorchRL keeps the tensordict itself, which the loop may change later.

    Args:
        out_file_base: Start of the files' names,
            ``<out_file_base>[_<suffix>]_tensordict.t``, for
            ``torch.load(path, weights_only=False)``. A name in use gets ``-1``,
            ``-2``, ... before ``.t``.
        skip_reset: Leave out the first one kept (as a rule the reset's), and those of
            later resets, which have no reward and do not stack with steps.
        skip: Keep each n-th reset or step.
        in_keys: The keys to keep; None: all.

    Raises:
        ValueError: `skip` is below 1.
    """

    td: list[TensorDictBase]

    def __init__(
        self,
        out_file_base: str,
        skip_reset: bool = True,
        skip: int = 4,
        in_keys: Sequence[Any] | None = None,
    ) -> None:
        if type(skip) is not int or skip < 1:
            raise ValueError(
                f"TensorDictRecorder: expected skip to be 1 or more, got {skip!r}."
            )
        if isinstance(in_keys, (str, tuple)):
            in_keys = [in_keys]
        super().__init__(str(out_file_base), skip_reset, skip, in_keys)
        self._are_resets: list[bool] = []

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._keep(next_tensordict, is_reset=False)

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return self._keep(tensordict_reset, is_reset=True)

    def _keep(self, tensordict: TensorDictBase, *, is_reset: bool) -> TensorDictBase:
        self.count += 1
        if self.count % self.skip == 0:
            kept = tensordict.select(*self.in_keys) if self.in_keys else tensordict
            self.td.append(kept.clone())
            self._are_resets.append(is_reset)
        return tensordict

    def dump(self, suffix: str | None = None, step: int | None = None) -> Path | None:
        """Save what was kept since the last dump; without any, do nothing.

        Args:
            suffix: Of the file's name.
            step: Not used; `Compose.dump` passes it.

        Returns:
            The file, or None.

        Raises:
            ValueError: `suffix` leads out of the folder.
            ExportError: It cannot be written; what was kept stays.
        """
        kept = self.td
        if self.skip_reset:
            resets = zip(self.td[1:], self._are_resets[1:], strict=True)
            kept = [one for one, is_reset in resets if not is_reset]
        if not kept:
            return None
        where = "TensorDictRecorder.dump"
        base = Path(self.out_file_base)
        name = base.name if suffix is None else f"{base.name}_{suffix}"
        path = path_inside(base.parent, name, "_tensordict.t", where=where)
        stack = LazyStackedTensorDict.maybe_dense_stack(kept, 0)
        with new_file(path, where=where) as file:
            torch.save(stack, file.part)
        self.td, self._are_resets = [], []
        self.iter += 1
        self.count = 0
        return file.path

    def clone(self) -> TensorDictRecorder:
        """Return a copy without a parent, and without the tensordicts so far."""
        copy: TensorDictRecorder = super().clone()
        copy.td, copy._are_resets = [], []
        copy.count = 0
        return copy
