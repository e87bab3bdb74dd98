"""A look below wrappers whose results depend on all episodes before.

`NormalizeObservation` and `NormalizeReward` keep running statistics: an episode that is
replayed alone has other ones. What is below them is compared instead. So is what is
below another library, which makes observations and ends of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rollout_viewer._replay.observations import checksum

if TYPE_CHECKING:
    from collections.abc import Sequence

    EnvWrapper = gymnasium.Wrapper[Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    EnvWrapper = gymnasium.Wrapper

# Wrappers of Gymnasium.
STATISTICS = ("NormalizeObservation", "NormalizeReward")


class Probe(EnvWrapper):
    """Passes everything on, and keeps a checksum of the last observation and reward.

    Args:
        env: What is looked at.
        has_ends: The checksum is of the ends, too.

    Attributes:
        checksum: Of the last step or reset.
        step_checksum: Of the last step, whether or not a reset followed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, has_ends: bool = False) -> None:
        super().__init__(env)
        self.checksum = self.step_checksum = 0
        self.has_ends = has_ends

    @property
    def spec(self) -> Any:  # type: ignore[override]  # as Gymnasium's own wrappers
        """That of the environment within: this changes nothing."""
        return self.env.spec

    def reset(self, **arguments: Any) -> Any:
        """Reset the environment."""
        result = self.env.reset(**arguments)
        self.checksum = checksum(result[0], ())
        return result

    def step(self, action: Any) -> Any:
        """Step the environment."""
        result = self.env.step(action)
        if self.has_ends:
            self.checksum = checksum_of_step(result)
        else:
            known = result[0], np.asarray(result[1], np.float64)
            self.checksum = checksum(known, ())
        self.step_checksum = self.checksum
        return result


def checksum_of_step(result: Any) -> int:
    """Return a checksum of an observation, its reward and the ends."""
    reward = np.asarray(result[1], np.float64)
    return checksum((result[0], reward, *map(bool, result[2:4])), ())


def insert_probes(envs: Sequence[Any]) -> list[Probe]:
    """Insert a probe into each environment that keeps statistics; all do, or none.

    Returns:
        One for each; empty where there are none.
    """
    found = [insert_probe(env) for env in envs]
    probes = [one for one in found if one is not None]
    return probes if len(probes) == len(found) else []


def insert_probe(env: Any) -> Probe | None:
    """Insert a probe below wrappers that keep statistics; None: there are none.

    One that is there is returned.
    """
    lowest = None
    while isinstance(env, gymnasium.Wrapper):
        if type(env).__name__ in STATISTICS:
            lowest = env
        env = env.env
    if lowest is None:
        return None
    if isinstance(lowest.env, Probe):
        return lowest.env
    probe = Probe(lowest.env)
    lowest.env = probe
    return probe
