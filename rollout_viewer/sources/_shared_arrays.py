"""What a call was to its environments, as arrays that all calls share.

Making one for each call takes a microsecond. Knows rows. Knows no framework.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._recording.step_row import RESET, STEP

if TYPE_CHECKING:
    from rollout_viewer._recording.step_row import Codes, Mask


@functools.cache
def all_of(kind: int, num_envs: int) -> Codes:
    """Return a kind for each env (B,); not to be changed."""
    codes = np.full(num_envs, kind, np.uint8)
    codes.flags.writeable = False
    return codes


# -- of a single environment

# The types of ends that it returns; of a batch it is none of these.
BOOLS = frozenset([bool, np.bool_])
# By whether it ended.
ENDED: tuple[Mask, Mask] = np.array([False]), np.array([True])
for _ended in ENDED:
    _ended.flags.writeable = False
# By kind.
KINDS: dict[int, Codes] = {kind: all_of(kind, 1) for kind in (RESET, STEP)}
