"""Checksums of observations that are not recorded whole, for a replay to compare with.

Knows rows. Knows no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._replay.observations import CHECKSUM, checksum, leaves

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from rollout_viewer._replay.probe import Probe


class ObservationCheck:
    """Adds to a row's data a checksum of what else is in its observation.

    Args:
        names: Of the recorded parts.
        probes: Have the checksums of what is below wrappers that keep statistics, one
            for each env; (): there are none.
    """

    def __init__(self, names: Collection[str], probes: Sequence[Probe] = ()) -> None:
        self._names = frozenset(names)
        self._probes = probes
        self._is_needed: bool | None = None

    @property
    def has_probes(self) -> bool:
        """Whether what is below wrappers is compared."""
        return bool(self._probes)

    def of_one(self, data: dict[str, Any] | None, obs: Any) -> dict[str, Any] | None:
        """Return the data of a row of one env."""
        if self._probes:
            crc = self._probes[0].checksum
        elif self._needs(obs):
            crc = checksum(obs, self._names)
        else:
            return data
        return {**(data or {}), CHECKSUM: np.array([crc], np.uint32)}

    def of_batch(
        self, data: dict[str, Any] | None, obs: Any, num_envs: int
    ) -> dict[str, Any] | None:
        """Return the data of a row of many envs."""
        if self._probes:
            crcs = [one.checksum for one in self._probes]
        elif self._needs(obs):
            crcs = [self.of_env(obs, env) for env in range(num_envs)]
        else:
            return data
        return {**(data or {}), CHECKSUM: np.array(crcs, np.uint32)}

    def with_final(
        self, data: dict[str, Any] | None, final: Mapping[int, Any]
    ) -> dict[str, Any] | None:
        """Return the data of a row with the checksums of final observations."""
        if data is None or CHECKSUM not in data:
            return data
        crcs: npt.NDArray[np.uint32] = np.array(data[CHECKSUM])
        for env, obs in final.items():
            if self._probes:
                crcs[env] = self._probes[env].step_checksum
            else:
                crcs[env] = checksum(obs, self._names)
        return {**data, CHECKSUM: crcs}

    def of_env(self, obs: Any, env: int) -> int:
        """Return the checksum of one env's part of a batch."""
        return checksum(part_of(obs, env), self._names)

    def _needs(self, obs: Any) -> bool:
        if self._is_needed is None:
            found: Sequence[str] = [name for name, _ in leaves(obs)]
            self._is_needed = not self._names.issuperset(found)
        return self._is_needed


def part_of(batch: Any, env: int) -> Any:
    """Return one env's part of a batch, or of batches in dicts and tuples."""
    if isinstance(batch, Mapping):
        return {key: part_of(one, env) for key, one in batch.items()}
    if isinstance(batch, tuple) and not isinstance(batch[0], (int, float, str)):
        return tuple(part_of(one, env) for one in batch)
    return batch[env]
