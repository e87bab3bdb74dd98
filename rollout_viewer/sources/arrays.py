"""Recordings of arrays that exist already; see `from_arrays`."""

from rollout_viewer._cache.arrays import from_arrays

__all__ = ["from_arrays"]
