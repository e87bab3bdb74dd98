"""What a call was to a single environment, as arrays that all of its calls share.

Making one for each call takes a microsecond. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._recording.step_row import RESET, STEP

if TYPE_CHECKING:
    from rollout_viewer._recording.step_row import Codes, Mask

# The types of ends that a single environment returns; of a batch it is none of these.
BOOLS = frozenset([bool, np.bool_])
# By whether it ended.
ENDED: tuple[Mask, Mask] = np.array([False]), np.array([True])
# By kind.
KINDS: dict[int, Codes] = {k: np.array([k], np.uint8) for k in (RESET, STEP)}
for _constant in (*ENDED, *KINDS.values()):
    _constant.flags.writeable = False
