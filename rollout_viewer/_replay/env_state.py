"""What an environment's next reset depends on, beside its arguments.

For most it is the generator of random numbers. Arcade games have a state of their own.
Only attributes are used that Gymnasium's environments have; no library is imported.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._recording.storable import CODE_ERRORS

# The key of a column in an env's state: of one that steps in an array (column_env).
COLUMN = "column"
# The key of the generator's state in what an episode begins from.
TASK_RANDOM = "task_random"

# The key of the state of numpy's older generator, which dm_control's tasks have.
RANDOM_STATE = "random_state"

# The part of a state that is bytes; the others are JSON.
BINARY = "binary"
_PLAIN = ("PCG64", "PCG64DXSM")
# A state of nothing but one of them: 1 and above for its name; two numbers of 16 bytes;
# whether half of one is left, and it.
_PLAIN_FORM = struct.Struct("<B16s16sBI")
PLAIN_BYTES = _PLAIN_FORM.size
_PLAIN_CODES = {name: code for code, name in enumerate(_PLAIN, 1)}
_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def state_of(env: Any) -> dict[str, Any]:
    """Return what the next reset without a seed depends on: JSON, and bytes.

    Args:
        env: A Gymnasium environment, wrapped or not.
    """
    bare = env.unwrapped
    state = generator_state(getattr(bare, "np_random", None))
    if has_clone(bare):
        clone = bare.clone_state(include_rng=True)
        state[BINARY] = clone.__getstate__()
    return state


def has_clone(env: Any) -> bool:
    """Whether an environment has a state beside its generator, as arcade games."""
    bare = env.unwrapped
    return callable(getattr(bare, "clone_state", None)) and hasattr(bare, "ale")


def generator_state(generator: Any) -> dict[str, Any]:
    """Return the state of a generator of numpy's, as JSON; {}: it is none."""
    if isinstance(generator, np.random.RandomState):
        return {RANDOM_STATE: random_state(generator)}
    if not isinstance(generator, np.random.Generator):
        return {}
    state = generator.bit_generator.state
    if state["bit_generator"] not in _GENERATORS:
        return {}
    # A new dict, and of nearly all generators one of numbers only.
    return {"np_random": state if state["bit_generator"] in _PLAIN else _as_json(state)}


def pack_plain(state: dict[str, Any]) -> bytes | None:
    """Return a state as `PLAIN_BYTES` bytes, in a microsecond; None: it has others."""
    generator = state.get("np_random")
    if generator is None or len(state) != 1:
        return None
    try:
        numbers = generator["state"]
        return _PLAIN_FORM.pack(
            _PLAIN_CODES[generator["bit_generator"]],
            numbers["state"].to_bytes(16, "little"),
            numbers["inc"].to_bytes(16, "little"),
            generator["has_uint32"],
            generator["uinteger"],
        )
    except (LookupError, TypeError, AttributeError, OverflowError, struct.error):
        return None  # of another generator, or damaged


def unpack_plain(data: bytes) -> dict[str, Any]:
    """Return the argument of `pack_plain`.

    Raises:
        ValueError: The bytes are damaged.
    """
    if len(data) != PLAIN_BYTES or not 1 <= data[0] <= len(_PLAIN):
        raise ValueError(f"{len(data)} bytes of a generator's state")
    code, state, inc, has_uint32, uinteger = _PLAIN_FORM.unpack(data)
    numbers = {
        name: int.from_bytes(one, "little")
        for name, one in (("state", state), ("inc", inc))
    }
    return {
        "np_random": {
            "bit_generator": _PLAIN[code - 1],
            "state": numbers,
            "has_uint32": has_uint32,
            "uinteger": uinteger,
        }
    }


def restore(env: Any, state: dict[str, Any]) -> None:
    """Give an environment a state of `state_of`.

    Raises:
        RecordingError: The state is damaged, or of another environment.
    """
    bare = env.unwrapped
    try:
        if COLUMN in state:
            bare.set_column(state[COLUMN])
        if TASK_RANDOM in state:
            bare.set_random_state(state[TASK_RANDOM])
        if "np_random" in state:
            bare.np_random = _generator(state["np_random"])
        if RANDOM_STATE in state:
            set_random_state(bare.np_random, state[RANDOM_STATE])
        if BINARY in state:
            kind: Any = type(bare.clone_state(include_rng=True))
            clone = kind.__new__(kind)
            clone.__setstate__(state[BINARY])
            bare.restore_state(clone)
    except CODE_ERRORS as error:
        raise RecordingError(
            f"FrameCache.render: expected a state of {type(bare).__name__}, got "
            f"{error!r:.200}. The recording is damaged, or make_env makes another "
            "environment."
        ) from error


def random_state(generator: np.random.RandomState) -> list[Any]:
    """Return the state of numpy's older generator, as JSON."""
    name, keys, *rest = generator.get_state()
    return [name, np.asarray(keys).tolist(), *rest]


def set_random_state(generator: np.random.RandomState, state: list[Any]) -> None:
    """Set the state of `random_state`.

    Raises:
        ValueError: It is none.
    """
    name, keys, *rest = state
    generator.set_state((name, np.array(keys, np.uint32), *rest))


def _generator(state: dict[str, Any]) -> np.random.Generator:
    name = state["bit_generator"]
    if name not in _GENERATORS:
        raise ValueError(f"a generator {name!r:.50}")
    bits = getattr(np.random, name)()
    bits.state = _from_json(state)
    return np.random.Generator(bits)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _from_json(one) for key, one in value.items()}
    return np.array(value, np.uint64) if isinstance(value, list) else value
