"""An array of pixels that a notebook shows as the picture it is."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._export.png import encode_png

if TYPE_CHECKING:
    import numpy.typing as npt


class Snapshot(np.ndarray):
    """A picture, uint8 (H, W, 3), shown as such at the end of a cell.

    Slices of it, and what is computed from it, are plain arrays.
    """

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kw: Any) -> Any:
        """Compute as plain arrays do, `out` and ``where`` included."""
        if "out" in kw:
            kw["out"] = tuple(map(_plain, kw["out"]))
        kw = {name: _plain(value) for name, value in kw.items()}
        return getattr(ufunc, method)(*map(_plain, inputs), **kw)

    def __getitem__(self, key: Any) -> Any:
        return _plain(self)[key]

    def __repr__(self) -> str:
        return repr(_plain(self))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str] | None:
        # A method such as `transpose` keeps the type: that may be no picture.
        if self.dtype != np.uint8 or self.ndim != 3 or self.shape[-1] != 3:
            return None
        if not self.size:
            return None
        png = base64.b64encode(encode_png(_plain(self))).decode()
        return {"image/png": png, "text/plain": repr(self)}


def as_snapshot(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture, uint8 (H, W, 3), in the same memory, that shows itself."""
    return picture.view(Snapshot)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Snapshot) else value
