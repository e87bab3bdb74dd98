"""Any Python value is stored as JSON of a bounded size, and stops no recording."""

import json
import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rollout_viewer as rv
from rollout_viewer._recording.storable import MAX_CHARACTERS, storable_json


class WithoutRepr:
    def __repr__(self):
        raise RuntimeError


def cyclic():
    value = {"a": [1]}
    value["a"].append(value)
    return value


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (
            {(1, 2): 3, b"x": 1, np.int64(3): 0, None: 1, True: 2, 1.5: 2},
            {"(1, 2)": 3, "b'x'": 1, "3": 0, "null": 1, "true": 2, "1.5": 2},
        ),
        (cyclic(), {"a": [1, "..."]}),
        ({"a": WithoutRepr()}, {"a": "<WithoutRepr>"}),
        (10**5000, "an integer of 16610 bits"),
        ([np.arange(2), torch.ones(2), np.float32(0.5)], [[0, 1], [1.0, 1.0], 0.5]),
        ((1, {2}, frozenset()), [1, [2], []]),
        (np.zeros(10**8, np.uint8), "ndarray of shape (100000000,), uint8"),
        ([np.nan, np.inf, -np.inf], ["NaN", "Infinity", "-Infinity"]),
        (np.array([None, "a"], object), [None, "a"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_has_a_form_in_json(value, stored):
    assert storable_json(value) == stored


# Made in the test: as parameters they would be there while all others run.
LARGE = {
    "nested": lambda: nested(100_000),
    "list": lambda: [0] * 10**7,
    "str": lambda: "x" * 10**7,
    "keys": lambda: {f"key {number}": number for number in range(10**5)},
    "arrays": lambda: [np.zeros(10_000)] * 1000,
    "values": lambda: {"a": "x" * 10**6, "b": "y" * 10**6},
    "a key": lambda: {"x" * 10**6: 0},
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_what_is_large_is_cut(make):
    text = json.dumps(storable_json(make()), allow_nan=False)

    assert len(text) < 3 * MAX_CHARACTERS


keys = st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.booleans())
values = st.recursive(
    st.one_of(keys, st.none(), st.complex_numbers()),
    lambda one: st.one_of(
        st.lists(one), st.tuples(one, one), st.dictionaries(keys, one)
    ),
)


@given(values)
def test_what_was_stored_is_stored_unchanged(value):
    stored = storable_json(value)

    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert storable_json(stored) == stored


class Configured(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space, action_space = gym.spaces.Discrete(9), gym.spaces.Discrete(2)

    def __init__(self, **configuration):
        self.spec = gym.envs.registration.EnvSpec(
            "Configured-v0", entry_point=Configured, kwargs=configuration
        )

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, False, False, {}

    def render(self):
        return np.full((8, 8, 3), 200, np.uint8)


class Broken(dict):
    """A mapping whose own code raises."""

    def items(self):
        raise RuntimeError("closed")


def test_what_cannot_be_read_leaves_the_values_beside_it():
    found = storable_json({"map": Broken(a=1), "size": 3})

    assert found == {"map": "{'a': 1}", "size": 3}


@pytest.mark.parametrize(
    "value",
    [{(1, 2): b"x"}, cyclic(), np.zeros(25_000_000)],
    ids=["keys", "cycle", "200 MB"],
)
def test_what_configures_an_environment_never_stops_a_run(value, tmp_path):
    env = rv.RecordVideo(Configured(map=value), str(tmp_path), lambda _: True)
    before = time.process_time()  # the machine may be busy with others

    for _ in range(3):
        options: dict[Any, Any] = {"map": value, 3: value}
        env.reset(options=options)
        env.step(0)
    env.close()

    assert time.process_time() - before < 20  # it was 39 s for a single video
    assert len(list(tmp_path.glob("*.mp4"))) == 3
    for path in tmp_path.glob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        assert path.stat().st_size < 10 * MAX_CHARACTERS
        assert set(content["episodes"][0]["options"]) == {"map", "3"}
        assert content["metadata"]["env_kwargs"]["map"]
