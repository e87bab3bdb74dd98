"""Whether an episode succeeded: the one rule, for all that environments report.

notebooks/guides/record.md states it. Knows dicts as environments return them, and
episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._errors import warn_once
from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.step_row import Mask

    SuccessRule = (
        Literal["end", "once", "reward_threshold"] | Callable[[Episode], bool | None]
    )

# Of a step's info: the first that is there counts.
_KEYS = ("is_success", "success")
# Whose texts say how an episode ended.
_TEXT_KEYS = ("termination", "termination_reason")
SUCCESS_KEYS = frozenset([*_KEYS, *_TEXT_KEYS])
_SUCCESSES = frozenset(["success", "succeeded", "goal", "goal_reached", "solved"])
_FAILURES = frozenset(["failure", "failed", "fail", "crash", "crashed", "collision"])
_RULES = ("end", "once", "reward_threshold")


def success_of(info: Mapping[str, Any]) -> bool | None:
    """Return whether a step's info reports success; None: it does not say.

    Example:
        >>> success_of({"is_success": 1.0}), success_of({"termination": "crash"})
        (True, False)
    """
    for key in _KEYS:
        if key in info and (found := _as_bool(info[key])) is not None:
            return found
    for key in _TEXT_KEYS:
        if key in info and (found := _of_text(info[key])) is not None:
            return found
    return None


def is_silent(info: Any) -> bool:
    """Whether a call's info says nothing of success, as `Successes.add` reads it.

    Args:
        info: One dict for each env, or one of them all.
    """
    if type(info) is not list and isinstance(info, Mapping):
        return SUCCESS_KEYS.isdisjoint(info)
    return all(map(SUCCESS_KEYS.isdisjoint, filter(None, info)))


def check_rule(where: str, success: Any) -> None:
    """Raise ValueError where `success` names no rule.

    Args:
        where: The function that the caller called, for messages.
        success: A rule; None is ``"end"``.
    """
    if success is None or callable(success):
        return
    if not isinstance(success, str) or success not in _RULES:
        raise ValueError(
            f"{where}: expected success to be a function of an Episode or one of "
            f"{_RULES}, got {success!r:.100}."
        )


def checked_rule(success: Any, reward_threshold: float | None) -> SuccessRule:
    """Return the rule that `success` names; None is ``"end"``.

    Raises:
        ValueError: It is none, or the environment has no threshold.
    """
    check_rule("record", success)
    rule: Any = "end" if success is None else success
    if rule == "reward_threshold" and reward_threshold is None:
        raise ValueError(
            "record: expected an environment with spec.reward_threshold for "
            "success='reward_threshold', got none. Pass a function of an Episode."
        )
    found: SuccessRule = rule
    return found


class Successes:
    """What is known of the success of each env's running episode.

    Args:
        num_envs: B.
        rule: Of `checked_rule`.
        reward_threshold: Of the environment.
    """

    def __init__(
        self, num_envs: int, rule: SuccessRule, reward_threshold: float | None
    ) -> None:
        self._rule = rule
        self._threshold = reward_threshold
        # 1 or 0; NaN: not known.
        self._known = np.full(num_envs, np.nan)
        # Whether `of` may know of any episode.
        self.is_active = rule not in ("end", "once")

    def begin(self, envs: Mask) -> None:
        """Forget what is known: other episodes begin."""
        if self.is_active:
            self._known[envs] = np.nan

    def add(self, info: Any, envs: Mask) -> None:
        """Note what a step's info says; see `StepInfo.add`."""
        try:
            if type(info) is not list and isinstance(info, Mapping):
                self._add_batch(info, envs)
                return
            for env, is_there in enumerate(envs.tolist()):
                one = info[env] if is_there else None
                if type(one) is not dict and not isinstance(one, Mapping):
                    continue  # what is none was reported by `StepInfo`
                if (found := success_of(one)) is not None:
                    self._set(env, found)
        except MemoryError:
            raise
        except Exception as error:
            warn_once(
                f"record: expected info of success to be a bool, got {error!r}; it is "
                "not known then."
            )

    def _add_batch(self, info: Mapping[str, Any], envs: Mask) -> None:
        left = envs
        for key in (*_KEYS, *_TEXT_KEYS):
            if key not in info:
                continue
            has_it, known = left, info.get(f"_{key}")
            if known is not None and np.shape(known) == envs.shape:
                has_it = left & np.asarray(as_numpy(known), np.bool_)
            # Another key may be of those envs of which this one says nothing.
            left = left & ~self._set_each(key, info[key], has_it)
            if not left.any():
                return

    def _set_each(self, key: str, value: Any, envs: Mask) -> Mask:
        """Set the success of `envs`; return of which of them `value` says it."""
        value = as_numpy(value)
        is_each = np.ndim(value) > 0 and len(value) == len(envs)
        if is_each and getattr(value, "dtype", np.dtype(object)).kind in "biuf":
            # At once: there may be thousands.
            found = value.reshape(len(envs), -1)[:, 0].astype(np.float64)
            found[found != 0] /= found[found != 0]  # NaN stays NaN
            has_it: Mask = envs & ~np.isnan(found)
            if self._rule == "once":
                found[self._known == 1] = 1
            self._known[has_it] = found[has_it]
            self.is_active = self.is_active or bool(has_it.any())
            return has_it
        has_it = np.zeros_like(envs)
        for env in np.flatnonzero(envs).tolist():
            one = success_of({key: value[env] if is_each else value})
            if one is not None:
                self._set(env, one)
                has_it[env] = True
        return has_it

    def _set(self, env: int, success: bool) -> None:
        self.is_active = True
        if self._rule == "once" and self._known[env] == 1:
            return
        self._known[env] = success

    def of(self, episode: Episode) -> bool | None:
        """Return whether an episode that has ended succeeded; None: not known."""
        if callable(self._rule):
            return self._called(episode)
        if self._rule == "reward_threshold":
            assert self._threshold is not None
            is_whole = episode.is_finished
            return episode.total_reward >= self._threshold if is_whole else None
        known = self._known[episode.env]
        return None if np.isnan(known) else bool(known)

    def _called(self, episode: Episode) -> bool | None:
        assert callable(self._rule)
        try:
            found = self._rule(episode)
            return None if found is None else bool(found)
        except Exception as error:
            warn_once(
                "record: expected success to return True, False or None, got "
                f"{error!r} for episode {episode.index} of env {episode.env}. Its "
                "success is not known."
            )
            return None


def _as_bool(value: Any) -> bool | None:
    if type(value) is bool:
        return value
    if value is None or isinstance(value, (str, Mapping)):
        return None
    value = as_numpy(value)
    number = float(np.asarray(value, np.float64).reshape(-1)[0])
    return None if np.isnan(number) else bool(number)


def _of_text(value: Any) -> bool | None:
    if not isinstance(value, str):
        return None
    word = value.strip().lower().replace(" ", "_").replace("-", "_")
    return True if word in _SUCCESSES else False if word in _FAILURES else None
