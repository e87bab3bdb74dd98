"""Numbers of rows, envs and episodes as a caller passed them, before they are used."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np


def checked_number(where: str, name: str, value: Any) -> int:
    """Return a whole number as an int.

    Args:
        where: The function that the user called.
        name: Of the argument.
        value: Also of numpy, or a tensor of one.

    Raises:
        TypeError: It is none, as text, a float or a bool.
    """
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(
        f"{where}: expected {name} to be a whole number, got {value!r:.100}."
    )


def checked_env_numbers(where: str, envs: Any) -> list[int]:
    """Return the numbers of several envs.

    Raises:
        TypeError: They are no whole numbers, or one alone.
    """
    if isinstance(envs, Iterable) and not isinstance(envs, (str, bytes)):
        given = list(envs)
        if {*map(type, given)} <= {int}:  # nearly always
            return given
        try:
            return [checked_number(where, "envs", env) for env in given]
        except TypeError:
            pass
    raise TypeError(
        f"{where}: expected envs to be whole numbers, such as [0] or range(4), got "
        f"{envs!r:.100}."
    )
