"""A call that ends environments and resets them at once, as two rows.

The first row is the end of the episodes, the second the reset of their envs. Vector
environments with SAME_STEP autoreset, Stable-Baselines3's and most simulations of many
environments make such calls. What they render after the call is the new episode: an
ended episode's last picture is missing, unless the adapter has another source of it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.faults import always_raises
from rollout_viewer._recording.step_row import IDLE, RESET, STEP, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._recording.step_row import Mask

    Pictures = Callable[[], Any]


def add_same_step(
    add: Callable[..., int | None],
    ended: Mask,
    pictures: Pictures,
    *,
    kind: Any = STEP,
    find_terminal: Callable[[Pictures], Mapping[int, Any]] | None = None,
    data: Mapping[str, Any] | None = None,
    final_data: Mapping[str, Any] | None = None,
    before_reset: Callable[[], None] | None = None,
    reset_infos: Mapping[int, Mapping[str, Any]] | None = None,
    step_info: Any = None,
    final_info: Any = None,
    **step: Any,
) -> int | None:
    """Record a call that ended envs and reset them at once.

    Args:
        add: `Recorder.add`, or a function with its arguments; called twice.
        ended: (B,): the envs that ended and were reset.
        pictures: Returns what is rendered after the call; called once at most.
        kind: (B,) or one for all: what the call was to the other envs.
        find_terminal: From `pictures` to the ended envs' last pictures, env -> picture;
            those of the others are marked as missing.
        data: Of the second row.
        final_data: Of the first row.
        before_reset: Called between the rows.
        reset_infos: `infos` of the second row.
        step_info: What the call returned as info.
        final_info: That of the steps that ended; `step_info` of their envs is then of
            the resets. None: `step_info` is of the steps alone.
        **step: Other arguments of `add`, for the first row.

    Returns:
        The second row, or None where it was not recorded.
    """
    rendered = functools.cache(pictures)
    terminal: Mapping[int, Any] = {}
    if find_terminal is not None:
        try:
            terminal = find_terminal(rendered)
        except Exception as error:
            if always_raises(error):
                raise
            # Where it cannot be rendered, the row below reports it.
    kinds = np.where(ended, TERMINAL_MISSING, kind)
    kinds[list(terminal)] = STEP

    def last_pictures() -> Any:
        if not terminal:
            return rendered()
        return [terminal.get(env, one) for env, one in enumerate(rendered())]

    infos = {"step_info": step_info, "final_info": final_info}
    add(kinds, last_pictures, data=final_data, **infos, **step)
    if before_reset is not None:
        before_reset()
    kinds = np.where(ended, RESET, IDLE)
    resets = None if final_info is None else step_info
    reset: dict[str, Any] = {} if reset_infos is None else {"infos": reset_infos}
    return add(kinds, rendered, data=data, step_info=resets, is_same_call=True, **reset)
